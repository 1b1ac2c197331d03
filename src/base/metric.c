#include "base/metric.h"

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
