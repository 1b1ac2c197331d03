/* io/h5: round trips, identical bytes, damage, full disks. */
#include <check.h>
#include <dirent.h>
#include <hdf5.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/h5.h"
#include "io/h5lock.h"
#include "io/publish.h"
#include "temp.h"

static char folder[TEST_PATH_BYTES];
static char path[TEST_PATH_BYTES + 64];
static char other[TEST_PATH_BYTES + 64];

static void setup(void)
{
    test_temp_make(folder);
    (void)snprintf(path, sizeof path, "%s/a.h5", folder);
    (void)snprintf(other, sizeof other, "%s/b.h5", folder);
}

static void teardown(void)
{
    test_temp_remove(folder);
}

enum { N = 1000, COLUMNS = 12 };

static float floats[N][3];
static uint16_t halves[N];
static uint8_t bytes8[N];
static int8_t signed8[N];
static int32_t ints[N];
static int64_t longs[N];
static uint64_t unsigneds[N];
static double doubles[N];

static const ivf_array arrays[] = {
    {"floats", IVF_F32, 2, {N, 3, 0}, floats},       {"halves", IVF_F16, 1, {N, 0, 0}, halves},
    {"bytes", IVF_U8, 3, {10, 10, 10}, bytes8},      {"signed", IVF_I8, 1, {N, 0, 0}, signed8},
    {"deep/er/ints", IVF_I32, 1, {N, 0, 0}, ints},   {"deep/longs", IVF_I64, 1, {N, 0, 0}, longs},
    {"unsigneds", IVF_U64, 1, {N, 0, 0}, unsigneds}, {"doubles", IVF_F64, 1, {N, 0, 0}, doubles},
    {"empty", IVF_F32, 2, {0, 128, 0}, NULL},
};

enum { ARRAYS = sizeof arrays / sizeof arrays[0] };

static void fill(void)
{
    for (int i = 0; i < N; i++) {
        floats[i][0] = (float)i * 0.5F;
        floats[i][2] = -(float)i;
        halves[i] = (uint16_t)(i * 37);
        bytes8[i] = (uint8_t)i;
        signed8[i] = (int8_t)(i % 256 - 128);
        ints[i] = -i * 100000;
        longs[i] = INT64_MIN + i;
        unsigneds[i] = UINT64_MAX - (uint64_t)i;
        doubles[i] = 1.0 / (i + 1);
    }
}

static int write_all(ivf_h5 *file, const char *text)
{
    int rc = MPIVF_OK;
    for (int i = 0; rc == MPIVF_OK && i < ARRAYS; i++)
        rc = ivf_h5_write(file, &arrays[i]);
    for (int i = 0; rc == MPIVF_OK && i < COLUMNS; i++) {
        char name[32];
        ivf_array column = arrays[1];
        (void)snprintf(name, sizeof name, "columns/c%d", i);
        column.name = name;
        rc = ivf_h5_write(file, &column);
    }
    if (rc == MPIVF_OK)
        rc = ivf_h5_write_text(file, "config", text);
    if (rc == MPIVF_OK)
        rc = ivf_h5_write_text(file, "nothing", "");
    for (int i = 0; rc == MPIVF_OK && i < COLUMNS; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "number%d", i);
        rc = ivf_h5_write_i64(file, name, INT64_MIN + i);
    }
    return rc;
}

