/* The one lock around HDF5: parallel builds of the library are not thread-safe, so every H5* call of the program is
 * made while holding it. The error stack prints nothing inside; ivf_h5_reason tells what it held. */
#ifndef IVF_IO_H5LOCK_H
#define IVF_IO_H5LOCK_H

#include <stddef.h>

/* Local. Initialises HDF5, on the thread that may call MPI: a parallel HDF5 calls it then, and never again for files
 * that one process reads or writes. Before any thread of ours may use HDF5. */
void ivf_h5_start(void);

/* Local. Not recursive. */
void ivf_h5_lock(void);
void ivf_h5_unlock(void);

/* Local, under the lock. The innermost entry of HDF5's error stack (the cause; the outer ones only say who called) into
 * text[bytes], and returns text; "HDF5 gave no reason" when the stack is empty. */
const char *ivf_h5_reason(char *text, size_t bytes);

#endif
