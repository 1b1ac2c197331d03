#include "io/h5lock.h"

#include <hdf5.h>
#include <pthread.h>
#include <stdio.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void ivf_h5_lock(void)
{
    (void)pthread_mutex_lock(&lock);
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

void ivf_h5_unlock(void)
{
    (void)pthread_mutex_unlock(&lock);
}

void ivf_h5_start(void)
{
    ivf_h5_lock();
    (void)H5open();
    ivf_h5_unlock();
}

typedef struct {
    char *text;
    size_t bytes;
} reason;

static herr_t take_first(unsigned n, const H5E_error2_t *entry, void *arg)
{
    const reason *out = arg;
    if (n == 0 && entry->desc != NULL)
        (void)snprintf(out->text, out->bytes, "%s", entry->desc);
    return 0;
}

const char *ivf_h5_reason(char *text, size_t bytes)
{
    reason out = {.text = text, .bytes = bytes};
    (void)snprintf(text, bytes, "HDF5 gave no reason");
    (void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_first, &out);
    return text;
}
