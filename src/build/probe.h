/* What a build would do, and how fast this machine does it, without building it. */
#ifndef IVF_BUILD_PROBE_H
#define IVF_BUILD_PROBE_H

#include <stdbool.h>

#include "build/build.h"
#include "build/needs.h"
#include "build/plan.h"
#include "build/predict.h"

/* Rates that the user knows better; 0: measured. */
typedef struct {
    double train_rows;  /* of the sample that one rank trains lists on, in all its iterations, a second */
    double codec_rows;  /* that one rank trains the codec on, a second */
    double assign_rows; /* that one rank assigns and encodes, a second */
    double read_bytes;  /* a second, of one rank */
    double write_bytes;
} ivf_known_rates;

typedef struct {
    ivf_plan plan;
    int shards;
    ivf_element element;
    ivf_needs_input needs;      /* plan points to the one above */
    ivf_prediction_input input; /* but for the network; plan points to the one above. On rank 0, when measured */
    int64_t probed_rows;
    int32_t probed_lists;
    double seconds; /* that measuring took */
} ivf_probe;

/* Collective. Decides the plan of a build and refuses what it would refuse, but makes no index. With `known` (else
 * NULL) also measures what one rank needs: rank 0 makes small real builds (cluster/kmeans.h, codec/codec.h and all the
 * rest, as they are) of at most 64 Ki rows spread over the input, in a folder beside the index that is removed again,
 * and extrapolates:
 *
 *     lists   from builds with the same iterations and two small numbers of lists, a straight line through the seconds
 *             for a row, from the number of lists on at which trees begin (cluster/tree.h) growing with its root
 *     codec   from a build with one list, in proportion to the rows
 *     files   from fragments of two sizes
 *
 * Takes one to two seconds (memory: those rows, and what a build of them takes). */
int ivf_probe_build(const ivf_ctx *ctx, const ivf_build_config *config, const ivf_known_rates *known, ivf_probe *probe);

#endif
