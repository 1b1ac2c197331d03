/* A keeper in files that stops the work after so many checkpoints, as a kill would. */
#ifndef TEST_CUT_KEEPER_H
#define TEST_CUT_KEEPER_H

#include <stdatomic.h>

#include "base/keeper.h"
#include "io/checkpoint.h"

typedef struct {
    ivf_keeper keeper; /* to hand over */
    ivf_checkpoints *files;
    int left;         /* checkpoints that may still be begun; the next one fails with MPIVF_INTERRUPTED */
    atomic_int begun; /* so many were */
    atomic_int found; /* so many were opened */
} test_cut_keeper;

/* Local. Keeps in a folder whenever it is asked. It stays where it is. */
void test_cut_keeper_make(test_cut_keeper *cut, const char *folder, int left);
void test_cut_keeper_drop(test_cut_keeper *cut);

#endif
