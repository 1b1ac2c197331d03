#include "small_index.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/rng.h"
#include "index/manifest.h"
#include "io/publish.h"
#include "math/distance.h"
#include "math/panels.h"
#include "math/rows.h"

enum {
    D = SMALL_D,
    ROWS = SMALL_ROWS,
    NLIST = SMALL_NLIST,
    FULL_LISTS = SMALL_FULL_LISTS,
    BAD_ROW = SMALL_BAD_ROW,
    PATH_BYTES = 512
};

/* Fragments of different sizes, one of a single row, one of none but the row that cannot be indexed. */
static const int64_t fragment_ends[SMALL_FRAGMENTS] = {400, 401, BAD_ROW, BAD_ROW + 1, 1000, 1490, ROWS};

float *small_vectors(int64_t n, uint64_t seed)
{
    float *x = ivf_new((size_t)n * D, sizeof *x);
    for (int64_t i = 0; i < n * D; i++)
        x[i] = 0.3F + (float)ivf_rng_normal(seed, IVF_RNG_TEST, (uint64_t)i);
    return x;
}

/* Centroids are rows, the last few too far away for any row: their lists stay empty. */
static void place_centroids(const small_index *s)
{
    memcpy(s->model->tree.centroids[0], s->x, (size_t)FULL_LISTS * D * sizeof *s->x);
    for (int64_t i = (int64_t)FULL_LISTS * D; i < (int64_t)NLIST * D; i++)
        s->model->tree.centroids[0][i] = s->metric == IVF_L2 ? 1000.0F + (float)i : 0;
}

static int encode_rows(small_index *s)
{
    float *score = ivf_new(ROWS, sizeof *score);
    float *input = ivf_new((size_t)ROWS * D, sizeof *input);
    void *scratch = ivf_new(ivf_codec_encode_scratch(s->model->codec, ROWS), 1);
    ivf_panels *panels = ivf_panels_new(s->model->tree.centroids[0], NLIST, D, s->metric);
    ivf_codec_training training = {.seed = 3, .iterations = 4};
    ivf_panels_best(panels, s->x, ROWS, s->list, score);
    memcpy(input, s->x, (size_t)ROWS * D * sizeof *input);
    if (ivf_codec_is_residual(s->model->codec))
        ivf_rows_residual(s->x, ROWS, D, s->model->tree.centroids[0], s->list, input);
    int rc = ivf_codec_train_local(s->model->codec, input, ROWS, &training);
    if (rc == MPIVF_OK)
        ivf_codec_encode(s->model->codec, input, ROWS, s->code, scratch);
    ivf_panels_free(panels);
    ivf_free(scratch);
    ivf_free(input);
    ivf_free(score);
    return rc;
}

int small_make(small_index *s, const char *factory_text, ivf_metric metric)
{
    ivf_factory factory;
    *s = (small_index){.metric = metric, .x = small_vectors(ROWS, 1)};
    int rc = ivf_factory_parse(factory_text, &factory);
    if (rc == MPIVF_OK)
        rc = ivf_model_new(&factory, D, metric, &s->model);
    if (rc != MPIVF_OK)
        return rc;
    s->list = ivf_new(ROWS, sizeof *s->list);
    s->code = ivf_new(ROWS, ivf_codec_code_size(s->model->codec));
    s->id = ivf_new(ROWS, sizeof *s->id);
    for (int64_t i = 0; i < ROWS; i++)
        s->id[i] = (uint64_t)(i * 7 % ROWS) << 33 | (uint64_t)(i % 3);
    if (metric == IVF_COSINE)
        ivf_rows_normalise(s->x, ROWS, D);
    place_centroids(s);
    rc = encode_rows(s);
    s->model->training.objective = ivf_new_zero(1, sizeof(double));
    s->model->training.iterations = 1;
    (void)snprintf(s->model->training.stopped, sizeof s->model->training.stopped, "iterations");
    return rc == MPIVF_OK ? ivf_model_seal(s->model) : rc;
}

