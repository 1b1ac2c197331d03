/* Brute force at the speed of matrix products, with the keys of a plain scan; for exact search.
 *
 * Queries are packed in groups (math/panels.h), one task each: a task scores the rows against its group into a tile
 * that stays in cache, compares each score with what the query's heap still takes, and computes the keys of the few
 * rows that pass with math/distance.h. So a heap belongs to one task, and what enters it are the bits that a Flat
 * index's scan gives, whatever kernel made the scores.
 *
 * No row is lost to rounding. A product or a sum of products of n terms in any order, fused or not, is off by at most
 * g(n) = n u / (1 - n u), u = 2^-24, times the sum of the terms' magnitudes (Higham, "Accuracy and stability of
 * numerical algorithms", 2nd ed., section 3.1). With a = |x|^2, b = |q|^2 and |<x, q>| <= (a + b) / 2:
 *
 *   L2: a - 2 score differs from |x - q|^2 by at most g(2d + 2) (2a + 2b), and the key of math/distance.h by at most
 *       g(d + 2) (2a + 2b); so a row whose key is within the heap's bound has
 *       a - 2 score <= bound + 4 g (a + b), or score + (bound + 4 g b) / 2 >= (1 - 4 g) a / 2.
 *   IP: -score and the key differ by at most g(d + 1) (a + b); so score + bound + g b >= -g a.
 *
 * Both have the form score + reach[query] >= need[row]. g is taken for 2d + 16 terms: the spare 14 cover the rounding
 * of reach, of need, of their sum and of the computed a and b; FLT_MIN in reach covers underflow. A NaN on either side
 * (scores that overflowed) lets the row pass. */
#include "search/sieve.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "math/distance.h"
#include "math/panels.h"

/* Queries of a task: whole panels of the widest kernel; the most keeps a tile at 128 KiB. Strips longer than 16, or gcc
 * unrolls their loop instead of vectorising it. */
enum { GROUP_STEP = 64, GROUP_MOST = 128, TILE_ROWS = 256, STRIP = 32 };

struct ivf_sieve {
    ivf_metric metric;
    const float *queries; /* [nq][d], borrowed */
    int64_t nq;
    int d;
    int64_t group;       /* queries of a task */
    int64_t groups;      /* ceil(nq / group) */
    ivf_panels **panels; /* [groups], owned */
    ivf_topk *heaps;     /* [nq], owned; their memory borrowed */
    double margin;       /* 4 g, or g */
    float *margin_of;    /* [nq]: margin * b + FLT_MIN, owned */
    float *reach;        /* [nq], owned */
    float *tiles;        /* [workers][TILE_ROWS][group], owned */
    /* The rows of the present call, borrowed. */
    const float *x;
    const uint64_t *ids;
    const float *norm;
    int64_t n;
};

static double relative_margin(ivf_metric metric, int d)
{
    double nu = (2.0 * d + 16) * 0x1p-24;
    double g = nu / (1 - nu);
    return metric == IVF_L2 ? 4 * g : g;
}

static void set_reach(ivf_sieve *s, int64_t query)
{
    float bound = ivf_topk_bound(&s->heaps[query]);
    double reach = (double)bound + (double)s->margin_of[query];
    s->reach[query] = (float)(s->metric == IVF_L2 ? reach / 2 : reach);
}

static float need_of(const ivf_sieve *s, float norm)
{
    double need = s->metric == IVF_L2 ? (1 - s->margin) * (double)norm / 2 : -s->margin * (double)norm;
    return (float)need;
}

static int64_t choose_group(int64_t nq)
{
    int64_t even = ivf_ceil_div(nq, 2 * (int64_t)ivf_team_size());
    return ivf_max_i64(GROUP_STEP, ivf_min_i64(GROUP_MOST, ivf_round_up(even, GROUP_STEP)));
}

static int64_t width_of(const ivf_sieve *s, int64_t group)
{
    return ivf_min_i64(s->group, s->nq - group * s->group);
}

static bool pack_queries(ivf_sieve *s)
{
    s->panels = ivf_new_zero(ivf_to_size(s->groups), sizeof(ivf_panels *));
    for (int64_t g = 0; s->panels != NULL && g < s->groups; g++) {
        s->panels[g] = ivf_panels_new(s->queries + g * s->group * s->d, width_of(s, g), s->d, s->metric);
        if (s->panels[g] == NULL)
            return false;
    }
    return s->panels != NULL;
}

static bool reserve(ivf_sieve *s)
{
    size_t nq = ivf_to_size(s->nq);
    s->heaps = ivf_new(nq, sizeof *s->heaps);
    s->margin_of = ivf_new(nq, sizeof *s->margin_of);
    s->reach = ivf_new(nq, sizeof *s->reach);
    s->tiles = ivf_new((size_t)ivf_team_size() * TILE_ROWS * (size_t)s->group, sizeof *s->tiles);
    return s->heaps != NULL && s->margin_of != NULL && s->reach != NULL && s->tiles != NULL;
}

