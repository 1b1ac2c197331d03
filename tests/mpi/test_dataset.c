/* io/dataset and io/stream: the same list on every rank, the same refusal on every rank, and the rows right. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "base/team.h"
#include "comm/transfer.h"
#include "io/dataset.h"
#include "io/stream.h"
#include "mpi_suite.h"
#include "shard_files.h"
#include "temp.h"

enum { D = 7, PATH = TEST_PATH_BYTES + 128 };

static char folder[TEST_PATH_BYTES];

static void setup(void)
{
    test_shared_temp_make(folder);
}

static void teardown(void)
{
    test_shared_temp_remove(folder);
}

static const char *in_folder(const char *name)
{
    static char paths[8][PATH];
    static int next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, PATH, "%s/%s", folder, name);
    return path;
}

static int open_one(const char *input, ivf_dataset **dataset)
{
    ivf_barrier(test_ctx);
    const ivf_dataset_spec spec = {.inputs = &input, .count = 1, .h5_path = "train"};
    return ivf_dataset_open(test_ctx, &spec, dataset);
}

/* Four f32 shards of all layouts, one of them empty: rows 0..99, 100..149, none, 150..249. */
static void write_shards(void)
{
    if (!ivf_ctx_is_root(test_ctx))
        return;
    test_write_npy(in_folder("a.npy"), 1, IVF_F32, 0, 100, D);
    test_write_vecs(in_folder("b.fvecs"), IVF_F32, 100, 50, D);
    test_write_bin(in_folder("c.fbin"), IVF_F32, 0, 0, D);
    test_write_h5(in_folder("d.h5"), "train", IVF_F32, 150, 100, D,
                  (test_h5_form){.chunk_rows = 9, .compressed = true});
    test_write_file(in_folder("README"), "not a shard", 11);
    test_write_file(in_folder(".hidden.npy"), "not a shard", 11);
}

START_TEST(every_rank_has_the_same_list)
{
    ivf_dataset *dataset = NULL;
    write_shards();
    test_all(open_one(folder, &dataset) == MPIVF_OK);
    test_all(ivf_dataset_rows(dataset) == 250 && ivf_dataset_d(dataset) == D);
    test_all(ivf_dataset_type(dataset) == IVF_F32 && ivf_dataset_shards(dataset) == 4);
    ivf_shard last = ivf_dataset_shard(dataset, 3);
    test_all(strcmp(last.path, in_folder("d.h5")) == 0 && strcmp(last.format, "hdf5") == 0);
    test_all(last.rows == 100 && last.first_row == 150 && last.bytes > 100 && last.mtime_ns > 0);
    test_all(ivf_dataset_shard(dataset, 2).rows == 0);
    test_all(ivf_dataset_shard_of(dataset, 0) == 0 && ivf_dataset_shard_of(dataset, 99) == 0);
    test_all(ivf_dataset_shard_of(dataset, 100) == 1 && ivf_dataset_shard_of(dataset, 150) == 3);
    test_all(ivf_dataset_shard_of(dataset, 249) == 3);
    ivf_dataset_close(dataset);
}
END_TEST

static bool all_ranges_right(ivf_dataset *dataset, float *x)
{
    const int64_t rows = ivf_dataset_rows(dataset);
    for (int64_t first = 0; first <= rows; first += 7)
        for (int64_t n = 0; n <= rows - first; n = 2 * n + 1)
            if (ivf_dataset_read(dataset, first, n, x) != MPIVF_OK || !test_rows_right(IVF_F32, first, n, D, x))
                return false;
    return true;
}

START_TEST(reads_cross_shard_borders)
{
    ivf_dataset *dataset = NULL;
    float *x = ivf_new(250, D * sizeof *x);
    write_shards();
    test_all(open_one(folder, &dataset) == MPIVF_OK);
    test_all(all_ranges_right(dataset, x));
    int64_t before = ivf_dataset_bytes_read(dataset);
    test_all(ivf_dataset_read(dataset, 0, 100, x) == MPIVF_OK);
    test_all(ivf_dataset_bytes_read(dataset) - before == 100 * D * 4);
    test_all(ivf_dataset_read(dataset, 200, 51, x) == MPIVF_FAILED);
    test_all(ivf_dataset_read(dataset, -1, 1, x) == MPIVF_FAILED);
    test_all(ivf_dataset_read(dataset, 1, INT64_MAX, x) == MPIVF_FAILED);
    ivf_dataset_close(dataset);
    ivf_free(x);
}
END_TEST

