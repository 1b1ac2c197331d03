/* base/hash.h and math/blocksum.h beside the plain XXH3 of libxxhash, which is the slowest and the specification's. */
#include <check.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/hash.h"
#include "math/blocksum.h"
#include "math/simd.h"

enum { BYTES = 20000 };

static unsigned char data[BYTES];

static void fill(void)
{
    for (int i = 0; i < BYTES; i++)
        data[i] = (unsigned char)(i * 131 + (i >> 7) * 17 + 5);
}

/* Around each length where XXH3 goes another way. */
START_TEST(checksums_are_those_of_xxh3)
{
    static const size_t around[] = {0, 16, 128, 240, 256, 1024, 2048, 4096, BYTES - 4};
    fill();
    ck_assert_uint_eq(ivf_hash64("", 0), 0x2d06800538d394c2U); /* of the specification */
    for (size_t i = 0; i < sizeof around / sizeof *around; i++)
        for (size_t n = around[i]; n < around[i] + 4; n++)
            ck_assert_uint_eq(ivf_hash64(data, n), XXH3_64bits(data, n));
}
END_TEST

START_TEST(pieces_have_the_checksum_of_the_whole)
{
    ivf_hasher *hasher = ivf_hasher_new();
    ck_assert_ptr_nonnull(hasher);
    fill();
    for (size_t piece = 1; piece < BYTES; piece = piece * 3 + 7) {
        ivf_hasher_reset(hasher);
        for (size_t at = 0; at < BYTES; at += piece)
            ivf_hasher_add(hasher, data + at, piece < BYTES - at ? piece : BYTES - at);
        ck_assert_uint_eq(ivf_hasher_end(hasher), XXH3_64bits(data, BYTES));
    }
    ivf_hasher_free(hasher);
}
END_TEST

/* Blocks last to first, then the end, as if nothing but sums and tail were left. */
static uint64_t sum_backwards(const unsigned char *from, int64_t bytes)
{
    static ivf_blocksum sums[BYTES / IVF_BLOCKSUM_BLOCK];
    ivf_blocksum state;
    const int64_t count = ivf_blocksum_count(bytes);
    for (int64_t b = count - 1; b >= 0; b--)
        ivf_blocksum_make(from + b * IVF_BLOCKSUM_BLOCK, 1, &sums[b]);
    ck_assert_int_le(bytes - ivf_blocksum_tail(bytes), IVF_BLOCKSUM_TAIL);
    ivf_blocksum_begin(&state);
    ivf_blocksum_add(&state, sums, count / 2);
    ivf_blocksum_add(&state, sums + count / 2, count - count / 2);
    return ivf_blocksum_end(&state, bytes, from + ivf_blocksum_tail(bytes));
}

START_TEST(sums_of_blocks_make_the_checksum)
{
    const ivf_simd level = (ivf_simd)_i;
    if (!ivf_simd_available(level))
        return;
    ivf_simd_choose(level);
    fill();
    for (int64_t n = 0; n < 3000; n++)
        ck_assert_uint_eq(sum_backwards(data + n % 7, n), XXH3_64bits(data + n % 7, (size_t)n));
    for (int64_t n = BYTES - 2000; n <= BYTES; n++)
        ck_assert_uint_eq(sum_backwards(data, n), XXH3_64bits(data, (size_t)n));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hash");
    TCase *tests = tcase_create("hash");
    tcase_add_test(tests, checksums_are_those_of_xxh3);
    tcase_add_test(tests, pieces_have_the_checksum_of_the_whole);
    tcase_add_loop_test(tests, sums_of_blocks_make_the_checksum, 0, IVF_SIMD_COUNT);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
