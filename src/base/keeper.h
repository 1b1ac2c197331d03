/* What training has done is kept between its steps, so that a run that is cut off goes on from there. The work says
 * when it could be kept and hands over named sequences of bytes; who keeps them, where, and how often it is worth it,
 * it does not know (io/checkpoint.h: in files). What is kept does not depend on ranks or threads, so that any number of
 * them goes on with it, and never changes a result: what cannot be had back is made anew. */
#ifndef IVF_BASE_KEEPER_H
#define IVF_BASE_KEEPER_H

#include <stdbool.h>
#include <stddef.h>

enum { IVF_KEEPER_NAME = 32 }; /* bytes of a name, its end included: letters, digits, '-' */

/* One sequence, while it is written or read. */
typedef struct ivf_kept ivf_kept;

/* All functions may be called by several threads at once, on different sequences. */
typedef struct {
    void *arg;

    /* Whether enough has been done since the last time to be worth keeping so many bytes. */
    bool (*due)(void *arg, size_t bytes);

    /* Writes a sequence of `bytes` bytes in all, in pieces; it takes the place of the last of its name at the end. With
     * another code than MPIVF_OK it is dropped instead, and that code returned. A failure ends the work: whoever can do
     * without what is kept returns MPIVF_OK. *kept may be NULL, which the others take for one that nobody wants. */
    int (*begin)(void *arg, const char *name, size_t bytes, ivf_kept **kept);
    int (*add)(ivf_kept *kept, const void *data, size_t bytes);
    int (*end)(ivf_kept *kept, int code);

    /* Reads one, in pieces. NULL when there is none that is whole; false when there are no more such bytes. */
    ivf_kept *(*open)(void *arg, const char *name, size_t *bytes);
    bool (*take)(ivf_kept *kept, void *data, size_t bytes);
    void (*close)(ivf_kept *kept);
} ivf_keeper;

/* Bytes that lie in several places. */
typedef struct {
    void *data;
    size_t bytes;
} ivf_keeper_part;

/* Local. Keeps the parts, one after the other. */
int ivf_keeper_put(const ivf_keeper *keeper, const char *name, const ivf_keeper_part *parts, int count);

/* Local. Fills the parts with what is kept under the name, if that has as many bytes as they. False: there is none, or
 * not so many; some parts may have been filled. */
bool ivf_keeper_get(const ivf_keeper *keeper, const char *name, const ivf_keeper_part *parts, int count);

/* Local. Warns that what was kept under a name does not fit and that its work begins anew. */
void ivf_keeper_refuse(const char *name);

/* Local. Whether all of n values are finite. */
bool ivf_keeper_finite(const float *values, size_t n);

#endif