void small_free(small_index *s)
{
    ivf_model_free(s->model);
    ivf_free(s->x);
    ivf_free(s->list);
    ivf_free(s->code);
    ivf_free(s->id);
}

static int write_fragment(const small_index *s, const char *index, int number, ivf_manifest *m)
{
    ivf_fragment_record *record = &m->fragments[number];
    int64_t first = number == 0 ? 0 : fragment_ends[number - 1];
    int64_t end = fragment_ends[number];
    int64_t bad = first <= BAD_ROW && BAD_ROW < end;
    size_t code_size = m->code_size;
    ivf_fragment *f = NULL;
    if (ivf_fragment_new(NLIST, code_size, end - first - bad, bad, &f) != MPIVF_OK)
        return MPIVF_FAILED;
    uint64_t at = 0;
    for (int32_t l = 0; l < NLIST; l++) {
        for (int64_t row = first; row < end; row++) {
            if (s->list[row] != l || row == BAD_ROW)
                continue;
            f->ids[at] = s->id[row];
            memcpy(f->codes + at++ * code_size, s->code + (size_t)row * code_size, code_size);
            m->list_sizes[l]++;
        }
        f->offsets[l + 1] = at;
    }
    if (bad > 0) {
        f->skipped_rows[0] = BAD_ROW;
        f->skipped_ids[0] = s->id[BAD_ROW];
        f->skipped_reasons[0] = IVF_ROW_NOT_FINITE;
    }
    *record = (ivf_fragment_record){.number = number, .first_row = first, .rows = end - first};
    (void)snprintf(record->id, sizeof record->id, "test-%06d", number);
    record->digest_in = ivf_digest_ids(s->id + first, end - first);
    int rc = ivf_fragment_write(f, index, record);
    m->skipped[IVF_ROW_NOT_FINITE] += bad;
    m->digest_in += record->digest_in;
    m->digest_out += record->digest_out;
    ivf_fragment_free(f);
    return rc;
}

int small_write(const small_index *s, const char *index)
{
    char path[PATH_BYTES];
    ivf_fragment_record records[SMALL_FRAGMENTS] = {0};
    int64_t list_sizes[NLIST] = {0};
    char text[] = "none";
    ivf_manifest_shard shard = {.path = text, .format = text, .rows = ROWS};
    ivf_manifest m = {.version = 1, .build_id = "test", .d = D, .metric = s->metric, .factory = s->model->factory};
    m.code_size = ivf_codec_code_size(s->model->codec);
    m.rows = ROWS;
    m.postings = ROWS - 1;
    m.list_sizes = list_sizes;
    m.fragment_count = SMALL_FRAGMENTS;
    m.fragments = records;
    m.shard_count = 1;
    m.shards = &shard;
    m.config = json_object();
    m.build = json_object();
    (void)snprintf(m.model_id, sizeof m.model_id, "%s", s->model->id);
    int rc = MPIVF_OK;
    static const char *const folders[] = {"manifests", "models", "fragments"};
    for (int i = 0; rc == MPIVF_OK && i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", index, folders[i]);
        rc = ivf_make_folder(path);
    }
    if (rc == MPIVF_OK)
        rc = ivf_model_write(s->model, index, &m.model_bytes, &m.model_checksum);
    for (int f = 0; rc == MPIVF_OK && f < SMALL_FRAGMENTS; f++)
        rc = write_fragment(s, index, f, &m);
    if (rc == MPIVF_OK)
        rc = ivf_manifest_commit(&m, index);
    json_decref(m.config);
    json_decref(m.build);
    return rc;
}

