/* Neighbours that a search found, for people and for files. */
#ifndef IVF_CLI_FOUND_H
#define IVF_CLI_FOUND_H

#include <jansson.h>
#include <stdint.h>

#include "base/metric.h"
#include "base/text.h"
#include "math/topk.h"

typedef struct {
    const ivf_neighbor *neighbors; /* [queries][k], borrowed */
    const uint64_t *ids;           /* [queries] where queries are rows of the index, borrowed; else NULL */
    int64_t queries;
    int k;
    ivf_metric metric;
} ivf_found;

/* Local. All of them to a file (io/results.h). Memory: 12 bytes for each. */
int ivf_found_write(const ivf_found *found, const char *path);

/* Local. Queries with fewer than k neighbours. */
int64_t ivf_found_short(const ivf_found *found);

/* Local. The first few of the first few queries: as lines "query rank id distance", and as JSON. */
void ivf_found_print(const ivf_found *found, ivf_text *out);
json_t *ivf_found_to_json(const ivf_found *found);

#endif
