/* Groups of lists, read by a thread of its own while the caller works on the group before. */
#ifndef IVF_SEARCH_FETCH_H
#define IVF_SEARCH_FETCH_H

#include "index/reader.h"

typedef struct ivf_fetch ivf_fetch;

/* Local. Groups of at most `lists` lists, and `bytes` by ivf_fetch_bytes; of these two are held. The reader is
 * borrowed, and only this uses it from now on. NULL with a failure recorded. */
ivf_fetch *ivf_fetch_open(ivf_reader *reader, size_t code_size, int64_t bytes, int32_t lists);
void ivf_fetch_close(ivf_fetch *fetch);

/* Local. What a list of n postings takes of a group; and what ivf_fetch_open takes. */
int64_t ivf_fetch_bytes(size_t code_size, int64_t n);
int64_t ivf_fetch_memory(int64_t bytes, int32_t lists);

/* Local. Has a group read, whose `to` is given here. One more may be begun before the first one is taken. */
void ivf_fetch_begin(ivf_fetch *fetch, const ivf_reader_job *wanted);

/* Local. Waits for the group that was begun first; *group is valid until the second call of ivf_fetch_begin from now.
 */
int ivf_fetch_take(ivf_fetch *fetch, const ivf_reader_job **group);

/* Local. Waits for what has been begun, and forgets it. */
void ivf_fetch_drop(ivf_fetch *fetch);

#endif
