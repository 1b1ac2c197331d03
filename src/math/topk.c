/* The k nearest of a stream: a max-heap by (key, id), the worst entry at the root. */
#include "math/topk.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

static bool before(ivf_neighbor a, ivf_neighbor b)
{
    return a.key < b.key || (a.key == b.key && a.id < b.id);
}

/* Puts `entry` where `heap[n]` has a hole at `hole`, letting larger children rise. */
static void sift_down(ivf_neighbor *heap, int64_t n, int64_t hole, ivf_neighbor entry)
{
    for (;;) {
        int64_t child = 2 * hole + 1;
        if (child >= n)
            break;
        if (child + 1 < n && before(heap[child], heap[child + 1]))
            child++;
        if (!before(entry, heap[child]))
            break;
        heap[hole] = heap[child];
        hole = child;
    }
    heap[hole] = entry;
}

/* An entry that is none has the limit as its key until the end, so that the bound is right from the start. */
ivf_topk ivf_topk_start(ivf_neighbor *heap, int k, float limit)
{
    for (int i = 0; i < k; i++)
        heap[i] = (ivf_neighbor){.key = limit, .id = UINT64_MAX};
    return (ivf_topk){.heap = heap, .k = k};
}

float ivf_topk_bound(const ivf_topk *top)
{
    return top->heap[0].key;
}

static void offer_one(ivf_topk *top, float key, uint64_t id)
{
    ivf_neighbor entry = {.key = key, .list = top->list, .id = id};
    if (before(entry, top->heap[0]))
        sift_down(top->heap, top->k, 0, entry);
}

/* Most blocks of a long stream hold nothing new, which this loop finds out without a branch for each key. */
static bool any_within(const float *keys, int n, float bound)
{
    int within = 0;
    for (int i = 0; i < n; i++)
        within |= keys[i] <= bound;
    return within != 0;
}

void ivf_topk_offer(ivf_topk *top, const float *keys, const uint64_t *ids, int64_t n)
{
    enum { BLOCK = 16 };
    int64_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK) {
        if (!any_within(keys + i, BLOCK, ivf_topk_bound(top)))
            continue;
        for (int64_t j = i; j < i + BLOCK; j++)
            offer_one(top, keys[j], ids[j]);
    }
    for (; i < n; i++)
        offer_one(top, keys[i], ids[i]);
}

void ivf_topk_finish(ivf_topk *top)
{
    for (int n = top->k - 1; n > 0; n--) {
        ivf_neighbor last = top->heap[n];
        top->heap[n] = top->heap[0];
        sift_down(top->heap, n, 0, last);
    }
    for (int i = top->k - 1; i >= 0 && top->heap[i].id == UINT64_MAX; i--)
        top->heap[i].key = INFINITY;
}

void ivf_topk_merge(ivf_neighbor *into, const ivf_neighbor *from, int64_t rows, int k, ivf_neighbor *scratch)
{
    for (int64_t row = 0; row < rows; row++) {
        ivf_neighbor *a = into + row * k;
        const ivf_neighbor *b = from + row * k;
        int taken = 0; /* from a */
        for (int i = 0; i < k; i++) {
            bool other = before(b[i - taken], a[taken]);
            scratch[i] = other ? b[i - taken] : a[taken];
            taken += !other;
        }
        memcpy(a, scratch, (size_t)k * sizeof *a);
    }
}