int64_t ivf_sieve_memory(int64_t nq, int d)
{
    const int64_t group = choose_group(nq);
    const int64_t groups = ivf_ceil_div(nq, group);
    const int64_t of_group = ivf_panels_memory(ivf_min_i64(group, nq), d) + (int64_t)sizeof(ivf_panels *);
    const int64_t of_query = (int64_t)(sizeof(ivf_topk) + 2 * sizeof(float));
    return groups * of_group + nq * of_query + group * TILE_ROWS * ivf_team_size() * (int64_t)sizeof(float);
}

ivf_sieve *ivf_sieve_new(ivf_metric metric, const float *queries, int64_t nq, int d, ivf_neighbor *heaps, int k)
{
    ivf_sieve *s = ivf_new_zero(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->metric = metric;
    s->queries = queries;
    s->nq = nq;
    s->d = d;
    s->group = choose_group(nq);
    s->groups = ivf_ceil_div(nq, s->group);
    s->margin = relative_margin(metric, d);
    if (!reserve(s) || !pack_queries(s)) {
        ivf_sieve_free(s);
        return NULL;
    }
    for (int64_t q = 0; q < nq; q++) {
        s->heaps[q] = ivf_topk_start(heaps + q * k, k, INFINITY);
        s->margin_of[q] = (float)(s->margin * (double)ivf_dot(queries + q * d, queries + q * d, d)) + FLT_MIN;
        set_reach(s, q);
    }
    return s;
}

void ivf_sieve_free(ivf_sieve *sieve)
{
    if (sieve == NULL)
        return;
    for (int64_t g = 0; sieve->panels != NULL && g < sieve->groups; g++)
        ivf_panels_free(sieve->panels[g]);
    ivf_free((void *)sieve->panels);
    ivf_free(sieve->heaps);
    ivf_free(sieve->margin_of);
    ivf_free(sieve->reach);
    ivf_free(sieve->tiles);
    ivf_free(sieve);
}

/* Negated so that NaN passes. */
static bool passes(float score, float reach, float need)
{
    return !(score + reach < need);
}

static bool any_of_strip_passes(const float *score, const float *reach, float need)
{
    int any = 0;
    for (int i = 0; i < STRIP; i++)
        any |= passes(score[i], reach[i], need);
    return any != 0;
}

static void compare_exactly(ivf_sieve *s, int64_t query, int64_t row)
{
    float key;
    ivf_keys_f32(s->metric, s->queries + query * s->d, s->x + row * s->d, 1, s->d, &key);
    ivf_topk_offer(&s->heaps[query], &key, s->ids + row, 1);
    set_reach(s, query);
}

/* A row against the queries from `first` on. Strips of queries among which the row passes none, most of them, cost no
 * branch for each query. */
static void sieve_row(ivf_sieve *s, const float *score, int64_t row, int64_t first, int64_t width)
{
    const float *reach = s->reach + first;
    float need = need_of(s, s->norm[row]);
    for (int64_t strip = 0; strip < width; strip += STRIP) {
        int64_t end = ivf_min_i64(strip + STRIP, width);
        if (end - strip == STRIP && !any_of_strip_passes(score + strip, reach + strip, need))
            continue;
        for (int64_t i = strip; i < end; i++)
            if (passes(score[i], reach[i], need))
                compare_exactly(s, first + i, row);
    }
}

static int sieve_group(void *arg, int64_t group, int worker)
{
    ivf_sieve *s = arg;
    int64_t width = width_of(s, group);
    float *tile = s->tiles + (int64_t)worker * TILE_ROWS * s->group;
    for (int64_t first = 0; first < s->n; first += TILE_ROWS) {
        int64_t rows = ivf_min_i64(TILE_ROWS, s->n - first);
        ivf_panels_scores(s->panels[group], s->x + first * s->d, rows, tile);
        for (int64_t i = 0; i < rows; i++)
            sieve_row(s, tile + i * width, first + i, group * s->group, width);
    }
    return MPIVF_OK;
}

int ivf_sieve_offer(ivf_sieve *sieve, const float *x, const float *norm, const uint64_t *ids, int64_t n)
{
    sieve->x = x;
    sieve->norm = norm;
    sieve->ids = ids;
    sieve->n = n;
    return ivf_team_run(sieve->groups, sieve_group, sieve);
}

void ivf_sieve_finish(ivf_sieve *sieve)
{
    for (int64_t q = 0; q < sieve->nq; q++)
        ivf_topk_finish(&sieve->heaps[q]);
}
