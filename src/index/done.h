/* The log of finished fragments in an unfinished build's folder: `done.<16 hexadecimal digits>`, one for each rank and
 * run, so that nobody waits for anybody. A record is made durable after its fragment is, and says with a checksum of
 * its own that it is whole: what a killed run left half-written is passed over. */
#ifndef IVF_INDEX_DONE_H
#define IVF_INDEX_DONE_H

#include "index/fragment.h"

typedef struct ivf_done_log ivf_done_log;

/* Local. A log in the folder of a build; its file is made by the first record. NULL with a failure recorded. */
ivf_done_log *ivf_done_open(const char *folder);
void ivf_done_close(ivf_done_log *log);

/* Local. Appends a record and makes it durable. After a failure the log takes no more. */
int ivf_done_add(ivf_done_log *log, const ivf_fragment_record *record);

/* Local. The whole records of all logs in the folder, in no order, into records[count], which is freed with ivf_free.
 */
int ivf_done_read(const char *folder, ivf_fragment_record **records, int64_t *count);

/* Local. Removes all logs of the folder. */
int ivf_done_remove(const char *folder);

#endif
