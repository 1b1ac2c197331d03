/* What writing and reading of fragments share. Private to index/. */
#ifndef IVF_INDEX_FRAGMENT_INTERNAL_H
#define IVF_INDEX_FRAGMENT_INTERNAL_H

#include "index/fragment.h"

#define IVF_FRAGMENT_FORMAT "mpivf fragment"
enum { IVF_FRAGMENT_VERSION = 1 };

/* The datasets of the file, but for the checksums of lists; those of postings stand together. */
enum { IVF_FRAGMENT_COLUMNS_AT = 1, IVF_FRAGMENT_ARRAYS = IVF_COLUMNS + 4 };

/* Local. All of them as they are in memory. */
void ivf_fragment_internal_arrays(const ivf_fragment *f, ivf_array arrays[IVF_FRAGMENT_ARRAYS]);

#endif
