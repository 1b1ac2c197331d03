/* What the tests of codecs share: making, coding, and what holds for every codec. */
#ifndef TEST_CODEC_CHECKS_H
#define TEST_CODEC_CHECKS_H

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "codec/codec.h"
#include "mpivf/error.h"

static const ivf_codec_training training = {.seed = 42, .iterations = 8};

static inline float *normals(int64_t n, int d, uint64_t seed)
{
    float *x = ivf_new((size_t)n * (size_t)d, sizeof *x);
    for (int64_t i = 0; i < n * d; i++)
        x[i] = (float)ivf_rng_normal(seed, IVF_RNG_TEST, (uint64_t)i);
    return x;
}

static inline ivf_codec *codec_new(ivf_codec_kind kind, int m, int bits, int d)
{
    ivf_codec_spec spec = {kind, m, bits};
    ivf_codec *codec;
    ck_assert_int_eq(ivf_codec_new(&spec, d, &codec), MPIVF_OK);
    return codec;
}

static inline uint8_t *encode(const ivf_codec *codec, const float *x, int64_t n)
{
    uint8_t *codes = ivf_new((size_t)n * ivf_codec_code_size(codec), 1);
    void *scratch = ivf_new(ivf_codec_encode_scratch(codec, n), 1);
    ck_assert_ptr_nonnull(codes);
    ck_assert_ptr_nonnull(scratch);
    ivf_codec_encode(codec, x, n, codes, scratch);
    ivf_free(scratch);
    return codes;
}

/* Number i of a code, read bit by bit. */
static inline int number_at(const uint8_t *code, int i, int bits)
{
    int number = 0;
    for (int b = 0; b < bits; b++) {
        int at = i * bits + b;
        number |= (code[at / 8] >> (at % 8) & 1) << b;
    }
    return number;
}

static inline float *array_of(ivf_codec *codec, const char *name)
{
    ivf_array arrays[IVF_CODEC_ARRAYS];
    int n = ivf_codec_arrays(codec, arrays);
    for (int i = 0; i < n; i++)
        if (strcmp(arrays[i].name, name) == 0)
            return arrays[i].data;
    ck_abort_msg("no array %s", name);
    return NULL;
}

/* Keys of a scan against those of the decoded rows. The codes are moved into a block that ends with them, so that the
 * address sanitizer sees a read beyond. */
static inline void check_scan(const ivf_codec *codec, const uint8_t *given, int64_t n, int d, double tolerance)
{
    size_t bytes = (size_t)n * ivf_codec_code_size(codec);
    uint8_t *codes = malloc(bytes);
    memcpy(codes, given, bytes);
    static const ivf_metric metrics[] = {IVF_L2, IVF_IP, IVF_COSINE};
    float *query = normals(1, d, 99);
    float *decoded = ivf_new((size_t)n * (size_t)d, sizeof *decoded);
    float *keys = ivf_new((size_t)n, sizeof *keys);
    void *table = ivf_new(ivf_codec_table_size(codec), 1);
    int64_t wrong = 0;
    ivf_codec_decode(codec, codes, n, decoded);
    for (size_t i = 0; i < 3; i++) {
        memset(table, 0xff, ivf_codec_table_size(codec));
        ivf_codec_prepare(codec, metrics[i], query, table);
        ivf_codec_scan(codec, metrics[i], table, codes, n, keys);
        for (int64_t row = 0; row < n; row++) {
            double expected = 0;
            for (int j = 0; j < d; j++) {
                double q = (double)query[j];
                double y = (double)decoded[row * d + j];
                expected += metrics[i] == IVF_L2 ? (q - y) * (q - y) : -q * y;
            }
            wrong += !(fabs((double)keys[row] - expected) <= tolerance * (1 + fabs(expected)));
        }
        float alone;
        ivf_codec_scan(codec, metrics[i], table, codes + (size_t)(n - 1) * ivf_codec_code_size(codec), 1, &alone);
        ck_assert_mem_eq(&alone, keys + n - 1, sizeof alone);
    }
    ck_assert_int_eq(wrong, 0);
    free(codes);
    ivf_free(table);
    ivf_free(keys);
    ivf_free(decoded);
    ivf_free(query);
}

/* Another codec that is given the arrays makes the same codes. */
static inline void check_copy(ivf_codec *codec, const ivf_codec_spec *spec, const float *x, int64_t n, int d)
{
    ivf_codec *copy = codec_new(spec->kind, spec->m, spec->bits, d);
    ivf_array from[IVF_CODEC_ARRAYS];
    ivf_array to[IVF_CODEC_ARRAYS];
    int count = ivf_codec_arrays(codec, from);
    ck_assert_int_eq(ivf_codec_arrays(copy, to), count);
    for (int i = 0; i < count; i++) {
        ck_assert_str_eq(from[i].name, to[i].name);
        ck_assert_uint_eq(ivf_array_bytes(&from[i]), ivf_array_bytes(&to[i]));
        memcpy(to[i].data, from[i].data, ivf_array_bytes(&from[i]));
    }
    ck_assert_int_eq(ivf_codec_ready(copy), MPIVF_OK);
    ck_assert_int_eq(ivf_codec_ready(copy), MPIVF_OK);
    uint8_t *codes = encode(codec, x, n);
    uint8_t *same = encode(copy, x, n);
    ck_assert_mem_eq(codes, same, (size_t)n * ivf_codec_code_size(codec));
    check_scan(copy, same, n, d, 1e-4);
    ivf_free(codes);
    ivf_free(same);
    ivf_codec_free(copy);
}

static inline void check_rows_alone(const ivf_codec *codec, const float *x, int64_t n, int d)
{
    size_t size = ivf_codec_code_size(codec);
    uint8_t *codes = encode(codec, x, n);
    for (int64_t row = 0; row < n; row += 7) {
        uint8_t *alone = encode(codec, x + row * d, 1);
        ck_assert_mem_eq(alone, codes + (size_t)row * size, size);
        ivf_free(alone);
    }
    ivf_free(codes);
}

#endif
