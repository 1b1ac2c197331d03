/* How near two vectors are. Inside the library a smaller key is always nearer. */
#ifndef IVF_BASE_METRIC_H
#define IVF_BASE_METRIC_H

#include <stdbool.h>

typedef enum {
    IVF_L2,     /* key: squared Euclidean distance */
    IVF_IP,     /* key: minus the inner product */
    IVF_COSINE, /* rows and queries are normalised first; key: minus the inner product */
} ivf_metric;

/* Local. "l2", "ip", "cosine". */
const char *ivf_metric_name(ivf_metric metric);
bool ivf_metric_parse(const char *name, ivf_metric *metric);

/* Local. What users see for a key: squared L2 distance, inner product, or 1 - cosine. */
float ivf_metric_distance(ivf_metric metric, float key);

/* Local. The largest key that is not beyond `distance` as users see it: a squared L2 distance or a 1 - cosine of at
 * most that, an inner product of at least that. -INFINITY when there is none, INFINITY when there is no other. */
float ivf_metric_limit(ivf_metric metric, double distance);

#endif
