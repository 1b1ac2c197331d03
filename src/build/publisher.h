/* Publishes finished fragments on a thread of its own, so that the next fragment is computed while the disk makes the
 * last one durable. */
#ifndef IVF_BUILD_PUBLISHER_H
#define IVF_BUILD_PUBLISHER_H

#include "index/fragment.h"

typedef struct ivf_publisher ivf_publisher;

enum { IVF_PUBLISHER_HELD = 2 }; /* fragments in memory: they are made once and used in turn */

/* What it makes room for: fragments of at most `most` rows. */
typedef struct {
    int32_t nlist;
    size_t code_size;
    ivf_keeping kept;
    int64_t most;
} ivf_publisher_room;

/* Local. Publishes to the index, and records what it has published in the build's folder. Or with `expected`: what
 * fragments must come out as, by number, or they are not published (ivf_fragment_rewrite); nothing is recorded then.
 * NULL with a failure recorded. */
ivf_publisher *ivf_publisher_open(const char *index, const char *folder, const ivf_fragment_record *expected,
                                  const ivf_publisher_room *room);

/* What becomes of a fragment; on the publisher's thread, one at a time. */
typedef int (*ivf_publisher_step)(void *arg, const ivf_fragment *fragment, ivf_fragment_record *record);

/* Local. A publisher that takes this step in place of those. It holds at most `held` fragments; with one, whoever fills
 * it waits until it is written. */
ivf_publisher *ivf_publisher_open_step(ivf_publisher_step step, void *arg, int held, const ivf_publisher_room *room);

/* Local. A fragment to be filled, owned by the publisher: offsets are zero. Waits while all are on their way to the
 * disk; a stop ends the wait (MPIVF_INTERRUPTED). Returns the failure of an earlier one, if any. */
int ivf_publisher_take(ivf_publisher *publisher, int64_t postings, int64_t skipped, ivf_fragment **fragment);

/* Local. Hands over the fragment that was taken last, and its record (completed by the publisher; must stay where it is
 * until the publisher is closed). Returns the failure of an earlier one, if any. */
int ivf_publisher_put(ivf_publisher *publisher, ivf_fragment *fragment, ivf_fragment_record *record);

/* Seconds of a publisher's life. */
typedef struct {
    double writing; /* of its thread */
    double waiting; /* of the caller when handing over, for its thread */
    double closing; /* of the caller at the end, for all to be published */
} ivf_publisher_times;

/* Local. Waits until everything handed over is published; returns the first failure, and what took how long. Frees the
 * publisher; NULL is allowed. */
int ivf_publisher_close(ivf_publisher *publisher, ivf_publisher_times *times);

#endif