/* Files and what is in them have been closed, in HDF5 and in our own memory. */
static void expect_nothing_held(void)
{
    ivf_h5_lock();
    ck_assert_int_eq(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
    ivf_h5_unlock();
    ck_assert_uint_eq(ivf_memory_now(), 0);
}

static int make_file(const char *name)
{
    ivf_h5 *file = NULL;
    fill();
    int rc = ivf_h5_create(name, &file);
    if (rc != MPIVF_OK)
        return rc;
    rc = write_all(file, "{\"metric\": \"Ångström\"}");
    if (rc == MPIVF_OK)
        return ivf_h5_close(file);
    ivf_h5_abandon(file);
    return rc;
}

static void expect_array(ivf_h5 *file, const ivf_array *array)
{
    ivf_array found;
    int64_t offset = 0;
    ck_assert_int_eq(ivf_h5_describe(file, array->name, &found, &offset), MPIVF_OK);
    ck_assert_str_eq(found.name, array->name);
    ck_assert_int_eq(found.type, array->type);
    ck_assert_int_eq(found.rank, array->rank);
    ck_assert_mem_eq(found.dims, array->dims, sizeof found.dims);
    size_t bytes = ivf_array_bytes(array);
    if (bytes == 0)
        ck_assert_int_eq(offset, -1);
    else
        ck_assert(offset > 0 && offset % 4096 == 0);
    found.data = ivf_new(bytes, 1);
    ck_assert_int_eq(ivf_h5_read(file, &found), MPIVF_OK);
    if (bytes > 0)
        ck_assert_mem_eq(found.data, array->data, bytes);
    ivf_free(found.data);
}

START_TEST(every_type_comes_back)
{
    ivf_h5 *file = NULL;
    char *text = NULL;
    int64_t number = 0;
    ck_assert_int_eq(make_file(path), MPIVF_OK);
    ck_assert_int_eq(ivf_h5_open(path, &file), MPIVF_OK);
    for (int i = 0; i < ARRAYS; i++)
        expect_array(file, &arrays[i]);
    ck_assert(ivf_h5_has(file, "columns/c11") && ivf_h5_has(file, "deep/er"));
    ck_assert(!ivf_h5_has(file, "columns/c12") && !ivf_h5_has(file, "none/c1") && !ivf_h5_has(file, ""));
    ck_assert_int_eq(ivf_h5_read_text(file, "config", &text), MPIVF_OK);
    ck_assert_str_eq(text, "{\"metric\": \"Ångström\"}");
    ivf_free(text);
    ck_assert_int_eq(ivf_h5_read_text(file, "nothing", &text), MPIVF_OK);
    ck_assert_str_eq(text, "");
    ivf_free(text);
    ck_assert_int_eq(ivf_h5_read_i64(file, "number11", &number), MPIVF_OK);
    ck_assert_int_eq(number, INT64_MIN + 11);
    ivf_h5_release(file);
    expect_nothing_held();
}
END_TEST

START_TEST(long_texts_come_back)
{
    ivf_h5 *file = NULL;
    char *text = NULL;
    size_t length = 300000;
    char *config = ivf_new_zero(length + 1, 1);
    memset(config, 'c', length);
    ck_assert_int_eq(ivf_h5_create(path, &file), MPIVF_OK);
    ck_assert_int_eq(ivf_h5_write_text(file, "config", config), MPIVF_OK);
    ck_assert_int_eq(ivf_h5_close(file), MPIVF_OK);
    ck_assert_int_eq(ivf_h5_open(path, &file), MPIVF_OK);
    ck_assert_int_eq(ivf_h5_read_text(file, "config", &text), MPIVF_OK);
    ck_assert_str_eq(text, config);
    ivf_h5_release(file);
    ivf_free(text);
    ivf_free(config);
}
END_TEST

static void expect_same_files(const char *a, const char *b)
{
    int64_t bytes[2] = {0};
    uint64_t sums[2] = {0};
    ck_assert_int_eq(ivf_file_checksum(a, &bytes[0], &sums[0]), MPIVF_OK);
    ck_assert_int_eq(ivf_file_checksum(b, &bytes[1], &sums[1]), MPIVF_OK);
    ck_assert_int_eq(bytes[0], bytes[1]);
    ck_assert_uint_eq(sums[0], sums[1]);
}

/* What a process may have done with HDF5 before: left rubbish in its memory, other files open, a failed write. */
static void make_history(ivf_h5 **open_file)
{
    char name[TEST_PATH_BYTES + 64];
    ivf_h5 *file = NULL;
    for (int i = 0; i < 5; i++) {
        (void)snprintf(name, sizeof name, "%s/history%d.h5", folder, i);
        ck_assert_int_eq(ivf_h5_create(name, &file), MPIVF_OK);
        ck_assert_int_eq(write_all(file, "other contents that fill the buffers of the library"), MPIVF_OK);
        if (i % 2 == 0)
            ck_assert_int_eq(ivf_h5_close(file), MPIVF_OK);
        else
            ivf_h5_abandon(file);
    }
    ck_assert_int_eq(ivf_h5_open(name, open_file), MPIVF_OK);
    void *rubbish = malloc(1 << 16);
    ck_assert_ptr_nonnull(rubbish);
    memset(rubbish, 0xa5, 1 << 16);
    free(rubbish);
}

START_TEST(equal_contents_give_equal_bytes)
{
    ivf_h5 *open_file = NULL;
    ck_assert_int_eq(make_file(path), MPIVF_OK);
    /* Time stamps in HDF5 count seconds. */
    (void)usleep(1100000);
    make_history(&open_file);
    ck_assert_int_eq(make_file(other), MPIVF_OK);
    expect_same_files(path, other);
    ivf_h5_release(open_file);
}
END_TEST

START_TEST(fresh_processes_write_equal_bytes)
{
    const char *const names[] = {path, other};
    for (int i = 0; i < 2; i++) {
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            ivf_h5 *open_file = NULL;
            if (i == 1)
                make_history(&open_file);
            _exit(make_file(names[i]));
        }
        int status = 0;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
    }
    expect_same_files(path, other);
}
END_TEST