static bool picks_right(ivf_dataset *dataset, const int64_t *picks, int64_t n, float *x)
{
    bool right = ivf_dataset_read_rows(dataset, picks, n, IVF_DATASET_GAP, x) == MPIVF_OK;
    for (int64_t i = 0; right && i < n; i++)
        right = test_rows_right(IVF_F32, picks[i], 1, D, x + i * D);
    return right;
}

START_TEST(scattered_rows_are_the_same_rows)
{
    ivf_dataset *dataset = NULL;
    int64_t picks[250];
    float *x = ivf_new(250, D * sizeof *x);
    bool right = true;
    write_shards();
    test_all(open_one(folder, &dataset) == MPIVF_OK);
    for (uint64_t round = 0; round < 50; round++) {
        int64_t n = 0;
        for (int64_t row = 0; row < 250; row++)
            if (ivf_rng_below(round, IVF_RNG_TEST, (uint64_t)row, 8) < round % 9)
                picks[n++] = row;
        right = right && picks_right(dataset, picks, n, x);
    }
    test_all(right);
    test_all(ivf_dataset_read_rows(dataset, (int64_t[]){3, 3}, 2, IVF_DATASET_GAP, x) == MPIVF_FAILED);
    test_all(ivf_dataset_read_rows(dataset, (int64_t[]){250}, 1, IVF_DATASET_GAP, x) == MPIVF_FAILED);
    ivf_dataset_close(dataset);
    ivf_free(x);
}
END_TEST

/* Rows of 4 KiB, so that picks fall into several spans and tasks. */
START_TEST(wide_gaps_are_not_read)
{
    enum { WIDE = 1024, ROWS = 400 };
    ivf_dataset *dataset = NULL;
    float *x = ivf_new(ROWS, WIDE * sizeof *x);
    const int64_t picks[] = {0, 1, 5, 6, 200, 217, 235, 399};
    if (ivf_ctx_is_root(test_ctx))
        test_write_npy(in_folder("wide.npy"), 2, IVF_F32, 0, ROWS, WIDE);
    test_all(open_one(in_folder("wide.npy"), &dataset) == MPIVF_OK);
    ivf_team_resize(3);
    test_all(ivf_dataset_read_rows(dataset, picks, 8, IVF_DATASET_GAP, x) == MPIVF_OK);
    ivf_team_resize(1);
    bool right = true;
    for (int i = 0; i < 8; i++)
        right = right && test_rows_right(IVF_F32, picks[i], 1, WIDE, x + (size_t)i * WIDE);
    test_all(right);
    /* 0..6 together, 200..217 together (a gap of 16 rows is 64 KiB), 235 and 399 alone. */
    test_all(ivf_dataset_bytes_read(dataset) == (int64_t)(7 + 18 + 1 + 1) * WIDE * 4);
    ivf_dataset_close(dataset);
    ivf_free(x);
}
END_TEST

START_TEST(many_shards_need_few_open_files)
{
    enum { SHARDS = 100 };
    ivf_dataset *dataset = NULL;
    char name[32];
    float x[SHARDS * D];
    int64_t picks[SHARDS];
    for (int i = 0; i < SHARDS; i++) {
        (void)snprintf(name, sizeof name, "s%03d.fbin", i);
        if (ivf_ctx_is_root(test_ctx))
            test_write_bin(in_folder(name), IVF_F32, i, 1, D);
        picks[i] = i;
    }
    test_all(open_one(in_folder("s*.fbin"), &dataset) == MPIVF_OK);
    test_all(ivf_dataset_shards(dataset) == SHARDS);
    int before = dup(0);
    (void)close(before);
    for (int round = 0; round < 3; round++) {
        test_all(ivf_dataset_read(dataset, 0, SHARDS, x) == MPIVF_OK && test_rows_right(IVF_F32, 0, SHARDS, D, x));
        test_all(picks_right(dataset, picks, SHARDS, x));
    }
    int after = dup(0);
    (void)close(after);
    test_all(after - before <= 64);
    ivf_dataset_close(dataset);
}
END_TEST

