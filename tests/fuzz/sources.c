/* Vectors, ids and ground truth in every format. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/numbers.h"
#include "fuzz.h"
#include "io/groundtruth.h"
#include "io/results.h"
#include "io/source.h"
#include "shard_files.h"
#include "targets.h"

enum { ROWS = 12, D = 5, MIB = 1 << 20, SOURCE_BASE = 12 * MIB };

static float values[4 << 20];

/* The first and the last rows of what the header says there is. */
static int read_ends(const char *path, const char *h5_path, ivf_contents contents, const ivf_layout *layout)
{
    ivf_source *source = NULL;
    int64_t n = ivf_min_i64(layout->rows, 3);
    int rc = ivf_source_open(path, h5_path, layout, &source);
    for (int end = 0; rc == MPIVF_OK && n > 0 && end < 2; end++) {
        int64_t first = end == 0 ? 0 : layout->rows - n;
        rc = contents == IVF_VECTORS ? ivf_source_read(source, first, n, values)
                                     : ivf_source_fetch(source, first, n, values);
    }
    ivf_source_close(source);
    return rc;
}

static void run_source(const char *name, const char *h5_path, ivf_contents contents, const uint8_t *data, size_t bytes)
{
    ivf_layout layout;
    ivf_rawfile file;
    const char *path = fuzz_file(name, data, bytes);
    int rc = ivf_source_probe(path, h5_path, contents, &layout, &file);
    if (rc == MPIVF_OK)
        rc = read_ends(path, h5_path, contents, &layout);
    fuzz_check_outcome(rc);
}

/* ---- raw vectors ---- */

static void seed_npy(fuzz_sink *sink, void *arg)
{
    static const ivf_element types[] = {IVF_F32, IVF_F64, IVF_F16, IVF_U8, IVF_I8};
    for (int i = 0; i < 5; i++) {
        const char *path = fuzz_path("seed.npy");
        test_write_npy(path, 1 + i % 3, types[i], 0, ROWS, D);
        fuzz_give_file(path, sink, arg);
    }
}

static void run_npy(const uint8_t *data, size_t bytes)
{
    run_source("a.npy", NULL, IVF_VECTORS, data, bytes);
}

/* The ending, too, comes from the bytes: the first of them. */
static const char *const raw_names[] = {"a.fvecs", "a.bvecs", "a.fbin", "a.f16bin", "a.u8bin", "a.i8bin"};

static void give_raw(int name, const char *path, fuzz_sink *sink, void *arg)
{
    static uint8_t data[1024];
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        abort();
    data[0] = (uint8_t)name;
    size_t bytes = fread(data + 1, 1, sizeof data - 1, file);
    (void)fclose(file);
    (void)remove(path);
    sink(arg, data, bytes + 1);
}

static void seed_raw(fuzz_sink *sink, void *arg)
{
    static const ivf_element types[] = {IVF_F32, IVF_U8, IVF_F32, IVF_F16, IVF_U8, IVF_I8};
    for (int i = 0; i < 6; i++) {
        const char *path = fuzz_path(raw_names[i]);
        if (i < 2)
            test_write_vecs(path, types[i], 0, ROWS, D);
        else
            test_write_bin(path, types[i], 0, ROWS, D);
        give_raw(i, path, sink, arg);
    }
}

static void run_raw(const uint8_t *data, size_t bytes)
{
    if (bytes > 0)
        run_source(raw_names[data[0] % 6], NULL, IVF_VECTORS, data + 1, bytes - 1);
}

/* ---- HDF5 ---- */

static void seed_h5(fuzz_sink *sink, void *arg)
{
    static const test_h5_form forms[] = {{0},
                                         {.big_endian = true},
                                         {.chunk_rows = 5},
                                         {.chunk_rows = 5, .compressed = true},
                                         {.chunk_rows = 4, .chunk_columns = 2}};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        const char *path = fuzz_path("seed.h5");
        test_write_h5(path, "train", i % 2 == 0 ? IVF_F32 : IVF_F64, 0, ROWS, D, forms[i]);
        fuzz_give_file(path, sink, arg);
    }
}

