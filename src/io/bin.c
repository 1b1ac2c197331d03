#include <inttypes.h>

#include "base/error.h"
#include "io/formats.h"

int ivf_bin_probe(const ivf_rawfile *file, ivf_layout *layout)
{
    uint32_t head[2];
    layout->offset = sizeof head;
    if (file->bytes < layout->offset)
        return ivf_fail(MPIVF_BAD_INPUT, "input %s has %" PRId64 " bytes, too few for a .%s header of 8", file->path,
                        file->bytes, ivf_source_format_name(layout->format));
    int rc = ivf_rawfile_read(file, 0, sizeof head, head);
    if (rc != MPIVF_OK)
        return rc;
    return ivf_layout_fit(file, head[0], head[1], layout);
}