START_TEST(an_existing_file_is_left_alone)
{
    ivf_h5 *file = NULL;
    char *text = NULL;
    size_t bytes = 0;
    test_write_file(path, "mine", 4);
    ck_assert_int_eq(ivf_h5_create(path, &file), MPIVF_FAILED);
    ck_assert_ptr_null(file);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, path));
    ck_assert_int_eq(ivf_file_read(path, 100, &text, &bytes), MPIVF_OK);
    ck_assert_str_eq(text, "mine");
    ivf_free(text);
}
END_TEST

START_TEST(wrong_requests_name_both_sides)
{
    ivf_h5 *file = NULL;
    char *text = NULL;
    int64_t number = 0;
    int64_t offset = 0;
    ivf_array wrong = arrays[0];
    ck_assert_int_eq(make_file(path), MPIVF_OK);
    ck_assert_int_eq(ivf_h5_open(path, &file), MPIVF_OK);
    wrong.dims[0] = N + 1;
    ck_assert_int_eq(ivf_h5_read(file, &wrong), MPIVF_CORRUPT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "f32[1000][3]"));
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "f32[1001][3]"));
    wrong = arrays[0];
    wrong.type = IVF_I32;
    ck_assert_int_eq(ivf_h5_read(file, &wrong), MPIVF_CORRUPT);
    ck_assert_int_eq(ivf_h5_describe(file, "none", &wrong, &offset), MPIVF_CORRUPT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "none"));
    ck_assert_int_eq(ivf_h5_describe(file, "deep", &wrong, &offset), MPIVF_CORRUPT);
    ck_assert_int_eq(ivf_h5_read_text(file, "none", &text), MPIVF_CORRUPT);
    ck_assert_int_eq(ivf_h5_read_text(file, "number1", &text), MPIVF_CORRUPT);
    ck_assert_int_eq(ivf_h5_read_i64(file, "config", &number), MPIVF_CORRUPT);
    ck_assert_int_eq(ivf_h5_read_i64(file, "none", &number), MPIVF_CORRUPT);
    ivf_h5_release(file);
    ck_assert_int_eq(ivf_h5_open("/nonexistent/x.h5", &file), MPIVF_BAD_INPUT);
    ck_assert_int_eq(ivf_h5_open(folder, &file), MPIVF_BAD_INPUT);
    ck_assert_int_eq(mkfifo(other, 0600), 0);
    ck_assert_int_eq(ivf_h5_open(other, &file), MPIVF_BAD_INPUT);
}
END_TEST

