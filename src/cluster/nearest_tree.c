/* The descent of a tree by a block of rows: the best nodes of the top for each row, then among their children, then
 * among the lists. At each level rows are put in order of the nodes that they probe, so that a node's children meet all
 * their rows at once and stay in the cache meanwhile. Which rows are in the block makes no difference to any of them.
 */
#include <string.h>

#include "base/numbers.h"
#include "cluster/nearest_work.h"

enum {
    UPPER_ROWS = IVF_NEAREST_UPPER_ROWS,
    SEVERAL_ROWS = 32, /* whose scores of lists are kept at once */
};

/* Tiles that the children of `probes` nodes may take. */
static int64_t most_tiles(const ivf_coarse *coarse, int32_t nodes, int32_t probes)
{
    int32_t most = 0;
    for (int32_t node = 0; node < nodes; node++) {
        ivf_tiles tiles = ivf_coarse_group(coarse, node);
        most = tiles.end - tiles.first > most ? tiles.end - tiles.first : most;
    }
    return ivf_min_i64((int64_t)most * probes, ivf_coarse_all(coarse).end);
}

/* A piece of the scratch, which begins at `base`. */
static void *piece(char *base, size_t *used, int64_t bytes)
{
    void *at = base == NULL ? NULL : base + *used;
    *used += ivf_to_size(ivf_round_up(bytes, 64));
    return at;
}

static void place_tree(const ivf_nearest *nearest, char *base, ivf_nearest_work *w)
{
    const ivf_tree *tree = nearest->tree;
    const int32_t *probes = nearest->way.probes;
    int top = tree->levels - 1;
    int64_t pairs = ivf_max_i64((int64_t)IVF_NEAREST_ROWS * probes[1], (int64_t)UPPER_ROWS * probes[2]);
    int32_t nodes = tree->count[1] > tree->count[2] ? tree->count[1] : tree->count[2];
    w->found = piece(base, &w->bytes, IVF_NEAREST_ROWS * (int64_t)sizeof *w->found);
    w->probe = piece(base, &w->bytes, (int64_t)IVF_NEAREST_ROWS * probes[1] * 4);
    w->start = piece(base, &w->bytes, ((int64_t)nodes + 2) * 4);
    w->row = piece(base, &w->bytes, pairs * 4);
    const ivf_tiles all = ivf_coarse_all(nearest->coarse[top]);
    size_t of_top = top == 1 ? ivf_coarse_pick_scratch(all, probes[1]) : ivf_coarse_top_scratch(all);
    size_t of_panels = ivf_panels_top_scratch(nearest->panels) + (size_t)ivf_round_up(probes[1], 16) * 8;
    w->top = piece(base, &w->bytes, (int64_t)(of_top > of_panels ? of_top : of_panels));
    if (top < 2)
        return;
    w->slots = most_tiles(nearest->coarse[1], tree->count[2], probes[2]) * IVF_COARSE_LANES;
    w->upper = piece(base, &w->bytes, (int64_t)UPPER_ROWS * probes[2] * 4);
    w->scores = piece(base, &w->bytes, UPPER_ROWS * w->slots * 4);
    w->cursor = piece(base, &w->bytes, (int64_t)UPPER_ROWS * 4);
    w->choice = piece(base, &w->bytes, (int64_t)ivf_coarse_choose_scratch(w->slots));
}

ivf_nearest_work ivf_nearest_work_in(const ivf_nearest *nearest, void *scratch)
{
    ivf_nearest_work w = {0};
    if (nearest->way.kind == IVF_NEAREST_EXACT)
        return w;
    w.q = piece(scratch, &w.bytes, IVF_NEAREST_ROWS * ivf_grid_stride(nearest->tree->d));
    w.outside = piece(scratch, &w.bytes, IVF_NEAREST_ROWS);
    if (nearest->way.kind == IVF_NEAREST_TREE)
        place_tree(nearest, scratch, &w);
    return w;
}

