/* What the files that read FAISS's indexes share. */
#ifndef IVF_INTEROP_FAISS_INTERNAL_H
#define IVF_INTEROP_FAISS_INTERNAL_H

#include "interop/faiss.h"
#include "interop/faiss_cursor.h"
#include "interop/faiss_file.h"

/* Four characters as the number that FAISS stores. */
static inline uint32_t ivf_faiss_name(const char *name)
{
    return IVF_FOURCC(name[0], name[1], name[2], name[3]);
}

/* Local. MPIVF_BAD_INPUT for a name that was just read: what it stands for, or the name itself. `expected`: what should
 * have been there. */
int ivf_faiss_refuse_name(const ivf_cursor *c, uint32_t name, const char *expected);

/* Local. After "ilar" or (on_disk) "ilod": the sizes of the lists, and where they lie. Nothing may follow. */
int ivf_faiss_read_lists(ivf_cursor *c, bool on_disk, ivf_faiss_index *index);

#endif
