#include "build/draw.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "base/team.h"

/* Tasks of TASK numbers each, counted first and then stored, so that they share no state. The numbers are the rank's
 * rows, whose places are looked up, or the sample's places, whose rows are: whichever are fewer. */
enum { TASK = 1 << 16 };

typedef struct {
    ivf_permutation permutation;
    bool by_place;
    int64_t sample_rows;
    int64_t first; /* rows of this rank: [first, end) */
    int64_t end;
    int64_t *offsets; /* [tasks + 1] */
    ivf_pick *picks;  /* NULL while counting */
} draw_state;

/* The n-th pick to be considered; false when it is not in the sample, or not this rank's. */
static bool pick_at(const draw_state *s, int64_t n, ivf_pick *pick)
{
    if (s->by_place) {
        *pick = (ivf_pick){.row = (int64_t)ivf_permutation_at(&s->permutation, (uint64_t)n), .place = n};
        return pick->row >= s->first && pick->row < s->end;
    }
    uint64_t row = (uint64_t)(s->first + n);
    *pick = (ivf_pick){.row = (int64_t)row, .place = (int64_t)ivf_permutation_index(&s->permutation, row)};
    return pick->place < s->sample_rows;
}

static int64_t candidates(const draw_state *s)
{
    return s->by_place ? s->sample_rows : s->end - s->first;
}

static int draw_task(void *arg, int64_t task, int worker)
{
    draw_state *s = arg;
    int64_t end = ivf_min_i64((task + 1) * TASK, candidates(s));
    int64_t found = 0;
    ivf_pick pick;
    (void)worker;
    for (int64_t n = task * TASK; n < end; n++) {
        if (!pick_at(s, n, &pick))
            continue;
        if (s->picks != NULL)
            s->picks[s->offsets[task] + found] = pick;
        found++;
    }
    if (s->picks == NULL)
        s->offsets[task + 1] = found;
    return MPIVF_OK;
}

static int by_row(const void *a, const void *b)
{
    int64_t x = ((const ivf_pick *)a)->row;
    int64_t y = ((const ivf_pick *)b)->row;
    return (x > y) - (x < y);
}

int ivf_draw_picks(const ivf_plan *plan, uint64_t seed, int rank, int size, ivf_pick **picks, int64_t *count)
{
    int64_t share = ivf_ceil_div(plan->rows, size);
    draw_state s = {.permutation = ivf_permutation_make((uint64_t)plan->rows, seed, IVF_RNG_SAMPLE),
                    .by_place = plan->sample_rows < share,
                    .sample_rows = plan->sample_rows,
                    .first = ivf_min_i64(plan->rows, share * rank),
                    .end = ivf_min_i64(plan->rows, share * (rank + 1))};
    int64_t tasks = ivf_ceil_div(candidates(&s), TASK);
    s.offsets = ivf_new_zero(ivf_to_size(tasks) + 1, sizeof *s.offsets);
    if (s.offsets == NULL)
        return MPIVF_FAILED;
    (void)ivf_team_run(tasks, draw_task, &s);
    for (int64_t t = 0; t < tasks; t++)
        s.offsets[t + 1] += s.offsets[t];
    *count = s.offsets[tasks];
    s.picks = ivf_new(ivf_to_size(*count), sizeof *s.picks);
    if (s.picks != NULL) {
        (void)ivf_team_run(tasks, draw_task, &s);
        if (s.by_place)
            qsort(s.picks, (size_t)*count, sizeof *s.picks, by_row);
    }
    ivf_free(s.offsets);
    *picks = s.picks;
    return s.picks == NULL ? MPIVF_FAILED : MPIVF_OK;
}