/* Rows by the nodes that they probe: those of node i are row[start[i]] to row[start[i + 1] - 1], ascending. */
static void sort_by_node(const int32_t *probe, int64_t n, int32_t probes, int32_t nodes, const ivf_nearest_work *w)
{
    int32_t *start = w->start;
    memset(start, 0, ((size_t)nodes + 2) * sizeof *start);
    for (int64_t i = 0; i < n * probes; i++)
        start[probe[i] + 2] += probe[i] >= 0; /* -1 adds nothing to the 1 that it finds */
    for (int32_t node = 0; node < nodes; node++)
        start[node + 2] += start[node + 1];
    for (int64_t row = 0; row < n; row++) {
        for (int64_t i = row * probes; i < (row + 1) * probes && probe[i] >= 0; i++)
            w->row[start[probe[i] + 1]++] = (int32_t)row;
    }
}

/* Two levels of a tree, and how many are wanted of each. */
typedef struct {
    const ivf_coarse *top;
    const ivf_coarse *below; /* in groups of siblings */
    int32_t nodes;           /* of the top */
    int32_t probes;          /* of these */
    int32_t wanted;          /* of their children */
} stairs;

/* The scores of a node's children for the rows that probe it. A row's nodes come in ascending order, and so do their
 * scores in its row of scores. */
static void score_children(const ivf_coarse *below, int32_t node, const ivf_nearest_work *w)
{
    ivf_tiles tiles = ivf_coarse_group(below, node);
    const int32_t *list = w->row + w->start[node];
    int32_t count = w->start[node + 1] - w->start[node];
    int32_t *out[UPPER_ROWS];
    for (int32_t i = 0; i < count; i++) {
        out[i] = w->scores + list[i] * w->slots + w->cursor[list[i]];
        w->cursor[list[i]] += (tiles.end - tiles.first) * IVF_COARSE_LANES;
    }
    ivf_coarse_rows rows = {.q = w->q_upper, .list = list, .n = count};
    ivf_coarse_scores(below, tiles, &rows, out);
}

/* Slots of a row's scores, ascending, to the nodes that they stand for. */
static void slots_to_nodes(const ivf_coarse *coarse, const int32_t *upper, int32_t *chosen, int32_t count)
{
    int64_t before = 0; /* slots of the probed nodes so far */
    ivf_tiles tiles = ivf_coarse_group(coarse, upper[0]);
    for (int32_t i = 0; i < count && chosen[i] >= 0; i++) {
        while (chosen[i] - before >= (int64_t)(tiles.end - tiles.first) * IVF_COARSE_LANES) {
            before += (int64_t)(tiles.end - tiles.first) * IVF_COARSE_LANES;
            tiles = ivf_coarse_group(coarse, *++upper);
        }
        chosen[i] = ivf_coarse_number(coarse, (int64_t)tiles.first * IVF_COARSE_LANES + chosen[i] - before);
    }
}

/* The best children of the best nodes for at most as many rows as there is room for: best[n][wanted], ascending. */
static void choose_below(const stairs *s, const int8_t *q, int64_t n, ivf_nearest_work *w, int32_t *best)
{
    ivf_coarse_rows rows = {.q = q, .list = NULL, .n = n};
    ivf_coarse_top(s->top, ivf_coarse_all(s->top), &rows, s->probes, w->upper, w->top);
    sort_by_node(w->upper, n, s->probes, s->nodes, w);
    memset(w->cursor, 0, (size_t)n * sizeof *w->cursor);
    w->q_upper = q;
    for (int32_t node = 0; node < s->nodes; node++)
        score_children(s->below, node, w);
    for (int64_t row = 0; row < n; row++) {
        int32_t *chosen = best + row * s->wanted;
        ivf_coarse_choose(w->scores + row * w->slots, w->cursor[row], s->wanted, chosen, w->choice);
        slots_to_nodes(s->below, w->upper + row * s->probes, chosen, s->wanted);
    }
}

