/* Blocks of rows in order, the next one read by a thread of its own while the caller computes on the present one. */
#ifndef IVF_IO_STREAM_H
#define IVF_IO_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "io/dataset.h"

typedef struct ivf_stream ivf_stream;

typedef struct {
    float *x;      /* [n][d], borrowed until the next call; the caller may change it */
    int64_t first; /* global row */
    int64_t n;
    bool last_of_range; /* the range that was pushed ends with this block */
} ivf_stream_block;

/* Local. Blocks of at most `block_rows` rows; `depth` blocks (>= 2) are held in memory. NULL with a failure recorded.
 */
ivf_stream *ivf_stream_open(ivf_dataset *dataset, int64_t block_rows, int depth);

/* Local. Bytes that this takes for rows of d values, beside what reading takes (io/dataset.h). */
int64_t ivf_stream_memory(int64_t block_rows, int depth, int d);

/* Local. Queues rows first..first+n-1; blocks start at `first` and never cross the end of a range. Any number of ranges
 * may wait. */
int ivf_stream_push(ivf_stream *stream, int64_t first, int64_t n);

/* Local. The next block, waiting for the reader if need be; the reader's failure when it had one; MPIVF_INTERRUPTED
 * instead of a wait once the run is to stop. Call only while a pushed range is not used up. */
int ivf_stream_next(ivf_stream *stream, ivf_stream_block *block);

/* Seconds so far. */
typedef struct {
    double reading; /* of the reader thread, from files */
    double waiting; /* of the caller, for the reader */
} ivf_stream_times;

/* Local. */
ivf_stream_times ivf_stream_took(ivf_stream *stream);

/* Local. Stops the reader, whatever is still queued. */
void ivf_stream_close(ivf_stream *stream);

#endif
