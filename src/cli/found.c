#include "cli/found.h"

#include <inttypes.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "cli/output.h"
#include "io/results.h"

enum { SHOWN_QUERIES = 5, SHOWN_NEIGHBORS = 10 };

int ivf_found_write(const ivf_found *found, const char *path)
{
    size_t count = ivf_to_size(found->queries) * (size_t)found->k;
    int64_t *ids = ivf_new(count, sizeof *ids);
    float *distances = ivf_new(count, sizeof *distances);
    int rc = ids == NULL || distances == NULL ? MPIVF_FAILED : MPIVF_OK;
    for (size_t i = 0; rc == MPIVF_OK && i < count; i++) {
        const ivf_neighbor *n = &found->neighbors[i];
        ids[i] = n->id == UINT64_MAX ? -1 : (int64_t)n->id;
        distances[i] = ivf_metric_distance(found->metric, n->key);
    }
    if (rc == MPIVF_OK)
        rc = ivf_results_write(path, ids, distances, found->queries, found->k);
    ivf_free(ids);
    ivf_free(distances);
    return rc;
}

int64_t ivf_found_short(const ivf_found *found)
{
    int64_t count = 0;
    for (int64_t q = 0; q < found->queries; q++)
        count += found->neighbors[q * found->k + found->k - 1].id == UINT64_MAX;
    return count;
}

/* How many of a query's neighbours are shown: those that exist, up to a few. */
static int shown(const ivf_found *found, const ivf_neighbor *row)
{
    int n = 0;
    while (n < SHOWN_NEIGHBORS && n < found->k && row[n].id != UINT64_MAX)
        n++;
    return n;
}

/* A query's number, or its id. */
static int64_t name_of(const ivf_found *found, int64_t query)
{
    return found->ids == NULL ? query : (int64_t)found->ids[query];
}

void ivf_found_print(const ivf_found *found, ivf_text *out)
{
    ivf_text_add(out, "%8s %5s %20s %14s\n", "query", "rank", "id", "distance");
    for (int64_t q = 0; q < found->queries && q < SHOWN_QUERIES; q++) {
        const ivf_neighbor *row = found->neighbors + q * found->k;
        for (int i = 0; i < shown(found, row); i++)
            ivf_text_add(out, "%8" PRId64 " %5d %20" PRIu64 " %14.7g\n", name_of(found, q), i + 1, row[i].id,
                         (double)ivf_metric_distance(found->metric, row[i].key));
    }
}

json_t *ivf_found_to_json(const ivf_found *found)
{
    json_t *list = json_array();
    for (int64_t q = 0; q < found->queries && q < SHOWN_QUERIES; q++) {
        const ivf_neighbor *row = found->neighbors + q * found->k;
        json_t *ids = json_array();
        json_t *distances = json_array();
        for (int i = 0; i < shown(found, row); i++) {
            ivf_output_append(&ids, json_integer((json_int_t)row[i].id));
            ivf_output_append(&distances, ivf_output_real((double)ivf_metric_distance(found->metric, row[i].key)));
        }
        json_t *entry =
            json_pack("{s:I, s:o, s:o}", "query", (json_int_t)name_of(found, q), "ids", ids, "distances", distances);
        ivf_output_append(&list, entry);
    }
    return list;
}
