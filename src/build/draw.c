#include "build/draw.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "base/team.h"

/* Drawing: tasks of DRAW_ROWS permutation values each, counted first and then stored, so that they share no state. */
enum { DRAW_ROWS = 1 << 16 };

typedef struct {
    ivf_permutation permutation;
    int64_t total;
    int64_t first; /* rows of this rank: [first, end) */
    int64_t end;
    int64_t *offsets; /* [tasks + 1] */
    ivf_pick *picks;  /* NULL while counting */
} draw_state;

static int draw_task(void *arg, int64_t task, int worker)
{
    draw_state *s = arg;
    int64_t end = ivf_min_i64((task + 1) * DRAW_ROWS, s->total);
    int64_t found = 0;
    (void)worker;
    for (int64_t place = task * DRAW_ROWS; place < end; place++) {
        int64_t row = (int64_t)ivf_permutation_at(&s->permutation, (uint64_t)place);
        if (row < s->first || row >= s->end)
            continue;
        if (s->picks != NULL)
            s->picks[s->offsets[task] + found] = (ivf_pick){row, place};
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
                    .total = plan->sample_rows,
                    .first = share * rank,
                    .end = share * (rank + 1)};
    int64_t tasks = ivf_ceil_div(s.total, DRAW_ROWS);
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
        qsort(s.picks, (size_t)*count, sizeof *s.picks, by_row);
    }
    ivf_free(s.offsets);
    *picks = s.picks;
    return s.picks == NULL ? MPIVF_FAILED : MPIVF_OK;
}
