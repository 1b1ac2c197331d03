#include "base/keeper.h"

#include <math.h>

#include "base/error.h"
#include "base/log.h"

static size_t bytes_of(const ivf_keeper_part *parts, int count)
{
    size_t bytes = 0;
    for (int i = 0; i < count; i++)
        bytes += parts[i].bytes;
    return bytes;
}

int ivf_keeper_put(const ivf_keeper *keeper, const char *name, const ivf_keeper_part *parts, int count)
{
    ivf_kept *kept = NULL;
    int rc = keeper->begin(keeper->arg, name, bytes_of(parts, count), &kept);
    if (rc != MPIVF_OK)
        return rc;
    for (int i = 0; i < count && rc == MPIVF_OK; i++)
        rc = keeper->add(kept, parts[i].data, parts[i].bytes);
    return keeper->end(kept, rc);
}

bool ivf_keeper_get(const ivf_keeper *keeper, const char *name, const ivf_keeper_part *parts, int count)
{
    size_t bytes = 0;
    ivf_kept *kept = keeper->open(keeper->arg, name, &bytes);
    if (kept == NULL)
        return false;
    bool whole = bytes == bytes_of(parts, count);
    if (!whole)
        ivf_keeper_refuse(name);
    for (int i = 0; i < count && whole; i++)
        whole = keeper->take(kept, parts[i].data, parts[i].bytes);
    keeper->close(kept);
    return whole;
}

void ivf_keeper_refuse(const char *name)
{
    ivf_warn("checkpoint %s: does not fit this training; what it held is computed again", name);
}

bool ivf_keeper_finite(const float *values, size_t n)
{
    bool finite = true;
    for (size_t i = 0; i < n; i++)
        finite = finite && isfinite(values[i]);
    return finite;
}
