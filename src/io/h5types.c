#include "io/h5types.h"

static const ivf_element elements[] = {IVF_F32, IVF_F64, IVF_F16, IVF_U8, IVF_I8, IVF_I32, IVF_I64, IVF_U64};

/* HDF5 has no half float of its own: IEEE 754 binary16 is sign bit 15, 5 bits of exponent from bit 10 with bias 15, 10
 * bits of mantissa. */
static hid_t make_half(void)
{
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    if (type < 0)
        return type;
    if (H5Tset_fields(type, 15, 10, 5, 0, 10) < 0 || H5Tset_size(type, 2) < 0 || H5Tset_ebias(type, 15) < 0) {
        (void)H5Tclose(type);
        return H5I_INVALID_HID;
    }
    return type;
}

hid_t ivf_h5_type_make(ivf_element element)
{
    switch (element) {
    case IVF_F32:
        return H5Tcopy(H5T_IEEE_F32LE);
    case IVF_F64:
        return H5Tcopy(H5T_IEEE_F64LE);
    case IVF_F16:
        return make_half();
    case IVF_U8:
        return H5Tcopy(H5T_STD_U8LE);
    case IVF_I8:
        return H5Tcopy(H5T_STD_I8LE);
    case IVF_I32:
        return H5Tcopy(H5T_STD_I32LE);
    case IVF_I64:
        return H5Tcopy(H5T_STD_I64LE);
    case IVF_U64:
        return H5Tcopy(H5T_STD_U64LE);
    }
    return H5I_INVALID_HID;
}

bool ivf_h5_type_element(hid_t type, ivf_element *element)
{
    for (size_t i = 0; i < sizeof elements / sizeof elements[0]; i++) {
        hid_t known = ivf_h5_type_make(elements[i]);
        bool same = known >= 0 && H5Tequal(type, known) > 0;
        (void)H5Tclose(known);
        *element = elements[i];
        if (same)
            return true;
    }
    return false;
}