START_TEST(truncated_files_are_corrupt)
{
    ivf_h5 *file = NULL;
    struct stat info;
    ck_assert_int_eq(make_file(path), MPIVF_OK);
    ck_assert_int_eq(stat(path, &info), 0);
    const off_t sizes[] = {info.st_size - 1, info.st_size / 2, 4096, 100, 8, 0};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ck_assert_int_eq(truncate(path, sizes[i]), 0);
        ck_assert_int_eq(ivf_h5_open(path, &file), MPIVF_CORRUPT);
        ck_assert_ptr_null(file);
        ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, path));
    }
}
END_TEST

static int read_array(ivf_h5 *file, const ivf_array *array)
{
    ivf_array copy = *array;
    copy.data = ivf_new(ivf_array_bytes(&copy), 1);
    int rc = ivf_h5_read(file, &copy);
    ivf_free(copy.data);
    return rc;
}

/* Opens a file and reads all of it. */
static int read_all(const char *name)
{
    ivf_h5 *file = NULL;
    char *text = NULL;
    int64_t number = 0;
    int rc = ivf_h5_open(name, &file);
    for (int i = 0; rc == MPIVF_OK && i < ARRAYS; i++)
        rc = read_array(file, &arrays[i]);
    for (int i = 0; rc == MPIVF_OK && i < COLUMNS; i++) {
        char text_name[32];
        ivf_array column = arrays[1];
        (void)snprintf(text_name, sizeof text_name, "columns/c%d", i);
        column.name = text_name;
        rc = read_array(file, &column);
        (void)snprintf(text_name, sizeof text_name, "number%d", i);
        if (rc == MPIVF_OK)
            rc = ivf_h5_read_i64(file, text_name, &number);
    }
    if (rc == MPIVF_OK)
        rc = ivf_h5_read_text(file, "config", &text);
    ivf_free(text);
    ivf_h5_release(file);
    return rc;
}

/* Whether one of HDF5's own structures begins at `data` (HDF5 file format specification, version 2.0). */
static bool is_metadata(const char *data)
{
    const char *const signatures[] = {"\211HDF", "OHDR", "OCHK", "FRHP", "FHDB", "FHIB", "BTHD", "BTLF", "BTIN"};
    for (size_t i = 0; i < sizeof signatures / sizeof signatures[0]; i++)
        if (memcmp(data, signatures[i], 4) == 0)
            return true;
    return false;
}

START_TEST(damaged_metadata_is_corrupt)
{
    char *data = NULL;
    size_t bytes = 0;
    int found = 0;
    int tried = 0;
    ck_assert_int_eq(make_file(path), MPIVF_OK);
    ck_assert_int_eq(ivf_file_read(path, 1 << 24, &data, &bytes), MPIVF_OK);
    for (size_t i = 0; i < bytes; i += 7) {
        if (i % 4096 >= 100 || data[i] == 0 || !is_metadata(data + i / 4096 * 4096))
            continue;
        data[i] = (char)(data[i] ^ 0x55);
        test_write_file(other, data, bytes);
        data[i] = (char)(data[i] ^ 0x55);
        int rc = read_all(other);
        ck_assert_msg(rc == MPIVF_OK || rc == MPIVF_CORRUPT, "byte %zu: %s", i, ivf_error_last()->text);
        tried++;
        found += rc == MPIVF_CORRUPT;
    }
    ck_assert_int_gt(tried, 100);
    ck_assert_int_eq(found, tried);
    ck_assert_int_eq(read_all(path), MPIVF_OK);
    ivf_free(data);
    expect_nothing_held();
}
END_TEST

