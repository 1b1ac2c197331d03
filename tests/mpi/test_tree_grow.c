/* cluster/tree_grow: what cluster/tree.h says of trees, for those that grow; the same bytes on any number of ranks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../support/mpi_suite.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/team.h"
#include "cluster/tree_grow.h"
#include "comm/transfer.h"
#include "math/panels.h"

enum { D = 6 };

/* A tree of one level: lists around some centres, different for each seed. */
static ivf_tree lists_of(int32_t lists, uint64_t seed)
{
    ivf_tree tree;
    test_all(ivf_tree_make(&tree, 1, D, &lists) == MPIVF_OK);
    for (int32_t i = 0; i < lists; i++)
        for (int j = 0; j < D; j++)
            tree.centroids[0][(size_t)i * D + (size_t)j] =
                (float)(ivf_rng_normal(seed, IVF_RNG_TEST, (uint64_t)i * D + (uint64_t)j) +
                        4 * ivf_rng_normal(seed + 1, IVF_RNG_TEST, (uint64_t)(i % 37) * D + (uint64_t)j));
    return tree;
}

static uint64_t hash_of(const ivf_tree *tree)
{
    uint64_t hashes[2 * IVF_LEVELS] = {0};
    for (int l = 0; l < tree->levels; l++) {
        hashes[l] = ivf_hash64(tree->centroids[l], (size_t)tree->count[l] * D * sizeof(float));
        if (l > 0)
            hashes[IVF_LEVELS + l] = ivf_hash64(tree->first[l], ((size_t)tree->count[l] + 1) * sizeof(int32_t));
    }
    return ivf_hash64(hashes, sizeof hashes);
}

/* Each node is under the nearest one, and none is without children. */
static bool is_sound(const ivf_tree *tree, ivf_metric metric)
{
    bool sound = ivf_tree_check(tree, "test") == MPIVF_OK;
    for (int l = 1; l < tree->levels && sound; l++) {
        ivf_panels *panels = ivf_panels_new(tree->centroids[l], tree->count[l], D, metric);
        for (int32_t node = 0; node < tree->count[l]; node++) {
            sound = sound && tree->first[l][node] < tree->first[l][node + 1];
            for (int32_t child = tree->first[l][node]; child < tree->first[l][node + 1]; child++) {
                int32_t best;
                float score;
                ivf_panels_best(panels, tree->centroids[l - 1] + (size_t)child * D, 1, &best, &score);
                sound = sound && best == node;
            }
        }
        ivf_panels_free(panels);
    }
    return sound;
}

static int compare_rows(const void *a, const void *b)
{
    return memcmp(a, b, D * sizeof(float));
}

/* Whether both hold the same lists, in whatever order. */
static bool same_lists(const ivf_tree *a, const ivf_tree *b)
{
    size_t bytes = (size_t)a->count[0] * D * sizeof(float);
    float *one = ivf_new(bytes, 1);
    float *other = ivf_new(bytes, 1);
    memcpy(one, a->centroids[0], bytes);
    memcpy(other, b->centroids[0], bytes);
    qsort(one, (size_t)a->count[0], D * sizeof(float), compare_rows);
    qsort(other, (size_t)a->count[0], D * sizeof(float), compare_rows);
    bool same = ivf_hash64(one, bytes) == ivf_hash64(other, bytes);
    ivf_free(one);
    ivf_free(other);
    return same;
}

static void grows(int32_t lists, int levels, ivf_metric metric)
{
    const ivf_tree_growth growth = {.levels = levels, .metric = metric, .seed = 5};
    ivf_tree before = lists_of(lists, 71);
    ivf_tree alone = lists_of(lists, 71);
    ivf_tree together = lists_of(lists, 71);
    ivf_team_resize(1 + ivf_ctx_rank(test_ctx) % 2);
    test_all(ivf_tree_grow(NULL, &growth, &alone) == MPIVF_OK);
    test_all(ivf_tree_grow(test_ctx, &growth, &together) == MPIVF_OK);
    test_all(together.levels == levels);
    test_all(together.count[0] == lists);
    test_all(is_sound(&together, metric));
    test_all(same_lists(&before, &together));
    test_all(hash_of(&alone) == hash_of(&together));
    uint64_t hash = hash_of(&together);
    ivf_bcast(test_ctx, &hash, sizeof hash);
    test_all(hash == hash_of(&together));
    for (int l = 1; l < levels; l++)
        test_all(together.count[l] <= together.count[l - 1]);
    ivf_tree_free(&before);
    ivf_tree_free(&alone);
    ivf_tree_free(&together);
}

