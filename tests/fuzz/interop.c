/* Files of other programs: indexes of FAISS, and arrays of trained parts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "comm/context.h"
#include "interop/export.h"
#include "interop/faiss_file.h"
#include "io/folder.h"
#include "io/npyfile.h"
#include "shard_files.h"
#include "small_index.h"
#include "targets.h"

enum { MIB = 1 << 20 };

/* ---- FAISS ---- */

static void seed_faiss(fuzz_sink *sink, void *arg)
{
    static const char *const factories[] = {"IVF24,Flat", "IVF24,SQ6", "IVF24,PQ4x5", "IVF24,PQ8x4fs"};
    ivf_ctx *ctx = ivf_ctx_open_self();
    if (ctx == NULL)
        abort();
    for (size_t i = 0; i < sizeof factories / sizeof factories[0]; i++) {
        char index[IVF_PATH_BYTES];
        char file[IVF_PATH_BYTES];
        small_index small;
        ivf_export_report report;
        (void)snprintf(index, sizeof index, "%s", fuzz_path("index"));
        (void)snprintf(file, sizeof file, "%s", fuzz_path("seed.faiss"));
        const ivf_export_config config = {
            .index = index, .output = file, .format = i == 1 ? IVF_EXPORT_FAISS_DISK : IVF_EXPORT_FAISS, .nprobe = 3};
        if (ivf_make_folder(index) != MPIVF_OK || small_make(&small, factories[i], IVF_L2) != MPIVF_OK ||
            small_write(&small, index) != MPIVF_OK || ivf_export(ctx, &config, &report) != MPIVF_OK)
            abort();
        small_free(&small);
        fuzz_give_file(file, sink, arg);
        (void)ivf_folder_remove(index);
    }
    ivf_ctx_close(ctx);
}

static void run_faiss(const uint8_t *data, size_t bytes)
{
    ivf_rawfile file;
    ivf_faiss_index index = {0};
    int rc = ivf_rawfile_open(fuzz_file("a.faiss", data, bytes), &file);
    if (rc == MPIVF_OK) {
        rc = ivf_faiss_read(&file, &index);
        ivf_faiss_free(&index);
        ivf_rawfile_close(&file);
    }
    fuzz_check_outcome(rc);
}

/* ---- arrays ---- */

static void seed_floats(fuzz_sink *sink, void *arg)
{
    const char *path = fuzz_path("seed.npy");
    for (int version = 1; version <= 3; version++) {
        test_write_npy(path, version, IVF_F32, 0, 12, 5);
        fuzz_give_file(path, sink, arg);
    }
}

static void run_floats(const uint8_t *data, size_t bytes)
{
    int64_t dims[IVF_ARRAY_RANK];
    const char *path = fuzz_file("a.npy", data, bytes);
    for (int rank = 2; rank <= 3; rank++) {
        float *values = NULL;
        int rc = ivf_npyfile_read(path, rank, dims, &values);
        ivf_free(values);
        fuzz_check_outcome(rc);
    }
}

const fuzz_target fuzz_faiss = {"faiss", seed_faiss, run_faiss, MIB, 32};
const fuzz_target fuzz_floats = {"floats", seed_floats, run_floats, MIB, 2};
