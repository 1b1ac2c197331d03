#include "base/metric.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

static const char *const names[] = {[IVF_L2] = "l2", [IVF_IP] = "ip", [IVF_COSINE] = "cosine"};

const char *ivf_metric_name(ivf_metric metric)
{
    return names[metric];
}

bool ivf_metric_parse(const char *name, ivf_metric *metric)
{
    for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            *metric = (ivf_metric)i;
            return true;
        }
    }
    return false;
}

float ivf_metric_distance(ivf_metric metric, float key)
{
    switch (metric) {
    case IVF_IP:
        return 0.0F - key;
    case IVF_COSINE:
        return 1.0F + key;
    case IVF_L2:
    default:
        return key;
    }
}

static bool is_within(ivf_metric metric, float key, double distance)
{
    double shown = (double)ivf_metric_distance(metric, key);
    return metric == IVF_IP ? shown >= distance : shown <= distance;
}

/* The float whose place in the order of all floats from -INFINITY (0) on is `place`. */
static float float_at(uint32_t place)
{
    const uint32_t lowest = 0xff800000; /* the bits of -INFINITY */
    const uint32_t negatives = lowest - 0x80000000;
    uint32_t bits = place <= negatives ? lowest - place : place - negatives - 1;
    float value = 0;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* What users see ascends (descends, for inner products) with the key, but by steps of rounding of its own: so the key
 * is found by halving. */
float ivf_metric_limit(ivf_metric metric, double distance)
{
    uint32_t low = 0;
    uint32_t high = 2 * (0xff800000 - 0x80000000) + 1; /* INFINITY */
    if (is_within(metric, float_at(high), distance))
        return INFINITY;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (is_within(metric, float_at(middle), distance))
            low = middle;
        else
            high = middle;
    }
    return float_at(low);
}
