#include "base/array.h"

#include "base/numbers.h"

static const struct {
    const char *name;
    size_t size;
} elements[] = {
    [IVF_F32] = {"f32", 4}, [IVF_F64] = {"f64", 8}, [IVF_F16] = {"f16", 2}, [IVF_U8] = {"u8", 1},
    [IVF_I8] = {"i8", 1},   [IVF_I32] = {"i32", 4}, [IVF_I64] = {"i64", 8}, [IVF_U64] = {"u64", 8},
};

size_t ivf_element_size(ivf_element type)
{
    return elements[type].size;
}

const char *ivf_element_name(ivf_element type)
{
    return elements[type].name;
}

int64_t ivf_array_count(const ivf_array *array)
{
    int64_t count = 1;
    for (int i = 0; i < array->rank; i++)
        count *= array->dims[i];
    return count;
}

size_t ivf_array_bytes(const ivf_array *array)
{
    return ivf_to_size(ivf_array_count(array)) * ivf_element_size(array->type);
}
