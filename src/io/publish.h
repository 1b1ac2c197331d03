/* Files that appear whole or not at all: write under a temporary name, fsync, rename (or link, which fails if the name
 * is taken), fsync the folder. */
#ifndef IVF_IO_PUBLISH_H
#define IVF_IO_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { IVF_PATH_BYTES = 4096 };

/* Local. 64 random bits from the system, for names that nobody can foresee. */
int ivf_publish_random(uint64_t *random);

/* Local. An unpredictable temporary name beside `path`, into temp[IVF_PATH_BYTES]; nothing is created. */
int ivf_publish_name(const char *path, char temp[IVF_PATH_BYTES]);

/* Local. Creates an empty file under such a name, open for reading and writing, with the user's umask. */
int ivf_publish_create(const char *path, char temp[IVF_PATH_BYTES], int *fd);

/* Local. Closes and removes what ivf_publish_create made; fd -1: it is closed already. */
void ivf_publish_discard(const char *temp, int fd);

/* Local. Makes the file at `temp` durable and gives it the name `path`, replacing what was there. Reports its size and
 * XXH3-64 checksum, for which the file is read; not when both are NULL. On failure `temp` is removed. */
int ivf_publish_rename(const char *temp, const char *path, int64_t *bytes, uint64_t *checksum);

/* What was written to a file and is still in memory: `bytes` from `offset` on. */
typedef struct {
    int64_t offset;
    size_t bytes;
    const void *data;
} ivf_extent;

/* Local. The same, but for its checksum these extents are not read again. They ascend; one that lies before the end of
 * another is read. */
int ivf_publish_rename_known(const char *temp, const char *path, const ivf_extent *extents, int count, int64_t *bytes,
                             uint64_t *checksum);

/* Local. Writes `text` durably to the file `path`, replacing what was there. */
int ivf_publish_text(const char *path, const char *text, size_t bytes);

/* Local. Makes a file that is there, and its name, durable: whoever made it may have died before. */
int ivf_publish_again(const char *path, int64_t *bytes, uint64_t *checksum);

/* Local. Writes `text` durably to a new file `path`; *taken is true, and nothing changed, when the name exists already.
 * After a failure there is no such file. */
int ivf_publish_text_new(const char *path, const char *text, size_t bytes, bool *taken);

/* Local. Creates a folder and its missing parents with the user's umask, each durable; an existing folder is fine. */
int ivf_make_folder(const char *path);

/* Local. Size and XXH3-64 of a file's bytes, read in pieces. */
int ivf_file_checksum(const char *path, int64_t *bytes, uint64_t *checksum);

/* Local. The whole file (or pipe), terminated by a 0 byte that `bytes` does not count; at most `limit` bytes, else
 * MPIVF_BAD_INPUT. Through ivf_new. */
int ivf_file_read(const char *path, size_t limit, char **text, size_t *bytes);

#endif
