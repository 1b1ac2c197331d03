#include "cut_keeper.h"

#include <check.h>

#include "base/error.h"

static bool due(void *arg, size_t bytes)
{
    const test_cut_keeper *cut = arg;
    const ivf_keeper *files = ivf_checkpoints_keeper(cut->files);
    return files->due(files->arg, bytes);
}

static int begin(void *arg, const char *name, size_t bytes, ivf_kept **kept)
{
    test_cut_keeper *cut = arg;
    const ivf_keeper *files = ivf_checkpoints_keeper(cut->files);
    if (atomic_fetch_add(&cut->begun, 1) >= cut->left)
        return ivf_fail(MPIVF_INTERRUPTED, "cut off at %s", name);
    return files->begin(files->arg, name, bytes, kept);
}

static ivf_kept *open_one(void *arg, const char *name, size_t *bytes)
{
    test_cut_keeper *cut = arg;
    const ivf_keeper *files = ivf_checkpoints_keeper(cut->files);
    ivf_kept *kept = files->open(files->arg, name, bytes);
    if (kept != NULL)
        atomic_fetch_add(&cut->found, 1);
    return kept;
}

void test_cut_keeper_make(test_cut_keeper *cut, const char *folder, int left)
{
    *cut = (test_cut_keeper){.files = ivf_checkpoints_new(folder, 0), .left = left};
    ck_assert_ptr_nonnull(cut->files);
    const ivf_keeper *files = ivf_checkpoints_keeper(cut->files);
    cut->keeper = *files;
    cut->keeper.arg = cut;
    cut->keeper.due = due;
    cut->keeper.begin = begin;
    cut->keeper.open = open_one;
}

void test_cut_keeper_drop(test_cut_keeper *cut)
{
    ivf_checkpoints_free(cut->files);
}
