#include "io/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "io/bytes.h"
#include "io/publish.h"

enum {
    PIECE_BYTES = 1 << 20,
    WORTH = 50,      /* keeping may take one part of so many of the time */
    LARGE = 1 << 20, /* bytes from which the time tells that of a byte; below, that of a file */
    PAUSE = 60,      /* seconds after a failure */
};

static const double FIRST_RATE = 2e-9; /* seconds for each byte, while nothing is known */

static const char MAGIC[8] = {'I', 'V', 'F', 'C', 'K', 'P', 'T', '1'};

/* A file: this, the bytes, and the XXH3-64 of both. */
typedef struct {
    char magic[8];
    char name[IVF_KEEPER_NAME];
    uint64_t bytes;
} file_head;

struct ivf_checkpoints {
    ivf_keeper keeper;
    double interval;
    pthread_mutex_t lock; /* for what follows */
    double since;         /* when the last one was done */
    double fixed;         /* seconds for a file */
    double rate;          /* and for each byte */
    bool failed;          /* the last one could not be written */
    bool warned;
    ivf_checkpoints_cost spent;
    char folder[IVF_PATH_BYTES];
};

struct ivf_kept {
    ivf_checkpoints *owner;
    int fd;
    int64_t at;  /* that is read or written next */
    int64_t end; /* of the bytes */
    double started;
    ivf_hasher *hasher;
    char *piece; /* [PIECE_BYTES] */
    size_t held; /* bytes of it that are to be written */
    int wrong;   /* errno of the first write that failed */
    char path[IVF_PATH_BYTES];
    char temp[IVF_PATH_BYTES];
};

static bool is_due(void *arg, size_t bytes)
{
    ivf_checkpoints *c = arg;
    (void)pthread_mutex_lock(&c->lock);
    double wait = WORTH * (c->fixed + c->rate * (double)bytes);
    if (c->interval == 0)
        wait = 0;
    else if (wait < c->interval)
        wait = c->interval;
    if (c->failed && wait < PAUSE)
        wait = PAUSE;
    bool due = ivf_clock() - c->since >= wait;
    (void)pthread_mutex_unlock(&c->lock);
    return due;
}

static void learn(ivf_checkpoints *c, double started, int64_t bytes, bool failed)
{
    (void)pthread_mutex_lock(&c->lock);
    c->since = ivf_clock();
    c->failed = failed;
    if (bytes >= LARGE)
        c->rate = (c->since - started) / (double)bytes;
    else
        c->fixed = c->since - started;
    c->spent.files += !failed;
    c->spent.bytes += bytes;
    c->spent.seconds += c->since - started;
    (void)pthread_mutex_unlock(&c->lock);
}

/* Work goes on without it. */
static int do_without(ivf_checkpoints *c, double started)
{
    learn(c, started, 0, true);
    (void)pthread_mutex_lock(&c->lock);
    bool warn = !c->warned;
    c->warned = true;
    (void)pthread_mutex_unlock(&c->lock);
    if (warn)
        ivf_warn("no checkpoint: %s; training goes on, and repeats more if it is cut off", ivf_error_last()->text);
    ivf_error_clear();
    return MPIVF_OK;
}

static void drop(ivf_kept *kept)
{
    if (kept->fd >= 0)
        (void)close(kept->fd);
    ivf_hasher_free(kept->hasher);
    ivf_free(kept->piece);
    ivf_free(kept);
}

static ivf_kept *make(ivf_checkpoints *c, const char *name)
{
    ivf_kept *kept = ivf_new(1, sizeof *kept);
    if (kept == NULL)
        return NULL;
    *kept = (ivf_kept){.owner = c, .fd = -1, .started = ivf_clock()};
    kept->hasher = ivf_hasher_new();
    kept->piece = ivf_new(PIECE_BYTES, 1);
    int length = snprintf(kept->path, sizeof kept->path, "%s/%s.ckpt", c->folder, name);
    bool fits = length > 0 && length < IVF_PATH_BYTES;
    if (!fits)
        (void)ivf_fail(MPIVF_USAGE, "%.64s...: the path of a checkpoint is too long", c->folder);
    if (fits && kept->hasher != NULL && kept->piece != NULL)
        return kept;
    drop(kept);
    return NULL;
}

