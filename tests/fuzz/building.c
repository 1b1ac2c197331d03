/* What an unfinished build keeps: its plan, its model, the log of its fragments, its checkpoints. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "index/building.h"
#include "index/done.h"
#include "io/checkpoint.h"
#include "io/publish.h"
#include "targets.h"

enum { MIB = 1 << 20 };

static void make_folder(const char *name)
{
    if (ivf_make_folder(fuzz_path(name)) != MPIVF_OK)
        abort();
}

/* ---- plan.json and model.json ---- */

static void seed_building(fuzz_sink *sink, void *arg)
{
    const ivf_building_model model = {.id = "0123456789abcdef", .bytes = 4711, .checksum = 42};
    json_t *plan = json_pack("{s:s, s:i, s:[s, i, f]}", "factory", "IVF16,PQ4", "seed", 1, "input", "a.fbin", 7, 0.5);
    make_folder("index/building/abc");
    if (ivf_building_write_model(fuzz_path("index"), "abc", &model) != MPIVF_OK)
        abort();
    fuzz_give_file(fuzz_path("index/building/abc/model.json"), sink, arg);
    if (ivf_building_write_plan(fuzz_path("index"), "abc", plan) != MPIVF_OK)
        abort();
    fuzz_give_file(fuzz_path("index/building/abc/plan.json"), sink, arg);
}

static void use_building(void)
{
    static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyz-";
    ivf_building_model model;
    json_t *plan = NULL;
    bool found = false;
    fuzz_check_outcome(ivf_building_read_model(fuzz_path("index"), "abc", &model, &found));
    if (found && model.id[strspn(model.id, letters)] != '\0')
        abort();
    fuzz_check_outcome(ivf_building_read_plan(fuzz_path("index"), "abc", &plan));
    json_decref(plan);
}

static void run_building(const uint8_t *data, size_t bytes)
{
    make_folder("index/building/abc");
    (void)fuzz_file("index/building/abc/model.json", data, bytes);
    (void)fuzz_file("index/building/abc/plan.json", data, bytes);
    use_building();
}

static void run_building_sealed(const uint8_t *data, size_t bytes)
{
    make_folder("index/building/abc");
    if (fuzz_sealed_file("index/building/abc/model.json", data, bytes) &&
        fuzz_sealed_file("index/building/abc/plan.json", data, bytes))
        use_building();
}

/* ---- the log of fragments ---- */

static void seed_done(fuzz_sink *sink, void *arg)
{
    char folder[IVF_PATH_BYTES];
    make_folder("done");
    (void)snprintf(folder, sizeof folder, "%s", fuzz_path("done"));
    ivf_done_log *log = ivf_done_open(folder);
    for (int64_t i = 0; i < 3; i++) {
        const ivf_fragment_record record = {.id = "abc-000001", .number = i, .rows = 10, .postings = 10};
        if (log == NULL || ivf_done_add(log, &record) != MPIVF_OK)
            abort();
    }
    ivf_done_close(log);
    fuzz_give_folder(folder, sink, arg);
}

static void run_done(const uint8_t *data, size_t bytes)
{
    ivf_fragment_record *records = NULL;
    int64_t count = 0;
    make_folder("done");
    (void)fuzz_file("done/done.0123456789abcdef", data, bytes);
    fuzz_check_outcome(ivf_done_read(fuzz_path("done"), &records, &count));
    for (int64_t i = 0; i < count; i++)
        if (memchr(records[i].id, '\0', sizeof records[i].id) == NULL)
            abort();
    ivf_free(records);
}

/* ---- checkpoints ---- */

static void seed_checkpoint(fuzz_sink *sink, void *arg)
{
    char bytes[100];
    char folder[IVF_PATH_BYTES];
    const ivf_keeper_part part = {bytes, sizeof bytes};
    make_folder("train");
    memset(bytes, 7, sizeof bytes);
    (void)snprintf(folder, sizeof folder, "%s", fuzz_path("train"));
    ivf_checkpoints *checkpoints = ivf_checkpoints_new(folder, 0);
    if (checkpoints == NULL || ivf_keeper_put(ivf_checkpoints_keeper(checkpoints), "tree", &part, 1) != MPIVF_OK)
        abort();
    ivf_checkpoints_free(checkpoints);
    fuzz_give_folder(folder, sink, arg);
}

/* Reads it to its end. */
static void use_checkpoint(size_t bytes)
{
    char piece[64];
    size_t left = 0;
    ivf_checkpoints *checkpoints = ivf_checkpoints_new(fuzz_path("train"), 0);
    if (checkpoints == NULL)
        abort();
    const ivf_keeper *keeper = ivf_checkpoints_keeper(checkpoints);
    ivf_kept *kept = keeper->open(keeper->arg, "tree", &left);
    if (kept != NULL && left > bytes)
        abort();
    for (; kept != NULL && left >= sizeof piece; left -= sizeof piece)
        if (!keeper->take(kept, piece, sizeof piece))
            abort();
    if (kept != NULL)
        keeper->close(kept);
    ivf_checkpoints_free(checkpoints);
}

/* As it is, and with the checksum behind it that it calls for. */
static void run_checkpoint(const uint8_t *data, size_t bytes)
{
    uint64_t checksum = ivf_hash64(data, bytes);
    uint8_t *sealed = malloc(bytes + sizeof checksum);
    if (sealed == NULL)
        abort();
    if (bytes > 0)
        memcpy(sealed, data, bytes);
    memcpy(sealed + bytes, &checksum, sizeof checksum);
    make_folder("train");
    (void)fuzz_file("train/tree.ckpt", data, bytes);
    use_checkpoint(bytes);
    (void)fuzz_file("train/tree.ckpt", sealed, bytes + sizeof checksum);
    use_checkpoint(bytes);
    free(sealed);
}

const fuzz_target fuzz_building = {"building", seed_building, run_building, MIB, 16};
const fuzz_target fuzz_building_sealed = {"building_sealed", seed_building, run_building_sealed, MIB, 64};
const fuzz_target fuzz_done = {"done", seed_done, run_done, MIB, 16};
const fuzz_target fuzz_checkpoint = {"checkpoint", seed_checkpoint, run_checkpoint, 3 * MIB, 4};
