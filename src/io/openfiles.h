/* The files that a rank holds open: few, however many shards there are; the one not used for longest gives way. */
#ifndef IVF_IO_OPENFILES_H
#define IVF_IO_OPENFILES_H

#include "io/shards.h"

typedef struct ivf_openfiles ivf_openfiles;

/* Local. At most `most` files (1..64) of `shards`, which is borrowed like `h5_path`, are open at a time. NULL with a
 * failure recorded. */
ivf_openfiles *ivf_openfiles_new(const ivf_shards *shards, const char *h5_path, int most);
void ivf_openfiles_free(ivf_openfiles *files);

/* Local. Closes the files, none of which is in use, until they are taken again. */
void ivf_openfiles_rest(ivf_openfiles *files);

/* Local. The same, and from now on at most `most` are open at a time. */
void ivf_openfiles_limit(ivf_openfiles *files, int most);

/* Local, thread-safe. A shard's file, opened if need be, for the caller's use until it gives it back. Waits while all
 * are in use, so take one at a time. */
int ivf_openfiles_take(ivf_openfiles *files, int shard, ivf_source **source);
void ivf_openfiles_give(ivf_openfiles *files, ivf_source *source);

#endif