static void flush(ivf_kept *kept)
{
    if (kept->wrong == 0 && kept->held > 0)
        kept->wrong = ivf_bytes_write(kept->fd, kept->piece, kept->held, kept->at);
    kept->at += ivf_to_i64(kept->held);
    kept->held = 0;
}

static void write_bytes(ivf_kept *kept, const void *data, size_t bytes)
{
    const char *from = data;
    while (bytes > 0) {
        size_t room = PIECE_BYTES - kept->held;
        size_t count = bytes < room ? bytes : room;
        memcpy(kept->piece + kept->held, from, count);
        kept->held += count;
        from += count;
        bytes -= count;
        if (kept->held == PIECE_BYTES)
            flush(kept);
    }
}

static int add(ivf_kept *kept, const void *data, size_t bytes)
{
    if (kept == NULL)
        return MPIVF_OK;
    ivf_hasher_add(kept->hasher, data, bytes);
    write_bytes(kept, data, bytes);
    return MPIVF_OK;
}

static int begin(void *arg, const char *name, size_t bytes, ivf_kept **kept)
{
    ivf_checkpoints *c = arg;
    double started = ivf_clock();
    file_head head = {.bytes = bytes};
    memcpy(head.magic, MAGIC, sizeof MAGIC);
    (void)snprintf(head.name, sizeof head.name, "%s", name);
    *kept = make(c, name);
    if (*kept == NULL)
        return do_without(c, started);
    int rc = ivf_make_folder(c->folder);
    if (rc == MPIVF_OK)
        rc = ivf_publish_create((*kept)->path, (*kept)->temp, &(*kept)->fd);
    if (rc != MPIVF_OK) {
        drop(*kept);
        *kept = NULL;
        return do_without(c, started);
    }
    (*kept)->end = ivf_to_i64(sizeof head + bytes);
    return add(*kept, &head, sizeof head);
}

static int end(ivf_kept *kept, int code)
{
    if (kept == NULL)
        return code;
    ivf_checkpoints *c = kept->owner;
    const double started = kept->started;
    const uint64_t checksum = ivf_hasher_end(kept->hasher);
    write_bytes(kept, &checksum, sizeof checksum);
    flush(kept);
    if (kept->wrong == 0 && close(kept->fd) != 0)
        kept->wrong = errno;
    else if (kept->wrong != 0)
        (void)close(kept->fd);
    kept->fd = -1;
    if (code == MPIVF_OK && kept->wrong == 0 && rename(kept->temp, kept->path) != 0)
        kept->wrong = errno;
    const bool failed = kept->wrong != 0;
    if (failed || code != MPIVF_OK)
        ivf_publish_discard(kept->temp, -1);
    if (failed && code == MPIVF_OK)
        (void)ivf_fail_errno(kept->wrong, "%s: cannot write", kept->path);
    else
        learn(c, started, kept->at, false);
    drop(kept);
    return failed && code == MPIVF_OK ? do_without(c, started) : code;
}