/* More shards than may be open, HDF5 among them, read by the stream's thread and by three others at once. */
START_TEST(streams_and_scattered_reads_go_on_at_once)
{
    enum { SHARDS = 20, EACH = 10, ROWS = SHARDS * EACH };
    ivf_dataset *dataset = NULL;
    int64_t picks[ROWS / 3];
    for (int i = 0; ivf_ctx_is_root(test_ctx) && i < SHARDS; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, i % 2 == 0 ? "s%02d.fbin" : "s%02d.h5", i);
        if (i % 2 == 0)
            test_write_bin(in_folder(name), IVF_F32, (int64_t)i * EACH, EACH, D);
        else
            test_write_h5(in_folder(name), "train", IVF_F32, (int64_t)i * EACH, EACH, D,
                          (test_h5_form){.chunk_rows = 3, .compressed = true});
    }
    for (int i = 0; i < ROWS / 3; i++)
        picks[i] = 3 * i;
    float *x = ivf_new(ROWS, D * sizeof *x);
    test_all(open_one(folder, &dataset) == MPIVF_OK);
    ivf_team_resize(3);
    ivf_stream *stream = ivf_stream_open(dataset, 7, 3);
    bool right = ivf_stream_push(stream, 0, ROWS) == MPIVF_OK;
    ivf_stream_block block = {.last_of_range = false};
    while (right && !block.last_of_range)
        right = ivf_stream_next(stream, &block) == MPIVF_OK &&
                test_rows_right(IVF_F32, block.first, block.n, D, block.x) && picks_right(dataset, picks, ROWS / 3, x);
    ivf_stream_close(stream);
    ivf_team_resize(1);
    test_all(right);
    ivf_dataset_close(dataset);
    ivf_free(x);
}
END_TEST

static void expect_refusal(const char *input, const char *words)
{
    ivf_dataset *dataset = NULL;
    int rc = open_one(input, &dataset);
    if (strstr(ivf_error_last()->text, words) == NULL)
        (void)fprintf(stderr, "expected '%s' in '%s'\n", words, ivf_error_last()->text);
    test_all(rc == MPIVF_BAD_INPUT && dataset == NULL);
    test_all(strstr(ivf_error_last()->text, words) != NULL);
}

START_TEST(refusals_reach_every_rank)
{
    if (ivf_ctx_is_root(test_ctx)) {
        test_write_npy(in_folder("a.npy"), 1, IVF_F32, 0, 10, D);
        test_write_npy(in_folder("wider.npy"), 1, IVF_F32, 0, 10, D + 1);
        test_write_npy(in_folder("double.npy"), 1, IVF_F64, 0, 10, D);
        test_write_bin(in_folder("empty.fbin"), IVF_F32, 0, 0, D);
        test_write_vecs(in_folder("empty.fvecs"), IVF_F32, 0, 0, D);
        ck_assert_int_eq(symlink("a.npy", in_folder("link.npy")), 0);
        test_write_file(in_folder("wide"), "a.npy\nwider.npy\n", 16);
        test_write_file(in_folder("types"), "a.npy\ndouble.npy\n", 17);
        test_write_file(in_folder("twice"), "a.npy\nlink.npy\n", 15);
        test_write_file(in_folder("none"), "empty.fbin\nempty.fvecs\n", 23);
        test_write_file(in_folder("comments"), "# nothing\n\n", 11);
        test_write_file(in_folder("myself"), "@myself\n", 8);
    }
    char list[PATH + 1];
    static const struct {
        const char *list;
        const char *words;
    } cases[] = {{"wide", "has d = 8, but"}, {"types", "holds f64, but"},   {"twice", "is given twice"},
                 {"none", "has no rows"},    {"comments", "names no file"}, {"myself", "nested more than 8 deep"},
                 {"missing", "No such file"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)snprintf(list, sizeof list, "@%s", in_folder(cases[i].list));
        expect_refusal(list, cases[i].words);
    }
    expect_refusal(in_folder("no.npy"), "No such file");
    expect_refusal(in_folder("x*.npy"), "none matches");
    expect_refusal("", "an input is empty");
}
END_TEST