static int by_key_and_id(const void *a, const void *b)
{
    const ivf_neighbor *x = a;
    const ivf_neighbor *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Keys of one query for the rows of list `l`, one posting at a time; returns how many. */
static int64_t walk_list(const small_index *s, const float *query, int32_t l, float score, void *table,
                         ivf_neighbor *all)
{
    const ivf_codec *codec = s->model->codec;
    bool residual = ivf_codec_is_residual(codec);
    float target[D];
    int64_t n = 0;
    for (int j = 0; j < D; j++)
        target[j] = query[j] - (residual && s->metric == IVF_L2 ? s->model->tree.centroids[0][l * D + j] : 0);
    ivf_codec_prepare(codec, s->metric, target, table);
    for (int64_t row = 0; row < ROWS; row++) {
        if (s->list[row] != l || row == BAD_ROW)
            continue;
        const uint8_t *code = s->code + (size_t)row * ivf_codec_code_size(codec);
        all[n].id = s->id[row];
        ivf_codec_scan(codec, s->metric, table, code, 1, &all[n].key);
        if (residual && s->metric != IVF_L2)
            all[n].key += -score;
        n++;
    }
    return n;
}

static float *prepared(const small_index *s, const float *queries, int64_t nq)
{
    float *copy = ivf_new((size_t)nq * D, sizeof *copy);
    memcpy(copy, queries, (size_t)nq * D * sizeof *copy);
    if (s->metric == IVF_COSINE)
        ivf_rows_normalise(copy, nq, D);
    return copy;
}

/* The k nearest of all[n], which has room for k more. */
static void take_nearest(ivf_neighbor *all, int64_t n, ivf_neighbor *best, int k)
{
    for (int i = 0; i < k; i++)
        all[n + i] = (ivf_neighbor){.key = INFINITY, .id = UINT64_MAX};
    qsort(all, (size_t)(n + k), sizeof *all, by_key_and_id);
    memcpy(best, all, (size_t)k * sizeof *all);
}

ivf_neighbor *small_walk(const small_index *s, const float *queries, int64_t nq, int nprobe, int k)
{
    ivf_panels *panels = ivf_panels_new(s->model->tree.centroids[0], NLIST, D, s->metric);
    void *scratch = ivf_new(ivf_panels_top_scratch(panels), 1);
    void *table = ivf_new(ivf_codec_table_size(s->model->codec), 1);
    float *x = prepared(s, queries, nq);
    ivf_neighbor *all = ivf_new((size_t)ROWS + (size_t)k, sizeof *all);
    ivf_neighbor *best = ivf_new((size_t)nq * (size_t)k, sizeof *best);
    for (int64_t q = 0; q < nq; q++) {
        int32_t lists[NLIST];
        float scores[NLIST];
        int64_t n = 0;
        ivf_panels_top(panels, x + q * D, 1, nprobe, lists, scores, scratch);
        for (int p = 0; p < nprobe; p++)
            n += walk_list(s, x + q * D, lists[p], scores[p], table, all + n);
        take_nearest(all, n, best + q * k, k);
    }
    ivf_free(all);
    ivf_free(x);
    ivf_free(table);
    ivf_free(scratch);
    ivf_panels_free(panels);
    return best;
}

ivf_neighbor *small_brute_force(const small_index *s, const float *queries, int64_t nq, int k)
{
    float *x = prepared(s, queries, nq);
    ivf_neighbor *all = ivf_new((size_t)ROWS + (size_t)k, sizeof *all);
    ivf_neighbor *best = ivf_new((size_t)nq * (size_t)k, sizeof *best);
    for (int64_t q = 0; q < nq; q++) {
        int64_t n = 0;
        for (int64_t row = 0; row < ROWS; row++) {
            if (row == BAD_ROW)
                continue;
            all[n].id = s->id[row];
            ivf_keys_f32(s->metric, x + q * D, s->x + row * D, 1, D, &all[n++].key);
        }
        take_nearest(all, n, best + q * k, k);
    }
    ivf_free(all);
    ivf_free(x);
    return best;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

bool small_same(const ivf_neighbor *a, const ivf_neighbor *b, int64_t n)
{
    bool same = true;
    for (int64_t i = 0; i < n; i++)
        same = same && a[i].id == b[i].id && bits_of(a[i].key) == bits_of(b[i].key);
    return same;
}
