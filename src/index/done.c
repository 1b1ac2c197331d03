#include "index/done.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "io/bytes.h"
#include "io/folder.h"

static const char PREFIX[] = "done.";
static const char MAGIC[8] = "mpivfdn1";
static const size_t LARGEST_LOG = (size_t)1 << 30; /* a million fragments take a sixth of it */

/* One place in a file. */
typedef struct {
    char magic[8];
    ivf_fragment_record record;
    uint64_t checksum; /* of what stands before */
} done_entry;

struct ivf_done_log {
    int fd; /* -1: not there yet */
    int64_t bytes;
    bool broken;
    char folder[IVF_PATH_BYTES];
    char path[IVF_PATH_BYTES];
};

static uint64_t checksum_of(const done_entry *entry)
{
    return ivf_hash64(entry, offsetof(done_entry, checksum));
}

ivf_done_log *ivf_done_open(const char *folder)
{
    ivf_done_log *log = ivf_new_zero(1, sizeof *log);
    if (log == NULL)
        return NULL;
    log->fd = -1;
    (void)snprintf(log->folder, sizeof log->folder, "%s", folder);
    return log;
}

void ivf_done_close(ivf_done_log *log)
{
    if (log == NULL)
        return;
    if (log->fd >= 0)
        (void)close(log->fd);
    ivf_free(log);
}

static int create(ivf_done_log *log)
{
    uint64_t random = 0;
    int rc = ivf_publish_random(&random);
    if (rc != MPIVF_OK)
        return rc;
    int length = snprintf(log->path, sizeof log->path, "%s/%s%016" PRIx64, log->folder, PREFIX, random);
    if (length < 0 || (size_t)length >= sizeof log->path)
        return ivf_fail(MPIVF_USAGE, "%.64s...: the path is too long", log->folder);
    log->fd = ivf_fault("create") ? -1 : open(log->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (log->fd < 0)
        return ivf_fail_errno(errno, "%s: cannot create", log->path);
    return ivf_folder_sync(log->folder);
}

static int append(ivf_done_log *log, const done_entry *entry)
{
    int rc = log->fd < 0 ? create(log) : MPIVF_OK;
    if (rc != MPIVF_OK)
        return rc;
    int wrong = ivf_bytes_write(log->fd, entry, sizeof *entry, log->bytes);
    if (wrong != 0)
        return ivf_fail_errno(wrong, "%s: cannot write %zu bytes", log->path, sizeof *entry);
    log->bytes += (int64_t)sizeof *entry;
    return !ivf_fault("sync") && fdatasync(log->fd) == 0 ? MPIVF_OK
                                                         : ivf_fail_errno(errno, "%s: cannot make durable", log->path);
}

int ivf_done_add(ivf_done_log *log, const ivf_fragment_record *record)
{
    done_entry entry;
    if (log->broken)
        return ivf_fail(MPIVF_FAILED, "%s: an earlier record could not be written", log->path);
    memset(&entry, 0, sizeof entry); /* padding, too, is under the checksum */
    memcpy(entry.magic, MAGIC, sizeof entry.magic);
    entry.record = *record;
    entry.checksum = checksum_of(&entry);
    int rc = append(log, &entry);
    log->broken = rc != MPIVF_OK;
    return rc;
}

/* What a reader of all logs has found. */
typedef struct {
    const char *folder;
    ivf_fragment_record *records;
    int64_t count;
    int64_t room;
} collection;

static int keep(collection *c, const ivf_fragment_record *record)
{
    if (c->count == c->room) {
        int64_t room = ivf_max_i64(64, 2 * c->room);
        ivf_fragment_record *grown = ivf_resize(c->records, ivf_to_size(room), sizeof *grown);
        if (grown == NULL)
            return MPIVF_FAILED;
        c->records = grown;
        c->room = room;
    }
    c->records[c->count] = *record;
    c->records[c->count].id[IVF_ID_BYTES - 1] = '\0';
    c->count++;
    return MPIVF_OK;
}

static int path_of(const char *folder, const char *name, char path[IVF_PATH_BYTES])
{
    int length = snprintf(path, IVF_PATH_BYTES, "%s/%s", folder, name);
    if (length < 0 || length >= IVF_PATH_BYTES)
        return ivf_fail(MPIVF_USAGE, "%.64s...: the path is too long", folder);
    return MPIVF_OK;
}

static bool is_log(const char *name)
{
    return strncmp(name, PREFIX, strlen(PREFIX)) == 0;
}

static int read_log(void *arg, const char *name)
{
    collection *c = arg;
    char path[IVF_PATH_BYTES];
    char *text = NULL;
    size_t bytes = 0;
    done_entry entry;
    if (!is_log(name))
        return MPIVF_OK;
    int rc = path_of(c->folder, name, path);
    if (rc == MPIVF_OK)
        rc = ivf_file_read(path, LARGEST_LOG, &text, &bytes);
    for (size_t at = 0; rc == MPIVF_OK && at + sizeof entry <= bytes; at += sizeof entry) {
        memcpy(&entry, text + at, sizeof entry);
        if (memcmp(entry.magic, MAGIC, sizeof entry.magic) == 0 && entry.checksum == checksum_of(&entry))
            rc = keep(c, &entry.record);
    }
    ivf_free(text);
    return rc;
}

int ivf_done_read(const char *folder, ivf_fragment_record **records, int64_t *count)
{
    collection c = {.folder = folder};
    int rc = ivf_folder_walk(folder, read_log, &c);
    if (rc != MPIVF_OK) {
        ivf_free(c.records);
        c = (collection){0};
    }
    *records = c.records;
    *count = c.count;
    return rc;
}

static int remove_log(void *arg, const char *name)
{
    const char *folder = arg;
    char path[IVF_PATH_BYTES];
    if (!is_log(name))
        return MPIVF_OK;
    int rc = path_of(folder, name, path);
    if (rc == MPIVF_OK && unlink(path) != 0 && errno != ENOENT)
        rc = ivf_fail_errno(errno, "%s: cannot remove", path);
    return rc;
}

int ivf_done_remove(const char *folder)
{
    int rc = ivf_folder_walk(folder, remove_log, (void *)folder);
    return rc == MPIVF_OK ? ivf_folder_sync(folder) : rc;
}
