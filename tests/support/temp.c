#include "temp.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

void test_temp_make(char path[TEST_PATH_BYTES])
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(path, TEST_PATH_BYTES, "%s/mpivf-test-XXXXXX", base != NULL ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(path));
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

void test_temp_remove(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void test_write_file(const char *path, const void *data, unsigned long bytes)
{
    FILE *file = fopen(path, "wbe");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, bytes, file), bytes);
    ck_assert_int_eq(fclose(file), 0);
}
