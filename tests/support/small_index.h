/* An index small enough to be walked posting by posting: made through index/ and codec/ alone, without the pipeline. */
#ifndef TEST_SMALL_INDEX_H
#define TEST_SMALL_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "index/model.h"
#include "math/topk.h"

/* Row SMALL_BAD_ROW is skipped; lists from SMALL_FULL_LISTS on are empty. */
enum { SMALL_D = 16, SMALL_ROWS = 1500, SMALL_NLIST = 24, SMALL_FULL_LISTS = 19, SMALL_BAD_ROW = 700 };
enum { SMALL_FRAGMENTS = 7 };

typedef struct {
    ivf_metric metric;
    ivf_model *model;
    float *x;      /* [SMALL_ROWS][SMALL_D], normalised for the cosine */
    int32_t *list; /* [SMALL_ROWS] */
    uint8_t *code; /* [SMALL_ROWS][code_size] */
    uint64_t *id;  /* [SMALL_ROWS], beyond 2^33 */
} small_index;

/* Local. n vectors of SMALL_D values, through ivf_new. The rows of an index are small_vectors(SMALL_ROWS, 1). */
float *small_vectors(int64_t n, uint64_t seed);

/* Local. Trains and encodes; commits version 1 to a folder; gives all back. */
int small_make(small_index *small, const char *factory, ivf_metric metric);
int small_write(const small_index *small, const char *index);
void small_free(small_index *small);

/* Local. The k nearest of queries[nq][SMALL_D] (not normalised), by a sort of the keys of all postings in the nprobe
 * nearest lists, each scanned by itself; [nq][k] through ivf_new. */
ivf_neighbor *small_walk(const small_index *small, const float *queries, int64_t nq, int nprobe, int k);

/* Local. The same from a sort of the keys of all rows, without lists and codes: what a Flat index must find. */
ivf_neighbor *small_brute_force(const small_index *small, const float *queries, int64_t nq, int k);

/* Local. Bit by bit. */
bool small_same(const ivf_neighbor *a, const ivf_neighbor *b, int64_t n);

#endif