static void choose_nodes(const ivf_nearest *nearest, int64_t n, ivf_nearest_work *w)
{
    int64_t stride = ivf_grid_stride(nearest->tree->d);
    int32_t probes = nearest->way.probes[1];
    if (nearest->tree->levels == 2) {
        ivf_coarse_rows rows = {.q = w->q, .list = NULL, .n = n};
        ivf_coarse_pick(nearest->coarse[1], ivf_coarse_all(nearest->coarse[1]), &rows, probes, w->probe, w->top);
        return;
    }
    const stairs s = {.top = nearest->coarse[2],
                      .below = nearest->coarse[1],
                      .nodes = nearest->tree->count[2],
                      .probes = nearest->way.probes[2],
                      .wanted = probes};
    for (int64_t from = 0; from < n; from += UPPER_ROWS)
        choose_below(&s, w->q + from * stride, ivf_min_i64(UPPER_ROWS, n - from), w, w->probe + from * probes);
}

static ivf_nearest_work several_in(const ivf_nearest *nearest, void *scratch)
{
    const ivf_tiles top = ivf_coarse_all(nearest->coarse[1]);
    const int32_t nodes = nearest->tree->count[1];
    const int32_t probes = nearest->way.probes[1];
    ivf_nearest_work w = {.slots = most_tiles(nearest->coarse[0], nodes, probes) * IVF_COARSE_LANES};
    w.start = piece(scratch, &w.bytes, ((int64_t)nodes + 2) * 4);
    w.row = piece(scratch, &w.bytes, (int64_t)SEVERAL_ROWS * probes * 4);
    w.upper = piece(scratch, &w.bytes, (int64_t)SEVERAL_ROWS * probes * 4);
    w.cursor = piece(scratch, &w.bytes, (int64_t)SEVERAL_ROWS * 4);
    w.scores = piece(scratch, &w.bytes, SEVERAL_ROWS * w.slots * 4);
    w.top = piece(scratch, &w.bytes, (int64_t)ivf_coarse_top_scratch(top));
    w.choice = piece(scratch, &w.bytes, (int64_t)ivf_coarse_choose_scratch(w.slots));
    return w;
}

size_t ivf_nearest_several_scratch(const ivf_nearest *nearest)
{
    return several_in(nearest, NULL).bytes;
}

void ivf_nearest_several(const ivf_nearest *nearest, const int8_t *q, int64_t n, int32_t count, int32_t *best,
                         void *scratch)
{
    const int64_t stride = ivf_grid_stride(nearest->tree->d);
    ivf_nearest_work w = several_in(nearest, scratch);
    const stairs s = {.top = nearest->coarse[1],
                      .below = nearest->coarse[0],
                      .nodes = nearest->tree->count[1],
                      .probes = nearest->way.probes[1],
                      .wanted = count};
    for (int64_t from = 0; from < n; from += SEVERAL_ROWS)
        choose_below(&s, q + from * stride, ivf_min_i64(SEVERAL_ROWS, n - from), &w, best + from * count);
}

int64_t ivf_nearest_several_memory(const ivf_tree *shape, const ivf_nearest_way *way)
{
    enum { UNEVEN = 4 }; /* of this part of all lists are under the nodes of a row, at most */
    const int32_t nodes = shape->count[1];
    const ivf_tiles top = {.end = (int32_t)ivf_ceil_div(nodes, IVF_COARSE_LANES)};
    const int64_t slots = shape->count[0] / UNEVEN + (int64_t)way->probes[1] * IVF_COARSE_LANES;
    return (int64_t)nodes * 4 + (int64_t)SEVERAL_ROWS * 4 * (2 * (int64_t)way->probes[1] + slots + 1) +
           (int64_t)ivf_coarse_top_scratch(top) + (int64_t)ivf_coarse_choose_scratch(slots) + 512;
}

