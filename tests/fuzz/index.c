/* Fragments, models and manifests: their files as they are, and with contents of any kind under checksums that hold. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "index/contents.h"
#include "index/manifest.h"
#include "index/model.h"
#include "io/publish.h"
#include "items.h"
#include "small_index.h"
#include "targets.h"

enum { NLIST = 4, CODE_SIZE = 3, POSTINGS = 6, SKIPPED = 1, MIB = 1 << 20 };

static char index_path[IVF_PATH_BYTES];

/* The folder of an index; `below` is made in it. */
static const char *make_index(const char *below)
{
    char path[IVF_PATH_BYTES + 16];
    (void)snprintf(index_path, sizeof index_path, "%s", fuzz_path("index"));
    (void)snprintf(path, sizeof path, "%s/%s", index_path, below);
    if (ivf_make_folder(path) != MPIVF_OK)
        abort();
    return index_path;
}

/* ---- fragments ---- */

static ivf_fragment *make_fragment(void)
{
    static const uint64_t offsets[NLIST + 1] = {0, 2, 2, 5, 6};
    ivf_fragment *f = NULL;
    if (ivf_fragment_new(NLIST, CODE_SIZE, POSTINGS, SKIPPED, &f) != MPIVF_OK)
        abort();
    memcpy(f->offsets, offsets, sizeof offsets);
    for (uint64_t i = 0; i < POSTINGS; i++)
        f->ids[i] = 100 + i;
    memset(f->codes, 7, (size_t)POSTINGS * CODE_SIZE);
    f->skipped_rows[0] = 3;
    f->skipped_ids[0] = 777;
    f->skipped_reasons[0] = IVF_ROW_ZERO_NORM;
    return f;
}

/* The record of a fragment that is written to the index as "seed". */
static ivf_fragment_record write_fragment(void)
{
    ivf_fragment_record record = {.id = "seed", .rows = POSTINGS + SKIPPED};
    ivf_fragment *f = make_fragment();
    if (ivf_fragment_write(f, make_index("fragments"), &record) != MPIVF_OK)
        abort();
    record.digest_in = record.digest_out;
    ivf_fragment_free(f);
    return record;
}

static void seed_fragment(fuzz_sink *sink, void *arg)
{
    (void)write_fragment();
    fuzz_give_file(fuzz_path("index/fragments/seed.h5"), sink, arg);
}

/* What search, verify and repair do with a fragment. */
static void use_fragment(const char *path)
{
    static ivf_fragment_record record;
    ivf_manifest manifest = {.factory = {.nlist = NLIST}, .code_size = CODE_SIZE};
    ivf_findings findings = {0};
    ivf_fragment *f = NULL;
    int64_t list_sizes[NLIST] = {0};
    if (record.rows == 0)
        record = write_fragment();
    (void)snprintf(record.id, sizeof record.id, "a");
    int rc = ivf_fragment_open(index_path, &record, NLIST, CODE_SIZE, &f);
    fuzz_check_outcome(rc);
    ivf_fragment_free(f);
    if (ivf_contents_inspect(path, "fragment", &manifest, &record, list_sizes, &findings) != MPIVF_OK ||
        (rc != MPIVF_OK && findings.count == 0))
        abort();
    ivf_text_free(&findings.text);
}

static void run_fragment(const uint8_t *data, size_t bytes)
{
    (void)make_index("fragments");
    use_fragment(fuzz_file("index/fragments/a.h5", data, bytes));
}

static void seed_fragment_items(fuzz_sink *sink, void *arg)
{
    static const char *const texts[] = {"format", NULL};
    static const char *const numbers[] = {"format_version", "first_row", "rows", NULL};
    static const char *const datasets[] = {"list_offsets", "list_checksums",  "ids", "codes", "skipped/rows",
                                           "skipped/ids",  "skipped/reasons", NULL};
    (void)write_fragment();
    items_give(fuzz_path("index/fragments/seed.h5"), datasets, texts, numbers, sink, arg);
}

static void run_fragment_items(const uint8_t *data, size_t bytes)
{
    (void)make_index("fragments");
    const char *path = fuzz_path("index/fragments/a.h5");
    (void)unlink(path);
    items_write(path, data, bytes);
    use_fragment(path);
}

/* ---- models ---- */

/* A small model of every codec, written as "seed": `use` gets its path. */
static void make_model(const char *factory, fuzz_sink *sink, void *arg,
                       void (*use)(const char *path, fuzz_sink *sink, void *arg))
{
    char from[IVF_PATH_BYTES];
    int64_t bytes = 0;
    uint64_t checksum = 0;
    small_index small;
    if (small_make(&small, factory, IVF_L2) != MPIVF_OK ||
        ivf_model_write(small.model, make_index("models"), &bytes, &checksum) != MPIVF_OK ||
        ivf_layout_model(index_path, small.model->id, from) != MPIVF_OK)
        abort();
    small_free(&small);
    use(from, sink, arg);
    (void)unlink(from);
}

