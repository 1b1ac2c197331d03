/* base/hash.h beside the plain XXH3 of libxxhash, which is the slowest and the specification's. */
#include <check.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/hash.h"

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

int main(void)
{
    Suite *suite = suite_create("hash");
    TCase *tests = tcase_create("hash");
    tcase_add_test(tests, checksums_are_those_of_xxh3);
    tcase_add_test(tests, pieces_have_the_checksum_of_the_whole);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
