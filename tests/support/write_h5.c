/* write_h5 PATH: an HDF5 file with an array of every type, for peers to read. */
#include <stdint.h>
#include <stdlib.h>

#include "base/error.h"
#include "io/h5.h"

enum { ROWS = 5, COLUMNS = 3, COUNT = ROWS * COLUMNS };

static const ivf_element types[] = {IVF_F32, IVF_F64, IVF_U8, IVF_I8, IVF_I32, IVF_I64, IVF_U64};

/* 1, -2.5, 65504, the smallest subnormal, infinity. */
static uint16_t halves[] = {0x3c00, 0xc100, 0x7bff, 0x0001, 0x7c00};

/* 0, 1, 2, ... as elements of a type. */
static void count_up(ivf_element type, void *data)
{
    for (int i = 0; i < COUNT; i++)
        switch (type) {
        case IVF_F32:
            ((float *)data)[i] = (float)i;
            break;
        case IVF_F64:
            ((double *)data)[i] = i;
            break;
        case IVF_I32:
            ((int32_t *)data)[i] = i;
            break;
        case IVF_I64:
        case IVF_U64:
            ((int64_t *)data)[i] = i;
            break;
        default:
            ((uint8_t *)data)[i] = (uint8_t)i;
        }
}

static int write_arrays(ivf_h5 *file)
{
    static double data[COUNT];
    int rc = MPIVF_OK;
    for (size_t i = 0; rc == MPIVF_OK && i < sizeof types / sizeof types[0]; i++) {
        const ivf_array array = {ivf_element_name(types[i]), types[i], 2, {ROWS, COLUMNS, 0}, data};
        count_up(types[i], data);
        rc = ivf_h5_write(file, &array);
    }
    const ivf_array f16 = {"group/f16", IVF_F16, 1, {ROWS, 0, 0}, halves};
    const ivf_array empty = {"empty", IVF_F32, 2, {0, COLUMNS, 0}, NULL};
    if (rc == MPIVF_OK)
        rc = ivf_h5_write(file, &f16);
    if (rc == MPIVF_OK)
        rc = ivf_h5_write(file, &empty);
    if (rc == MPIVF_OK)
        rc = ivf_h5_write_text(file, "text", "\xc3\x85ngstr\xc3\xb6m");
    if (rc == MPIVF_OK)
        rc = ivf_h5_write_i64(file, "number", INT64_MIN);
    return rc;
}

int main(int count, char **arguments)
{
    ivf_h5 *file = NULL;
    int rc = count == 2 ? ivf_h5_create(arguments[1], &file) : MPIVF_USAGE;
    if (rc == MPIVF_OK)
        rc = write_arrays(file);
    if (rc != MPIVF_OK)
        return rc;
    return ivf_h5_close(file);
}