/* Makes a file with plain HDF5, as a stranger might. */
static void make_strange_file(void)
{
    hsize_t dims[1] = {1000};
    hsize_t huge[3] = {(hsize_t)1 << 40, (hsize_t)1 << 40, 1};
    hsize_t many[4] = {1, 1, 1, 1};
    ivf_h5_lock();
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t chunked = H5Pcreate(H5P_DATASET_CREATE);
    hid_t external = H5Pcreate(H5P_DATASET_CREATE);
    hid_t line = H5Screate_simple(1, dims, NULL);
    hid_t cube = H5Screate_simple(3, huge, NULL);
    hid_t four = H5Screate_simple(4, many, NULL);
    hid_t scalar = H5Screate(H5S_SCALAR);
    ck_assert(H5Pset_chunk(chunked, 1, dims) >= 0);
    ck_assert(H5Pset_external(external, "elsewhere", 0, H5F_UNLIMITED) >= 0);
    const struct {
        const char *name;
        hid_t type, space, list;
    } sets[] = {
        {"chunked", H5T_IEEE_F32LE, line, chunked},       {"external", H5T_IEEE_F32LE, line, external},
        {"huge", H5T_IEEE_F32LE, cube, H5P_DEFAULT},      {"unwritten", H5T_IEEE_F32LE, line, H5P_DEFAULT},
        {"four", H5T_IEEE_F32LE, four, H5P_DEFAULT},      {"scalar", H5T_IEEE_F32LE, scalar, H5P_DEFAULT},
        {"bigendian", H5T_IEEE_F32BE, line, H5P_DEFAULT}, {"text", H5T_C_S1, line, H5P_DEFAULT},
    };
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        hid_t set = H5Dcreate2(file, sets[i].name, sets[i].type, sets[i].space, H5P_DEFAULT, sets[i].list, H5P_DEFAULT);
        ck_assert_msg(set >= 0 || strcmp(sets[i].name, "huge") == 0, "%s", sets[i].name);
        (void)H5Dclose(set);
    }
    ck_assert(H5Lcreate_external("b.h5", "floats", file, "link", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    hid_t variable = H5Tcopy(H5T_C_S1);
    ck_assert(H5Tset_size(variable, H5T_VARIABLE) >= 0);
    hid_t attribute = H5Acreate2(file, "config", variable, scalar, H5P_DEFAULT, H5P_DEFAULT);
    const char *text = "text";
    ck_assert(H5Awrite(attribute, variable, &text) >= 0);
    (void)H5Aclose(attribute);
    attribute = H5Acreate2(file, "line", H5T_STD_I64LE, line, H5P_DEFAULT, H5P_DEFAULT);
    (void)H5Aclose(attribute);
    ck_assert(H5Fclose(file) >= 0);
    ivf_h5_unlock();
}

START_TEST(forms_that_are_not_ours_are_corrupt)
{
    const char *const names[] = {"chunked", "external",  "huge", "unwritten", "four",
                                 "scalar",  "bigendian", "text", "link",      "/chunked"};
    ivf_h5 *file = NULL;
    char *text = NULL;
    int64_t number = 0;
    ck_assert_int_eq(make_file(other), MPIVF_OK);
    make_strange_file();
    ck_assert_int_eq(ivf_h5_open(path, &file), MPIVF_OK);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ivf_array found;
        int64_t offset = 0;
        ck_assert_msg(ivf_h5_describe(file, names[i], &found, &offset) == MPIVF_CORRUPT, "%s", names[i]);
        ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, names[i]));
    }
    ck_assert_int_eq(ivf_h5_read_text(file, "config", &text), MPIVF_CORRUPT);
    ck_assert_int_eq(ivf_h5_read_i64(file, "line", &number), MPIVF_CORRUPT);
    ivf_h5_release(file);
}
END_TEST

static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
    (void)signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        abort();
}

/* Check itself writes to a file after each assertion, so the limit must not outlive the attempt. */
static int make_file_within(rlim_t bytes)
{
    limit_file_size(bytes);
    int rc = make_file(path);
    limit_file_size(RLIM_INFINITY);
    return rc;
}

static int count_open_files(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(dir);
    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return count;
}

/* A limit at any point of the file: a failure with a reason, nothing left behind in the folder, the process or HDF5,
 * which closes down in order, as when a process ends. */
