#include <inttypes.h>

#include "base/error.h"
#include "io/formats.h"

int ivf_vecs_probe(const ivf_rawfile *file, ivf_layout *layout)
{
    layout->offset = 0;
    layout->prefix = (int32_t)sizeof layout->d;
    if (file->bytes == 0)
        return MPIVF_OK;
    if (file->bytes < layout->prefix)
        return ivf_fail(MPIVF_BAD_INPUT, "input %s has %" PRId64 " bytes, too few for the width of one row", file->path,
                        file->bytes);
    int rc = ivf_rawfile_read(file, 0, sizeof layout->d, &layout->d);
    if (rc != MPIVF_OK)
        return rc;
    if (layout->d < 1 || layout->d > IVF_D_MOST)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "input %s: the first row says d = %" PRId32 ", beyond 1..%d; is it really .%s?", file->path,
                        layout->d, IVF_D_MOST, ivf_source_format_name(layout->format));
    int64_t stride = (int64_t)ivf_layout_stride(layout);
    if (file->bytes % stride != 0)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "input %s: %" PRId64 " bytes are no whole number of rows of %" PRId64 " bytes (d = %" PRId32
                        ", %s): it was cut short, or is damaged",
                        file->path, file->bytes, stride, layout->d, ivf_element_name(layout->type));
    layout->rows = file->bytes / stride;
    return MPIVF_OK;
}
