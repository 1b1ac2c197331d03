#include "io/bytes.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/pulse.h"

/* Linux moves at most 2^31 - 4096 bytes a call; smaller pieces show that a slow disk gets on. */
enum { PIECE_BYTES = 8 << 20 };

static size_t piece_of(size_t bytes)
{
    return bytes < (size_t)PIECE_BYTES ? bytes : (size_t)PIECE_BYTES;
}

/* Files may take hours: others ask meanwhile whether this rank is there. */
static void got_on(void)
{
    ivf_pulse_beat();
    ivf_pulse_attend();
}

int ivf_bytes_write(int fd, const void *data, size_t bytes, int64_t offset)
{
    const char *from = data;
    while (bytes > 0) {
        ssize_t n = ivf_fault("write") ? -1 : pwrite(fd, from, piece_of(bytes), offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO;
        got_on();
        from += n;
        bytes -= (size_t)n;
        offset += n;
    }
    return 0;
}

int ivf_bytes_read(int fd, void *data, size_t bytes, int64_t offset, size_t *got)
{
    char *to = data;
    *got = 0;
    while (*got < bytes) {
        ssize_t n = ivf_fault("read") ? -1 : pread(fd, to + *got, piece_of(bytes - *got), offset + (int64_t)*got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            return 0;
        got_on();
        *got += (size_t)n;
    }
    return 0;
}

/* Takes n bytes off the pieces; returns how many pieces are used up. */
static int advance(struct iovec *pieces, int count, size_t n)
{
    int done = 0;
    while (done < count && n >= pieces[done].iov_len)
        n -= pieces[done++].iov_len;
    if (done < count) {
        pieces[done].iov_base = (char *)pieces[done].iov_base + n;
        pieces[done].iov_len -= n;
    }
    return done;
}

int ivf_bytes_scatter(int fd, struct iovec *pieces, int count, int64_t offset, size_t *missing)
{
    *missing = 0;
    while (count > 0) {
        ssize_t n = ivf_fault("read") ? -1 : preadv(fd, pieces, count < IOV_MAX ? count : IOV_MAX, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            break;
        got_on();
        offset += n;
        int done = advance(pieces, count, (size_t)n);
        pieces += done;
        count -= done;
    }
    for (int i = 0; i < count; i++)
        *missing += pieces[i].iov_len;
    return 0;
}
