/* A named array of plain elements: how modules hand each other what is to be stored, without knowing files. */
#ifndef IVF_BASE_ARRAY_H
#define IVF_BASE_ARRAY_H

#include <stddef.h>
#include <stdint.h>

typedef enum { IVF_F32, IVF_F64, IVF_F16, IVF_U8, IVF_I8, IVF_I32, IVF_I64, IVF_U64 } ivf_element;

enum { IVF_ARRAY_RANK = 3 };

typedef struct {
    const char *name; /* borrowed */
    ivf_element type;
    int rank;
    int64_t dims[IVF_ARRAY_RANK];
    void *data; /* row-major; borrowed unless said otherwise */
} ivf_array;

/* Local. Bytes of one element; its name: "f32", "u8", ... */
size_t ivf_element_size(ivf_element type);
const char *ivf_element_name(ivf_element type);

/* Local. Elements, and bytes, of an array. */
int64_t ivf_array_count(const ivf_array *array);
size_t ivf_array_bytes(const ivf_array *array);

#endif