static void run_h5(const uint8_t *data, size_t bytes)
{
    run_source("a.h5", "train", IVF_VECTORS, data, bytes);
}

/* ---- ids ---- */

static const uint64_t some_ids[ROWS] = {5, 3, 1, 1ULL << 40, 0, 2};
static const char *const id_names[] = {"ids", "ids.npy", "ids.h5"};

static void seed_ids(fuzz_sink *sink, void *arg)
{
    const char *path = fuzz_file("seed", some_ids, sizeof some_ids);
    give_raw(0, path, sink, arg);
    path = fuzz_path("seed.npy");
    test_write_npy_raw(path, 1, "{'descr': '<u8', 'fortran_order': False, 'shape': (12,), }", some_ids,
                       sizeof some_ids);
    give_raw(1, path, sink, arg);
}

static void run_ids(const uint8_t *data, size_t bytes)
{
    if (bytes > 0)
        run_source(id_names[data[0] % 2], NULL, IVF_ID_LIST, data + 1, bytes - 1);
}

static void seed_ids_h5(fuzz_sink *sink, void *arg)
{
    const char *path = fuzz_path("seed.h5");
    test_write_h5_ids(path, "ids", true, some_ids, ROWS);
    fuzz_give_file(path, sink, arg);
}

static void run_ids_h5(const uint8_t *data, size_t bytes)
{
    run_source(id_names[2], "ids", IVF_ID_LIST, data, bytes);
}

/* ---- ground truth and results ---- */

static const int64_t truth_ids[4 * 3] = {1, 2, 3, 4, 5, 6, 7, 8, -1, 9, 8, 7};
static const float truth_distances[4 * 3] = {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2};

static void run_truth(const char *name, const uint8_t *data, size_t bytes)
{
    ivf_groundtruth truth;
    int rc = ivf_groundtruth_read(fuzz_file(name, data, bytes), &truth);
    ivf_groundtruth_free(&truth);
    fuzz_check_outcome(rc);
}

static void seed_truth_bin(fuzz_sink *sink, void *arg)
{
    const char *path = fuzz_path("seed.bin");
    if (ivf_results_write(path, truth_ids, truth_distances, 4, 3) != MPIVF_OK)
        abort();
    fuzz_give_file(path, sink, arg);
}

static void run_truth_bin(const uint8_t *data, size_t bytes)
{
    run_truth("a.bin", data, bytes);
}

static void seed_truth_ivecs(fuzz_sink *sink, void *arg)
{
    static const int32_t rows[] = {3, 1, 2, 3, 3, 4, 5, 6, 3, 7, 8, 9};
    sink(arg, rows, sizeof rows);
}

static void run_truth_ivecs(const uint8_t *data, size_t bytes)
{
    run_truth("a.ivecs", data, bytes);
}

static void seed_truth_h5(fuzz_sink *sink, void *arg)
{
    const char *path = fuzz_path("seed.h5");
    if (ivf_results_write(path, truth_ids, truth_distances, 4, 3) != MPIVF_OK)
        abort();
    fuzz_give_file(path, sink, arg);
}

static void run_truth_h5(const uint8_t *data, size_t bytes)
{
    run_truth("a.h5", data, bytes);
}

const fuzz_target fuzz_npy = {"npy", seed_npy, run_npy, SOURCE_BASE, 1};
const fuzz_target fuzz_raw = {"raw", seed_raw, run_raw, SOURCE_BASE, 1};
const fuzz_target fuzz_h5 = {"h5", seed_h5, run_h5, SOURCE_BASE, 8};
const fuzz_target fuzz_ids = {"ids", seed_ids, run_ids, SOURCE_BASE, 1};
const fuzz_target fuzz_ids_h5 = {"ids_h5", seed_ids_h5, run_ids_h5, SOURCE_BASE, 8};
const fuzz_target fuzz_truth_bin = {"truth_bin", seed_truth_bin, run_truth_bin, MIB, 8};
const fuzz_target fuzz_truth_ivecs = {"truth_ivecs", seed_truth_ivecs, run_truth_ivecs, MIB, 8};
const fuzz_target fuzz_truth_h5 = {"truth_h5", seed_truth_h5, run_truth_h5, MIB, 32};
