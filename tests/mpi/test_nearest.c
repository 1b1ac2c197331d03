/* cluster/nearest: the choice of a way by ranks that share its rows is that of one rank with all of them, bit by bit.
 */
#include <string.h>

#include "../support/mpi_suite.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "cluster/nearest.h"

enum { D = 16, LISTS = 2100, ROWS = 5 * IVF_SHARE_BLOCK + 77 };

static float *normals(int64_t values, uint64_t seed)
{
    float *x = ivf_new(ivf_to_size(values), sizeof *x);
    for (int64_t i = 0; x != NULL && i < values; i++)
        x[i] = (float)ivf_rng_normal(seed, IVF_RNG_TEST, (uint64_t)i);
    return x;
}

typedef struct {
    ivf_tree tree;
    ivf_grid grid;
    ivf_share share; /* this rank's */
    float *x;        /* [ROWS][D] */
    float *mine;
} problem;

/* `holders` ranks hold rows. */
static problem make_problem(int holders)
{
    const int32_t lists = LISTS;
    const int rank = ivf_ctx_rank(test_ctx);
    problem p = {.share = {.total = ROWS, .rank = rank < holders ? rank : -1, .size = holders}};
    p.x = normals((int64_t)ROWS * D, 1);
    test_all(p.x != NULL && ivf_tree_make(&p.tree, 1, D, &lists) == MPIVF_OK);
    float *c = normals((int64_t)LISTS * D, 2);
    test_all(c != NULL);
    memcpy(p.tree.centroids[0], c, (size_t)LISTS * D * sizeof *c);
    ivf_free(c);
    test_all(ivf_grid_fit(&p.grid, p.x, ROWS, D) == MPIVF_OK);
    p.mine = ivf_new(ROWS * D, sizeof *p.mine);
    test_all(p.mine != NULL);
    for (int64_t row = 0; row < ivf_share_count(&p.share); row++)
        memcpy(p.mine + row * D, p.x + ivf_share_place(&p.share, row) * D, D * sizeof *p.x);
    return p;
}

static void free_problem(problem *p)
{
    ivf_tree_free(&p->tree);
    ivf_grid_free(&p->grid);
    ivf_free(p->x);
    ivf_free(p->mine);
}

/* The way that the ranks choose, after having compared it with that of all rows. */
static ivf_nearest_way choose_both(const problem *p, ivf_nearest_agreement *agreement)
{
    const ivf_nearest_lists lists = {.tree = &p->tree, .grid = &p->grid, .metric = IVF_L2};
    const ivf_share alone = {.total = ROWS, .size = 1};
    ivf_nearest_way way[2] = {{0}, {0}};
    ivf_nearest_agreement other = {0};
    test_all(ivf_nearest_fit(test_ctx, &lists, p->mine, &p->share, &way[0], agreement) == MPIVF_OK);
    test_all(ivf_nearest_fit(NULL, &lists, p->x, &alone, &way[1], &other) == MPIVF_OK);
    test_all(memcmp(&way[0], &way[1], sizeof way[0]) == 0);
    test_all(agreement->rows == ROWS && agreement->same == other.same);
    test_all(memcmp(&agreement->excess, &other.excess, sizeof other.excess) == 0);
    return way[0];
}

START_TEST(ranks_choose_as_one_does)
{
    for (int holders = 1; holders <= ivf_ctx_size(test_ctx); holders++) {
        ivf_nearest_agreement agreement = {0};
        problem p = make_problem(holders);
        test_all(choose_both(&p, &agreement).kind == IVF_NEAREST_ROUNDED);
        test_all(agreement.same >= ROWS * 995 / 1000 && agreement.same < ROWS && agreement.excess != 0);
        p.grid.step *= 40; /* far too coarse */
        test_all(choose_both(&p, &agreement).kind == IVF_NEAREST_EXACT);
        test_all(agreement.same == ROWS && agreement.excess == 0);
        free_problem(&p);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nearest");
    TCase *tests = tcase_create("nearest");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, ranks_choose_as_one_does);
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