/* In f32 only: the lists under the best nodes of level 1, or, should these have none, all lists. */
static void descend_exactly(const ivf_nearest *nearest, const float *x, const ivf_nearest_work *w, int32_t *best,
                            float *score)
{
    const ivf_tree *tree = nearest->tree;
    int32_t probes = nearest->way.probes[1];
    int32_t *probe = w->top;
    float *unused = (float *)(probe + ivf_round_up(probes, 16));
    *best = -1;
    ivf_panels_top(nearest->panels, x, 1, probes, probe, unused, unused + ivf_round_up(probes, 16));
    for (int32_t i = 0; i < probes; i++)
        ivf_coarse_exact(nearest->coarse[0], x, tree->first[1][probe[i]], tree->first[1][probe[i] + 1], best, score);
    if (*best < 0)
        ivf_coarse_exact(nearest->coarse[0], x, 0, tree->count[0], best, score);
}

void ivf_nearest_descend(const ivf_nearest *nearest, const float *x, int64_t n, ivf_nearest_work *w, int32_t *best,
                         float *score)
{
    const ivf_coarse *lists = nearest->coarse[0];
    int32_t nodes = nearest->tree->count[1];
    choose_nodes(nearest, n, w);
    sort_by_node(w->probe, n, nearest->way.probes[1], nodes, w);
    ivf_coarse_start(w->found, n);
    for (int32_t node = 0; node < nodes; node++) {
        ivf_coarse_rows rows = {.q = w->q, .list = w->row + w->start[node], .n = w->start[node + 1] - w->start[node]};
        ivf_coarse_scan(lists, ivf_coarse_group(lists, node), &rows, w->found);
    }
    (void)ivf_coarse_finish(lists, x, w->q, w->found, n, best, w->scored ? score : NULL);
    for (int64_t row = 0; row < n; row++) {
        if (w->outside[row] || best[row] < 0)
            descend_exactly(nearest, x + row * nearest->tree->d, w, best + row, score + row);
    }
}

/* The pieces of ivf_nearest_work_in; a row's slots of a middle level are taken to be twice the mean. */
int64_t ivf_nearest_scratch_memory(const ivf_tree *shape, const ivf_nearest_way *way)
{
    const int32_t *probes = way->probes;
    if (way->kind == IVF_NEAREST_EXACT)
        return 0;
    int64_t bytes = IVF_NEAREST_ROWS * (ivf_grid_stride(shape->d) + 1);
    if (way->kind == IVF_NEAREST_ROUNDED)
        return bytes;
    const ivf_tiles top = {.end = (int32_t)ivf_ceil_div(shape->count[shape->levels - 1], IVF_COARSE_LANES)};
    const int64_t of_top =
        (int64_t)(shape->levels == 2 ? ivf_coarse_pick_scratch(top, probes[1]) : ivf_coarse_top_scratch(top));
    const int64_t pairs = ivf_max_i64((int64_t)IVF_NEAREST_ROWS * probes[1], (int64_t)UPPER_ROWS * probes[2]);
    const int64_t of_panels = (int64_t)ivf_panels_top_memory(shape->count[1]) + ivf_round_up(probes[1], 16) * 8;
    bytes += IVF_NEAREST_ROWS * ((int64_t)sizeof(ivf_coarse_found) + 4 * (int64_t)probes[1]) + pairs * 4 +
             4 * (int64_t)shape->count[1] + ivf_max_i64(of_top, of_panels);
    if (shape->levels == 2)
        return bytes;
    const int64_t mean = ivf_ceil_div(shape->count[1], shape->count[2]);
    const int64_t slots = ivf_min_i64(ivf_round_up(2 * mean, IVF_COARSE_LANES) * probes[2], shape->count[1] + 16);
    return bytes + (int64_t)UPPER_ROWS * 4 * (probes[2] + slots + 1) + (int64_t)ivf_coarse_choose_scratch(slots);
}