START_TEST(trees_of_two_levels)
{
    grows(2500, 2, IVF_L2);
    grows(1100, 2, IVF_IP);
}
END_TEST

START_TEST(trees_of_three_levels)
{
    grows(2500, 3, IVF_L2);
}
END_TEST

/* In place of a usual one, whose order of the lists it starts from. */
START_TEST(broad_trees_follow_usual_ones)
{
    ivf_tree_growth growth = {.levels = 2, .metric = IVF_L2, .seed = 5};
    ivf_tree tree = lists_of(6400, 74);
    test_all(ivf_tree_grow(test_ctx, &growth, &tree) == MPIVF_OK);
    test_all(!ivf_tree_is_broad(&tree));
    ivf_tree_cut(&tree);
    test_all(tree.levels == 1 && tree.count[1] == 0);
    growth.broad = true;
    ivf_tree shape = {.d = D};
    ivf_tree_shape(&growth, 6400, &shape);
    test_all(shape.count[1] == 800);
    test_all(ivf_tree_grow(test_ctx, &growth, &tree) == MPIVF_OK);
    test_all(tree.count[1] <= 800 && ivf_tree_is_broad(&tree) && is_sound(&tree, IVF_L2));
    test_all(!ivf_tree_may_broaden(&tree));
    ivf_tree_free(&tree);
}
END_TEST

START_TEST(small_ones_grow_too)
{
    grows(1, 3, IVF_L2);
    grows(5, 2, IVF_L2);
    grows(17, 3, IVF_COSINE);
}
END_TEST

/* Lists that are copies of each other are under one node. */
START_TEST(copies_share_a_node)
{
    const ivf_tree_growth growth = {.levels = 2, .metric = IVF_L2, .seed = 5};
    ivf_tree tree = lists_of(300, 72);
    for (size_t i = 3; i < 300; i++)
        memcpy(tree.centroids[0] + i * D, tree.centroids[0] + i % 3 * D, D * sizeof(float));
    test_all(ivf_tree_grow(test_ctx, &growth, &tree) == MPIVF_OK);
    test_all(tree.count[1] == 3);
    test_all(is_sound(&tree, IVF_L2));
    ivf_tree_free(&tree);
}
END_TEST

START_TEST(levels_follow_from_lists)
{
    ck_assert_int_eq(ivf_tree_levels(1), 1);
    ck_assert_int_eq(ivf_tree_levels(8191), 1);
    ck_assert_int_eq(ivf_tree_levels(8192), 2);
    ck_assert_int_eq(ivf_tree_levels((1 << 19) - 1), 2);
    ck_assert_int_eq(ivf_tree_levels(1 << 19), 3);
    ivf_tree_growth growth = {.metric = IVF_L2, .seed = 5};
    const ivf_tree usual = {.levels = 2, .count = {32768, 724}};
    const ivf_tree few = {.levels = 2, .count = {32767, 724}};
    ck_assert(ivf_tree_may_broaden(&usual) && !ivf_tree_may_broaden(&few));
    ivf_tree tree = lists_of(100, 73);
    test_all(ivf_tree_grow(test_ctx, &growth, &tree) == MPIVF_OK);
    test_all(tree.levels == 1);
    growth.levels = IVF_LEVELS + 1;
    test_all(ivf_tree_grow(test_ctx, &growth, &tree) == MPIVF_USAGE);
    test_all(tree.levels == 1);
    ivf_tree_free(&tree);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tree_grow");
    TCase *tests = tcase_create("tree_grow");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, trees_of_two_levels);
    tcase_add_test(tests, trees_of_three_levels);
    tcase_add_test(tests, broad_trees_follow_usual_ones);
    tcase_add_test(tests, small_ones_grow_too);
    tcase_add_test(tests, copies_share_a_node);
    tcase_add_test(tests, levels_follow_from_lists);
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