/* Why the file is not whole; NULL when it is. */
static const char *fault_of(ivf_kept *kept, const char *name, size_t *bytes)
{
    file_head head = {0};
    struct stat info;
    size_t got = 0;
    uint64_t checksum = 0;
    if (fstat(kept->fd, &info) != 0 || !S_ISREG(info.st_mode))
        return "is no file";
    if (ivf_bytes_read(kept->fd, &head, sizeof head, 0, &got) != 0 || got != sizeof head ||
        memcmp(head.magic, MAGIC, sizeof MAGIC) != 0 || strncmp(head.name, name, sizeof head.name) != 0)
        return "is no checkpoint of this name";
    if ((uint64_t)info.st_size < sizeof head + sizeof checksum ||
        (uint64_t)info.st_size - sizeof head - sizeof checksum != head.bytes)
        return "is torn";
    kept->end = info.st_size - ivf_to_i64(sizeof checksum);
    for (kept->at = 0; kept->at < kept->end; kept->at += ivf_to_i64(got)) {
        size_t wanted = (size_t)ivf_min_i64(PIECE_BYTES, kept->end - kept->at);
        if (ivf_bytes_read(kept->fd, kept->piece, wanted, kept->at, &got) != 0 || got != wanted)
            return "cannot be read";
        ivf_hasher_add(kept->hasher, kept->piece, got);
    }
    if (ivf_bytes_read(kept->fd, &checksum, sizeof checksum, kept->end, &got) != 0 || got != sizeof checksum)
        return "cannot be read";
    *bytes = (size_t)head.bytes;
    kept->at = ivf_to_i64(sizeof head);
    return checksum == ivf_hasher_end(kept->hasher) ? NULL : "is damaged: its checksum is another";
}

static ivf_kept *open_one(void *arg, const char *name, size_t *bytes)
{
    ivf_kept *kept = make(arg, name);
    *bytes = 0;
    if (kept == NULL) {
        ivf_warn("checkpoint %s cannot be looked at: %s", name, ivf_error_last()->text);
        ivf_error_clear();
        return NULL;
    }
    kept->fd = open(kept->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    const char *fault = NULL;
    if (kept->fd < 0)
        fault = errno == ENOENT ? NULL : "cannot be opened";
    else
        fault = fault_of(kept, name, bytes);
    if (fault != NULL) {
        ivf_warn("%s: %s; what it held is computed again", kept->path, fault);
        (void)unlink(kept->path);
    }
    if (kept->fd >= 0 && fault == NULL)
        return kept;
    drop(kept);
    return NULL;
}

static bool take(ivf_kept *kept, void *data, size_t bytes)
{
    size_t got = 0;
    if (bytes > (size_t)(kept->end - kept->at))
        return false;
    bool taken = ivf_bytes_read(kept->fd, data, bytes, kept->at, &got) == 0 && got == bytes;
    kept->at += ivf_to_i64(bytes);
    return taken;
}

ivf_checkpoints *ivf_checkpoints_new(const char *folder, double interval)
{
    ivf_checkpoints *c = ivf_new(1, sizeof *c);
    if (c == NULL)
        return NULL;
    *c = (ivf_checkpoints){.interval = interval, .since = ivf_clock(), .rate = FIRST_RATE};
    c->keeper = (ivf_keeper){
        .arg = c, .due = is_due, .begin = begin, .add = add, .end = end, .open = open_one, .take = take, .close = drop};
    (void)snprintf(c->folder, sizeof c->folder, "%s", folder);
    (void)pthread_mutex_init(&c->lock, NULL);
    return c;
}

void ivf_checkpoints_free(ivf_checkpoints *checkpoints)
{
    if (checkpoints == NULL)
        return;
    (void)pthread_mutex_destroy(&checkpoints->lock);
    ivf_free(checkpoints);
}

int ivf_checkpoints_clean(const ivf_checkpoints *checkpoints)
{
    DIR *folder = opendir(checkpoints->folder);
    int count = 0;
    if (folder == NULL)
        return 0;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        const char *suffix = strrchr(entry->d_name, '.');
        if (suffix != NULL && strcmp(suffix, ".tmp") == 0)
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
        count += suffix != NULL && strcmp(suffix, ".ckpt") == 0;
    }
    (void)closedir(folder);
    return count;
}

ivf_checkpoints_cost ivf_checkpoints_spent(ivf_checkpoints *checkpoints)
{
    (void)pthread_mutex_lock(&checkpoints->lock);
    ivf_checkpoints_cost spent = checkpoints->spent;
    (void)pthread_mutex_unlock(&checkpoints->lock);
    return spent;
}

const ivf_keeper *ivf_checkpoints_keeper(const ivf_checkpoints *checkpoints)
{
    return &checkpoints->keeper;
}