/* A rank-local failure while reading: the file shrinks after it was opened. */
START_TEST(a_shrunken_file_is_named)
{
    ivf_dataset *dataset = NULL;
    float x[20 * D];
    if (ivf_ctx_is_root(test_ctx))
        test_write_bin(in_folder("a.fbin"), IVF_F32, 0, 20, D);
    test_all(open_one(in_folder("a.fbin"), &dataset) == MPIVF_OK);
    test_all(ivf_dataset_read(dataset, 0, 20, x) == MPIVF_OK);
    ivf_barrier(test_ctx);
    if (ivf_ctx_is_root(test_ctx))
        ck_assert_int_eq(truncate(in_folder("a.fbin"), 8 + 10 * D * 4 + 2), 0);
    ivf_barrier(test_ctx);
    test_all(ivf_dataset_read(dataset, 0, 10, x) == MPIVF_OK);
    test_all(ivf_dataset_read(dataset, 9, 2, x) == MPIVF_BAD_INPUT);
    test_all(strstr(ivf_error_last()->text, "a.fbin") != NULL);
    ivf_dataset_close(dataset);
}
END_TEST

/* Pushes odd ranges and checks each block that comes. */
static bool stream_right(ivf_dataset *dataset, int64_t block_rows, int depth)
{
    static const int64_t ranges[][2] = {{0, 250}, {249, 1}, {3, 64}, {100, 0}, {90, 70}};
    ivf_stream *stream = ivf_stream_open(dataset, block_rows, depth);
    bool right = stream != NULL;
    for (size_t r = 0; right && r < 5; r++)
        right = ivf_stream_push(stream, ranges[r][0], ranges[r][1]) == MPIVF_OK;
    for (size_t r = 0; right && r < 5; r++) {
        for (int64_t done = 0; right && done < ranges[r][1];) {
            ivf_stream_block block;
            const int64_t wanted = ivf_min_i64(block_rows, ranges[r][1] - done);
            right = ivf_stream_next(stream, &block) == MPIVF_OK && block.first == ranges[r][0] + done &&
                    block.n == wanted && block.last_of_range == (done + wanted == ranges[r][1]) &&
                    test_rows_right(IVF_F32, block.first, block.n, D, block.x);
            if (right)
                memset(block.x, 0, (size_t)block.n * D * sizeof *block.x);
            done += wanted;
        }
    }
    ivf_stream_block block;
    right = right && ivf_stream_next(stream, &block) == MPIVF_FAILED;
    ivf_stream_close(stream);
    return right;
}

START_TEST(streams_give_what_plain_reads_give)
{
    ivf_dataset *dataset = NULL;
    write_shards();
    test_all(open_one(folder, &dataset) == MPIVF_OK);
    static const int64_t sizes[] = {1, 3, 64, 1000};
    bool right = true;
    for (size_t i = 0; i < 4; i++)
        for (int depth = 2; depth <= 4; depth++)
            right = right && stream_right(dataset, sizes[i], depth);
    test_all(right);
    test_all(ivf_stream_open(dataset, 0, 2) == NULL && ivf_stream_open(dataset, 1, 1) == NULL);
    ivf_dataset_close(dataset);
}
END_TEST

