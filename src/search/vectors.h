/* The vectors of indexed rows as they were read, for exact distances and for searches by id: those that the index
 * keeps, else from the original shards. */
#ifndef IVF_SEARCH_VECTORS_H
#define IVF_SEARCH_VECTORS_H

#include <stdbool.h>
#include <stdint.h>

#include "comm/context.h"
#include "index/manifest.h"
#include "math/topk.h"

typedef struct ivf_vectors ivf_vectors;

/* Collective. Unless the index keeps vectors the shards, and the file of ids if there was one, must be what was indexed
 * (io/stamps.h): MPIVF_BAD_INPUT names the file that is missing or changed and what to do: by_library
 * says whether that is for a program that opens the index, or for who types options. `index` and manifest are borrowed.
 */
int ivf_vectors_open(const ivf_ctx *ctx, const char *index, const ivf_manifest *manifest, bool by_library,
                     ivf_vectors **vectors);
void ivf_vectors_close(ivf_vectors *vectors);

/* Local. Bytes that the functions below take, beside what is said of each candidate or id. */
int64_t ivf_vectors_memory(const ivf_vectors *vectors);

/* Collective. Who reads which of found[n] (the same on every rank): places[i] >= 0 is where this rank finds the vector,
 * -1 that another rank does, or that there is no entry. Every entry has one reader; MPIVF_CORRUPT when one has none.
 * Memory: 52 bytes for each distinct id while the ids of their lists are read, or a file of ids is read through, once,
 * in shares. */
int ivf_vectors_locate(const ivf_ctx *ctx, ivf_vectors *vectors, const ivf_neighbor *found, int64_t n, int64_t *places);

/* Local, uses the team. The vectors at ascending distinct places into x[n][d], d as rows are read. Those that lie close
 * together are read in one go. */
int ivf_vectors_read(ivf_vectors *vectors, const int64_t *places, int64_t n, float *x);

/* Collective. The vectors of the rows with ids[n] (the same on every rank) into x[n][d] on every rank. MPIVF_BAD_INPUT
 * names ids that no row in the index has. All ids of the index, or of the file of ids, are read once, in shares.
 * Memory: IVF_VECTORS_ID_BYTES and a vector for each. */
enum { IVF_VECTORS_ID_BYTES = 60 };
int ivf_vectors_of_ids(const ivf_ctx *ctx, ivf_vectors *vectors, const uint64_t *ids, int64_t n, float *x);

#endif
