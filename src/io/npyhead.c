#include "io/npyhead.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/numbers.h"

enum { PREFIX_BYTES = 10 }; /* magic, version, length of the text */

static const char *descr_of(ivf_element type)
{
    switch (type) {
    case IVF_F32:
        return "<f4";
    case IVF_F64:
        return "<f8";
    case IVF_F16:
        return "<f2";
    case IVF_U8:
        return "|u1";
    case IVF_I8:
        return "|i1";
    case IVF_I32:
        return "<i4";
    case IVF_I64:
        return "<i8";
    case IVF_U64:
        return "<u8";
    }
    return "";
}

void ivf_npyhead_make_array(const ivf_array *array, char head[IVF_NPY_HEAD_BYTES])
{
    static const char prefix[PREFIX_BYTES] = {'\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, IVF_NPY_HEAD_BYTES - PREFIX_BYTES,
                                              0};
    char shape[24 * IVF_ARRAY_RANK] = "";
    size_t used = 0;
    for (int i = 0; i < array->rank; i++)
        used +=
            ivf_to_size(snprintf(shape + used, sizeof shape - used, "%s%" PRId64, i > 0 ? ", " : "", array->dims[i]));
    memcpy(head, prefix, PREFIX_BYTES);
    used = PREFIX_BYTES + ivf_to_size(snprintf(head + PREFIX_BYTES, IVF_NPY_HEAD_BYTES - PREFIX_BYTES,
                                               "{'descr': '%s', 'fortran_order': False, 'shape': (%s%s), }",
                                               descr_of(array->type), shape, array->rank == 1 ? "," : ""));
    memset(head + used, ' ', IVF_NPY_HEAD_BYTES - 1 - used);
    head[IVF_NPY_HEAD_BYTES - 1] = '\n';
}

void ivf_npyhead_make(ivf_element type, int64_t rows, int64_t d, char head[IVF_NPY_HEAD_BYTES])
{
    const ivf_array matrix = {.type = type, .rank = 2, .dims = {rows, d}};
    ivf_npyhead_make_array(&matrix, head);
}