START_TEST(a_full_disk_fails_in_one_line)
{
    struct stat info;
    ck_assert_int_eq(make_file(other), MPIVF_OK);
    ck_assert_int_eq(stat(other, &info), 0);
    int open_files = count_open_files();
    for (off_t limit = 0; limit < info.st_size; limit += limit < 8192 ? 64 : 5000) {
        ck_assert_int_eq(make_file_within((rlim_t)limit), MPIVF_FAILED);
        ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, path));
        ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "File too large"));
        ck_assert_int_ne(access(path, F_OK), 0);
    }
    ck_assert_int_eq(count_open_files(), open_files);
    expect_nothing_held();
    ck_assert_int_eq(make_file(path), MPIVF_OK);
    expect_same_files(path, other);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(make_file_within(6000), MPIVF_FAILED);
    ck_assert_int_ge(H5close(), 0);
}
END_TEST

static size_t bytes_in_use(void)
{
    ivf_h5_lock();
    ck_assert_int_ge(H5garbage_collect(), 0);
    ivf_h5_unlock();
    return mallinfo2().uordblks;
}

/* HDF5 does not tell how many types, shapes and property lists are open, but what is left open takes memory, KiBs a
 * round. (The sanitizers' allocators report 0 throughout.) */
START_TEST(nothing_is_left_open_in_hdf5)
{
    enum { ROUNDS = 20 };
    size_t before = 0;
    for (int i = -5; i < ROUNDS; i++) {
        if (i == 0)
            before = bytes_in_use();
        ck_assert_int_eq(make_file(path), MPIVF_OK);
        ck_assert_int_eq(read_all(path), MPIVF_OK);
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(make_file_within(20000), MPIVF_FAILED);
    }
    ck_assert_uint_lt(bytes_in_use(), before + (size_t)ROUNDS * 1024);
}
END_TEST

START_TEST(abandoned_files_are_gone)
{
    ivf_h5 *file = NULL;
    fill();
    ck_assert_int_eq(ivf_h5_create(path, &file), MPIVF_OK);
    ck_assert_int_eq(write_all(file, "x"), MPIVF_OK);
    ivf_h5_abandon(file);
    ck_assert_int_ne(access(path, F_OK), 0);
    expect_nothing_held();
    ivf_h5_abandon(NULL);
    ivf_h5_release(NULL);
}
END_TEST

static void *write_and_read(void *arg)
{
    static _Atomic int failures;
    char name[TEST_PATH_BYTES + 64];
    for (int i = 0; i < 5; i++) {
        ivf_h5 *file = NULL;
        (void)snprintf(name, sizeof name, "%s/thread%d-%d.h5", folder, *(const int *)arg, i);
        if (ivf_h5_create(name, &file) != MPIVF_OK || write_all(file, "t") != MPIVF_OK ||
            ivf_h5_close(file) != MPIVF_OK || read_all(name) != MPIVF_OK)
            failures++;
    }
    return &failures;
}

START_TEST(threads_use_files_of_their_own_at_once)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    int numbers[THREADS];
    fill();
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_and_read, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failures = NULL;
        ck_assert_int_eq(pthread_join(threads[i], &failures), 0);
        ck_assert_int_eq(*(_Atomic int *)failures, 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("h5");
    TCase *tests = tcase_create("h5");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, every_type_comes_back);
    tcase_add_test(tests, long_texts_come_back);
    tcase_add_test(tests, equal_contents_give_equal_bytes);
    tcase_add_test(tests, fresh_processes_write_equal_bytes);
    tcase_add_test(tests, an_existing_file_is_left_alone);
    tcase_add_test(tests, wrong_requests_name_both_sides);
    tcase_add_test(tests, truncated_files_are_corrupt);
    tcase_add_test(tests, damaged_metadata_is_corrupt);
    tcase_add_test(tests, forms_that_are_not_ours_are_corrupt);
    tcase_add_test(tests, a_full_disk_fails_in_one_line);
    tcase_add_test(tests, nothing_is_left_open_in_hdf5);
    tcase_add_test(tests, abandoned_files_are_gone);
    tcase_add_test(tests, threads_use_files_of_their_own_at_once);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
