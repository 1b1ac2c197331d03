/* Training of codecs on rows dealt out to ranks: the bits of training on one rank, for any number of holders. */
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "codec/codec.h"
#include "mpi_suite.h"

static const ivf_codec_training training = {.seed = 11, .iterations = 3};

static const struct {
    ivf_codec_spec spec;
    int d;
    int64_t n;
} cases[] = {
    {{IVF_CODEC_PQ, 7, 4}, 21, 5000},   {{IVF_CODEC_PQ, 2, 8}, 8, 3000},  {{IVF_CODEC_PQ, 1, 5}, 6, 900},
    {{IVF_CODEC_PQ, 3, 4}, 4098, 3100}, {{IVF_CODEC_SQ, 0, 8}, 13, 5000}, {{IVF_CODEC_SQ, 0, 4}, 3, 17},
    {{IVF_CODEC_FLAT, 0, 0}, 5, 100},   {{IVF_CODEC_PQ, 5, 4}, 10, 1025},
};

/* Row `place` of all; zeros of both signs are among the smallest and largest values of some dimensions. */
static void fill_row(float *x, int64_t place, int d)
{
    for (int j = 0; j < d; j++) {
        float value = (float)ivf_rng_below(5, IVF_RNG_TEST, (uint64_t)(place * d + j), 100000) / 1000 - 50;
        if (j % 5 == 1)
            value = place % 3 == 0 ? -0.0F : 0.0F;
        else if (j % 5 == 2)
            value = place % 3 == 0 ? -0.0F : value < 0 ? value : -value;
        x[j] = value;
    }
}

static float *rows_of(const ivf_share *share, int d)
{
    int64_t n = ivf_share_count(share);
    float *x = ivf_new(ivf_to_size(n) * (size_t)d, sizeof *x);
    for (int64_t row = 0; row < n; row++)
        fill_row(x + row * d, ivf_share_place(share, row), d);
    return x;
}

static bool same_arrays(ivf_codec *one, ivf_codec *other)
{
    ivf_array a[IVF_CODEC_ARRAYS];
    ivf_array b[IVF_CODEC_ARRAYS];
    int count = ivf_codec_arrays(one, a);
    bool same = ivf_codec_arrays(other, b) == count;
    for (int i = 0; i < count && same; i++)
        same = memcmp(a[i].data, b[i].data, ivf_array_bytes(&a[i])) == 0;
    return same;
}

/* What every rank can do with the trained codec. */
static bool same_codes(const ivf_codec *one, const ivf_codec *other, const float *x, int64_t n)
{
    size_t bytes = ivf_to_size(n) * ivf_codec_code_size(one);
    uint8_t *codes = ivf_new(2 * bytes, 1);
    void *scratch = ivf_new(ivf_codec_encode_scratch(one, n), 1);
    ivf_codec_encode(one, x, n, codes, scratch);
    ivf_codec_encode(other, x, n, codes + bytes, scratch);
    bool same = memcmp(codes, codes + bytes, bytes) == 0;
    ivf_free(scratch);
    ivf_free(codes);
    return same;
}

START_TEST(any_holders_train_the_same_codec)
{
    const ivf_codec_spec *spec = &cases[_i].spec;
    const int d = cases[_i].d;
    const ivf_share all = {.total = cases[_i].n, .rank = 0, .size = 1};
    float *x = rows_of(&all, d);
    ivf_codec *expected = NULL;
    test_all(ivf_codec_new(spec, d, &expected) == MPIVF_OK &&
             ivf_codec_train_local(expected, x, all.total, &training) == MPIVF_OK);
    for (int size = 1; size <= ivf_ctx_size(test_ctx); size++) {
        const int me = ivf_ctx_rank(test_ctx);
        const ivf_share share = {.total = all.total, .rank = me < size ? me : -1, .size = size};
        float *mine = rows_of(&share, d);
        ivf_codec *codec = NULL;
        test_all(ivf_codec_new(spec, d, &codec) == MPIVF_OK);
        test_all(ivf_codec_train(test_ctx, codec, mine, &share, &training) == MPIVF_OK);
        test_all(same_arrays(codec, expected));
        test_all(same_codes(codec, expected, x, ivf_min_i64(all.total, 200)));
        ivf_codec_free(codec);
        ivf_free(mine);
    }
    ivf_codec_free(expected);
    ivf_free(x);
}
END_TEST

START_TEST(no_rows_fail_everywhere)
{
    const ivf_codec_spec spec = {IVF_CODEC_PQ, 2, 4};
    const ivf_share none = {.total = 0, .rank = ivf_ctx_rank(test_ctx), .size = ivf_ctx_size(test_ctx)};
    ivf_codec *codec = NULL;
    test_all(ivf_codec_new(&spec, 4, &codec) == MPIVF_OK);
    test_all(ivf_codec_train(test_ctx, codec, NULL, &none, &training) == MPIVF_BAD_INPUT);
    test_all(strstr(ivf_error_last()->text, "no rows to train on") != NULL);
    ivf_codec_free(codec);
}
END_TEST

/* k-means refuses the iterations: on the ranks that train, and so on all. */
START_TEST(a_failed_rank_fails_all)
{
    const ivf_codec_spec spec = {IVF_CODEC_PQ, 2, 4};
    const ivf_codec_training endless = {.seed = 1, .iterations = 1 << 20};
    const ivf_share share = {.total = 5000, .rank = ivf_ctx_rank(test_ctx), .size = ivf_ctx_size(test_ctx)};
    float *mine = rows_of(&share, 4);
    ivf_codec *codec = NULL;
    test_all(ivf_codec_new(&spec, 4, &codec) == MPIVF_OK);
    test_all(ivf_codec_train(test_ctx, codec, mine, &share, &endless) == MPIVF_USAGE);
    ivf_codec_free(codec);
    ivf_free(mine);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("codec");
    TCase *tests = tcase_create("codec");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, any_holders_train_the_same_codec, 0, (int)(sizeof cases / sizeof cases[0]));
    tcase_add_test(tests, no_rows_fail_everywhere);
    tcase_add_test(tests, a_failed_rank_fails_all);
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
