/* Scratch folders for tests. */
#ifndef TEST_TEMP_H
#define TEST_TEMP_H

enum { TEST_PATH_BYTES = 512 };

/* Local. A new folder below TMPDIR or /tmp, into path. */
void test_temp_make(char path[TEST_PATH_BYTES]);

/* Local. Removes a folder and all below it. */
void test_temp_remove(const char *path);

/* Local. Writes a file whole. */
void test_write_file(const char *path, const void *data, unsigned long bytes);

#endif