static const char *const factories[] = {"IVF24,Flat", "IVF24,SQ8", "IVF24,PQ4x4"};

static void seed_model(fuzz_sink *sink, void *arg)
{
    for (int i = 0; i < 3; i++)
        make_model(factories[i], sink, arg, fuzz_give_file);
}

static void use_model(void)
{
    ivf_model *model = NULL;
    fuzz_check_outcome(ivf_model_read(index_path, "a", &model));
    ivf_model_free(model);
}

static void run_model(const uint8_t *data, size_t bytes)
{
    (void)make_index("models");
    (void)fuzz_file("index/models/a.h5", data, bytes);
    use_model();
}

static void give_model_items(const char *path, fuzz_sink *sink, void *arg)
{
    static const char *const texts[] = {"format", "id", "factory", "metric", "stopped", "steps", "assign", NULL};
    static const char *const numbers[] = {"format_version",
                                          "d",
                                          "nlist",
                                          "levels",
                                          "by_residual",
                                          "code_size",
                                          "sample_rows",
                                          "seed",
                                          "iterations",
                                          "repairs",
                                          "imbalance_ppm",
                                          "assign_probes1",
                                          "assign_probes2",
                                          "assign_rows",
                                          "assign_same",
                                          "assign_excess_ppb",
                                          NULL};
    static const char *const datasets[] = {"centroids",        "rotation",        "grid/centre", "grid/step",
                                           "level1/centroids", "level1/first",    "objective",   "codec/sq_min",
                                           "codec/sq_span",    "codec/codebooks", NULL};
    items_give(path, datasets, texts, numbers, sink, arg);
}

static void seed_model_items(fuzz_sink *sink, void *arg)
{
    for (int i = 0; i < 3; i++)
        make_model(factories[i], sink, arg, give_model_items);
}

static void run_model_items(const uint8_t *data, size_t bytes)
{
    (void)make_index("models");
    const char *path = fuzz_path("index/models/a.h5");
    (void)unlink(path);
    items_write(path, data, bytes);
    use_model();
}

/* ---- manifests ---- */

static void seed_manifest(fuzz_sink *sink, void *arg)
{
    small_index small;
    (void)make_index("manifests");
    if (small_make(&small, "IVF24,SQ8", IVF_IP) != MPIVF_OK || small_write(&small, index_path) != MPIVF_OK)
        abort();
    small_free(&small);
    fuzz_give_file(fuzz_path("index/manifests/000001.json"), sink, arg);
}

/* No id that a reader takes leads out of the folder of its kind. */
static void check_ids(const ivf_manifest *m)
{
    static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyz-";
    bool inside = m->model_id[strspn(m->model_id, letters)] == '\0';
    for (int64_t f = 0; f < m->fragment_count; f++)
        inside = inside && m->fragments[f].id[strspn(m->fragments[f].id, letters)] == '\0';
    if (!inside)
        abort();
}

/* Who reads a manifest subtracts its numbers and takes them for places. */
static void check_numbers(const ivf_manifest *m)
{
    bool inside = m->postings >= 0 && m->postings <= m->rows;
    for (int64_t f = 0; f < m->fragment_count; f++)
        inside = inside && m->fragments[f].number == f && m->fragments[f].postings >= 0 &&
                 m->fragments[f].postings <= m->fragments[f].rows;
    if (!inside)
        abort();
}

static void use_manifest(void)
{
    ivf_manifest *m = NULL;
    int64_t bytes = 0;
    int rc = ivf_manifest_read_version(index_path, 1, &m);
    fuzz_check_outcome(rc);
    if (rc == MPIVF_OK) {
        check_ids(m);
        check_numbers(m);
        fuzz_check_outcome(ivf_manifest_check_text(index_path, 1, &bytes));
        json_t *again = ivf_manifest_to_json(m);
        if (again == NULL)
            abort();
        json_decref(again);
    }
    ivf_manifest_free(m);
}

static void run_manifest(const uint8_t *data, size_t bytes)
{
    (void)make_index("manifests");
    (void)fuzz_file("index/manifests/000001.json", data, bytes);
    use_manifest();
}

static void run_manifest_sealed(const uint8_t *data, size_t bytes)
{
    (void)make_index("manifests");
    if (fuzz_sealed_file("index/manifests/000001.json", data, bytes))
        use_manifest();
}

const fuzz_target fuzz_fragment = {"fragment", seed_fragment, run_fragment, 3 * MIB, 2};
const fuzz_target fuzz_fragment_items = {"fragment_items", seed_fragment_items, run_fragment_items, 4 * MIB, 16};
const fuzz_target fuzz_model = {"model", seed_model, run_model, MIB, 4};
const fuzz_target fuzz_model_items = {"model_items", seed_model_items, run_model_items, 3 * MIB, 16};
const fuzz_target fuzz_manifest = {"manifest", seed_manifest, run_manifest, MIB, 16};
const fuzz_target fuzz_manifest_sealed = {"manifest_sealed", seed_manifest, run_manifest_sealed, MIB, 64};
