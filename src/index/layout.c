#include "index/layout.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"

static int join(char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int join(char *path, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(path, IVF_PATH_BYTES, format, args);
    va_end(args);
    if (length < 0 || length >= IVF_PATH_BYTES)
        return ivf_fail(MPIVF_USAGE, "path of the index is too long: %d bytes, at most %d; use a shorter one", length,
                        IVF_PATH_BYTES - 1);
    return MPIVF_OK;
}

int ivf_layout_manifests(const char *index, char *path)
{
    return join(path, "%s/manifests", index);
}

int ivf_layout_manifest(const char *index, int64_t version, char *path)
{
    return join(path, "%s/manifests/%06" PRId64 ".json", index, version);
}

int ivf_layout_models(const char *index, char *path)
{
    return join(path, "%s/models", index);
}

int ivf_layout_model(const char *index, const char *id, char *path)
{
    return join(path, "%s/models/%s.h5", index, id);
}

int ivf_layout_fragments(const char *index, char *path)
{
    return join(path, "%s/fragments", index);
}

int ivf_layout_fragment(const char *index, const char *id, char *path)
{
    return join(path, "%s/fragments/%s.h5", index, id);
}

int ivf_layout_building(const char *index, char *path)
{
    return join(path, "%s/building", index);
}

int ivf_layout_build(const char *index, const char *build_id, char *path)
{
    return join(path, "%s/building/%s", index, build_id);
}

int ivf_layout_build_file(const char *index, const char *build_id, const char *name, char *path)
{
    return join(path, "%s/building/%s/%s", index, build_id, name);
}