/* Pushes and takes take turns, so that waiting ranges go round their ring and outgrow it at odd places. */
START_TEST(ranges_come_in_the_order_in_which_they_were_pushed)
{
    ivf_dataset *dataset = NULL;
    write_shards();
    test_all(open_one(folder, &dataset) == MPIVF_OK);
    ivf_stream *stream = ivf_stream_open(dataset, 1, 2);
    int64_t pushed = 0;
    int64_t taken = 0;
    bool right = true;
    for (int64_t round = 1; right && round < 12; round++) {
        for (int64_t i = 0; right && i < 3 * round; i++, pushed++)
            right = ivf_stream_push(stream, pushed, 1) == MPIVF_OK;
        for (; right && taken < pushed - round; taken++) {
            ivf_stream_block block;
            right = ivf_stream_next(stream, &block) == MPIVF_OK && block.first == taken;
        }
    }
    ivf_stream_close(stream);
    test_all(right);
    ivf_dataset_close(dataset);
}
END_TEST

/* Many more ranges than fit at first, and a close with work left. */
START_TEST(streams_close_at_any_time)
{
    ivf_dataset *dataset = NULL;
    write_shards();
    test_all(open_one(folder, &dataset) == MPIVF_OK);
    bool right = true;
    for (int taken = 0; taken < 12; taken++) {
        ivf_stream *stream = ivf_stream_open(dataset, 5, 3);
        for (int64_t r = 0; r < 100; r++)
            right = right && ivf_stream_push(stream, r, 20) == MPIVF_OK;
        for (int i = 0; i < taken; i++) {
            ivf_stream_block block;
            right = right && ivf_stream_next(stream, &block) == MPIVF_OK;
        }
        ivf_stream_close(stream);
    }
    ivf_stream *stream = ivf_stream_open(dataset, 5, 3);
    test_all(ivf_stream_push(stream, 240, 11) == MPIVF_FAILED);
    ivf_stream_close(stream);
    ivf_stream_close(NULL);
    test_all(right);
    ivf_dataset_close(dataset);
}
END_TEST

START_TEST(a_failed_reader_says_so_in_its_place)
{
    ivf_dataset *dataset = NULL;
    if (ivf_ctx_is_root(test_ctx))
        test_write_bin(in_folder("a.fbin"), IVF_F32, 0, 100, D);
    test_all(open_one(in_folder("a.fbin"), &dataset) == MPIVF_OK);
    float x[D];
    test_all(ivf_dataset_read(dataset, 0, 1, x) == MPIVF_OK);
    ivf_barrier(test_ctx);
    if (ivf_ctx_is_root(test_ctx))
        ck_assert_int_eq(truncate(in_folder("a.fbin"), 8 + 55 * D * 4), 0);
    ivf_barrier(test_ctx);
    ivf_stream *stream = ivf_stream_open(dataset, 10, 2);
    bool right = ivf_stream_push(stream, 0, 100) == MPIVF_OK;
    ivf_stream_block block;
    for (int i = 0; i < 5; i++)
        right = right && ivf_stream_next(stream, &block) == MPIVF_OK && block.first == 10 * i;
    for (int again = 0; again < 2; again++) {
        ivf_error_clear();
        right = right && ivf_stream_next(stream, &block) == MPIVF_BAD_INPUT;
        right = right && strstr(ivf_error_last()->text, "a.fbin ends at byte") != NULL;
    }
    ivf_stream_close(stream);
    test_all(right);
    ivf_dataset_close(dataset);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dataset");
    TCase *tests = tcase_create("dataset");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, every_rank_has_the_same_list);
    tcase_add_test(tests, reads_cross_shard_borders);
    tcase_add_test(tests, scattered_rows_are_the_same_rows);
    tcase_add_test(tests, wide_gaps_are_not_read);
    tcase_add_test(tests, many_shards_need_few_open_files);
    tcase_add_test(tests, streams_and_scattered_reads_go_on_at_once);
    tcase_add_test(tests, refusals_reach_every_rank);
    tcase_add_test(tests, a_shrunken_file_is_named);
    tcase_add_test(tests, streams_give_what_plain_reads_give);
    tcase_add_test(tests, ranges_come_in_the_order_in_which_they_were_pushed);
    tcase_add_test(tests, streams_close_at_any_time);
    tcase_add_test(tests, a_failed_reader_says_so_in_its_place);
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
