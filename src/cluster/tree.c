#include "cluster/tree.h"

#include "base/error.h"
#include "base/memory.h"

int ivf_tree_make(ivf_tree *tree, int levels, int d, const int32_t *count)
{
    *tree = (ivf_tree){.levels = levels, .d = d};
    for (int l = 0; l < levels; l++) {
        tree->count[l] = count[l];
        tree->centroids[l] = ivf_new_zero((size_t)count[l] * (size_t)d, sizeof(float));
        if (l > 0)
            tree->first[l] = ivf_new_zero((size_t)count[l] + 1, sizeof(int32_t));
        if (tree->centroids[l] == NULL || (l > 0 && tree->first[l] == NULL)) {
            ivf_tree_free(tree);
            return MPIVF_FAILED;
        }
    }
    return MPIVF_OK;
}

void ivf_tree_free(ivf_tree *tree)
{
    for (int l = 0; l < IVF_LEVELS; l++) {
        ivf_free(tree->centroids[l]);
        ivf_free(tree->first[l]);
    }
    *tree = (ivf_tree){0};
}

static int check_level(const ivf_tree *tree, int level, const char *where)
{
    const int32_t *first = tree->first[level];
    int32_t count = tree->count[level];
    if (first[0] != 0 || first[count] != tree->count[level - 1])
        return ivf_fail(MPIVF_CORRUPT, "%s: the children of level %d are nodes %d to %d of the %d below", where, level,
                        first[0], first[count] - 1, tree->count[level - 1]);
    for (int32_t i = 0; i < count; i++)
        if (first[i + 1] < first[i])
            return ivf_fail(MPIVF_CORRUPT, "%s: the children of node %d of level %d end (%d) before they start (%d)",
                            where, i, level, first[i + 1], first[i]);
    return MPIVF_OK;
}

int ivf_tree_check(const ivf_tree *tree, const char *where)
{
    int rc = MPIVF_OK;
    for (int l = 1; rc == MPIVF_OK && l < tree->levels; l++)
        rc = check_level(tree, l, where);
    return rc;
}

bool ivf_tree_is_broad(const ivf_tree *tree)
{
    enum { FEW = 12 }; /* lists to a node */
    return tree->levels == 2 && tree->count[0] / tree->count[1] < FEW;
}
