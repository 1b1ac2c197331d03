#include "io/npyfile.h"

#include <inttypes.h>
#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "io/formats.h"
#include "io/rawfile.h"

static int read_values(const ivf_rawfile *file, int64_t offset, int64_t count, float **values)
{
    float *read = ivf_new(ivf_to_size(count), sizeof *read);
    int rc = read == NULL ? MPIVF_FAILED : ivf_rawfile_read(file, offset, ivf_to_size(count) * sizeof *read, read);
    for (int64_t i = 0; rc == MPIVF_OK && i < count; i++)
        if (!isfinite(read[i]))
            rc = ivf_fail(MPIVF_BAD_INPUT, "input %s: the value at position %" PRId64 " is not finite", file->path, i);
    if (rc != MPIVF_OK) {
        ivf_free(read);
        return rc;
    }
    *values = read;
    return MPIVF_OK;
}

int ivf_npyfile_read(const char *path, int rank, int64_t dims[IVF_ARRAY_RANK], float **values)
{
    ivf_rawfile file;
    int64_t offset = 0;
    int64_t count = 1;
    *values = NULL;
    int rc = ivf_rawfile_open(path, &file);
    if (rc != MPIVF_OK)
        return rc;
    rc = ivf_npy_probe_floats(&file, rank, dims, &offset);
    for (int i = 0; rc == MPIVF_OK && i < rank; i++)
        count *= dims[i];
    if (rc == MPIVF_OK)
        rc = read_values(&file, offset, count, values);
    ivf_rawfile_close(&file);
    return rc;
}
