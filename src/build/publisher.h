/* Publishes finished fragments on a thread of its own, so that the next fragment is computed while the disk makes the
 * last one durable. */
#ifndef IVF_BUILD_PUBLISHER_H
#define IVF_BUILD_PUBLISHER_H

#include "index/fragment.h"

typedef struct ivf_publisher ivf_publisher;

/* Local. Publishes to the index, and records what it has published in the build's folder. Or with `expected`: what
 * fragments must come out as, by number, or they are not published (ivf_fragment_rewrite); nothing is recorded then.
 * NULL with a failure recorded. */
ivf_publisher *ivf_publisher_open(const char *index, const char *folder, const ivf_fragment_record *expected);

/* Local. Hands over a fragment (freed by the publisher, also on failure) and its record (completed by the publisher;
 * must stay where it is until the publisher is closed). Waits while another one is still waiting: at most two fragments
 * are held; a stop ends the wait (MPIVF_INTERRUPTED). Returns the failure of an earlier one, if any. */
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
