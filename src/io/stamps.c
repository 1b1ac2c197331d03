#include "io/stamps.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "comm/transfer.h"
#include "io/rawfile.h"

/* Where piece `i` begins, and its bytes. */
static int64_t place_piece(int64_t bytes, int i, size_t *length)
{
    const int64_t whole = IVF_STAMP_PIECE_BYTES;
    if (bytes <= whole * IVF_STAMP_PIECES) {
        int64_t first = ivf_min_i64(i * whole, bytes);
        *length = (size_t)ivf_min_i64(whole, bytes - first);
        return first;
    }
    *length = (size_t)whole;
    const int64_t room = bytes - whole;
    const int64_t gaps = IVF_STAMP_PIECES - 1;
    return room / gaps * i + room % gaps * i / gaps; /* room * i / gaps, which may overflow */
}

static int read_pieces(const ivf_rawfile *file, uint64_t *checksum)
{
    uint8_t piece[IVF_STAMP_PIECE_BYTES];
    ivf_hasher *hasher = ivf_hasher_new();
    int rc = hasher == NULL ? MPIVF_FAILED : MPIVF_OK;
    (void)posix_fadvise(file->fd, 0, 0, POSIX_FADV_RANDOM); /* nothing around the pieces is wanted */
    for (int i = 0; rc == MPIVF_OK && i < IVF_STAMP_PIECES; i++) {
        size_t length = 0;
        int64_t first = place_piece(file->bytes, i, &length);
        rc = ivf_rawfile_read(file, first, length, piece);
        if (rc == MPIVF_OK)
            ivf_hasher_add(hasher, piece, length);
    }
    if (rc == MPIVF_OK)
        *checksum = ivf_hasher_end(hasher);
    ivf_hasher_free(hasher);
    return rc;
}

/* How a change is told. */
typedef struct {
    const char *since;
    const char *remedy;
} wording;

static const wording this_run = {"during the run", "nothing is committed; build again from input that stays as it is"};

static int compare_facts(const ivf_stamp *stamp, const ivf_rawfile *file, const wording *w)
{
    if (file->bytes != stamp->bytes)
        return ivf_fail(MPIVF_BAD_INPUT, "input %s changed %s: %" PRId64 " bytes before, %" PRId64 " now; %s",
                        stamp->path, w->since, stamp->bytes, file->bytes, w->remedy);
    if (file->mtime_ns != stamp->mtime_ns)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "input %s changed %s: last changed at %" PRId64 " ns before, %" PRId64 " ns now; %s",
                        stamp->path, w->since, stamp->mtime_ns, file->mtime_ns, w->remedy);
    return MPIVF_OK;
}

static int open_file(const ivf_stamp *stamp, const wording *w, ivf_rawfile *file)
{
    int rc = ivf_rawfile_open(stamp->path, file);
    if (rc == MPIVF_OK || w == &this_run)
        return rc;
    ivf_error failure = *ivf_error_last();
    return ivf_fail(rc, "%s; %s", failure.text, w->remedy);
}

static int look(const ivf_stamp *stamp, const wording *w, uint64_t *checksum, atomic_bool *changed)
{
    ivf_rawfile file;
    int rc = open_file(stamp, w, &file);
    if (rc != MPIVF_OK)
        return rc;
    rc = compare_facts(stamp, &file, w);
    if (rc != MPIVF_OK)
        atomic_store(changed, true);
    else
        rc = read_pieces(&file, checksum);
    ivf_rawfile_close(&file);
    return rc;
}

/* This rank's part: every size-th file from its own number on. */
typedef struct {
    const ivf_stamp *stamps;
    const wording *words;
    uint64_t *checksums;
    int64_t first, step;
    atomic_bool changed;
} share;

static int look_task(void *arg, int64_t task, int worker)
{
    share *s = arg;
    const int64_t i = s->first + task * s->step;
    (void)worker;
    return look(&s->stamps[i], s->words, &s->checksums[i], &s->changed);
}

/* Collective. The checksums of all files into checksums[count], which is owned by the caller. `changed`, when it fails:
 * whether a file's size or time is another. */
static int look_at_all(const ivf_ctx *ctx, const ivf_stamp *stamps, int64_t count, const wording *words,
                       uint64_t **checksums, bool *changed)
{
    const int64_t rank = ivf_ctx_rank(ctx);
    const int64_t size = ivf_ctx_size(ctx);
    *checksums = ivf_new_zero(ivf_to_size(count), sizeof **checksums);
    share s = {.stamps = stamps, .words = words, .checksums = *checksums, .first = rank, .step = size};
    int rc = *checksums == NULL ? MPIVF_FAILED : MPIVF_OK;
    if (rc == MPIVF_OK && rank < count)
        rc = ivf_team_run(ivf_ceil_div(count - rank, size), look_task, &s);
    rc = ivf_agree(ctx, rc);
    int64_t any = atomic_load(&s.changed);
    if (rc == MPIVF_OK)
        ivf_allsum_u64(ctx, *checksums, count);
    else
        ivf_allmax_i64(ctx, &any, 1);
    *changed = any != 0;
    return rc;
}

int ivf_stamps_take(const ivf_ctx *ctx, ivf_stamp *stamps, int64_t count)
{
    uint64_t *checksums = NULL;
    bool changed = false;
    int rc = look_at_all(ctx, stamps, count, &this_run, &checksums, &changed);
    for (int64_t i = 0; rc == MPIVF_OK && i < count; i++)
        stamps[i].checksum = checksums[i];
    ivf_free(checksums);
    return rc;
}

static int compare_all(const ivf_ctx *ctx, const ivf_stamp *stamps, int64_t count, const wording *words, bool *changed)
{
    uint64_t *checksums = NULL;
    int rc = look_at_all(ctx, stamps, count, words, &checksums, changed);
    for (int64_t i = 0; rc == MPIVF_OK && i < count; i++) {
        *changed = stamps[i].checksum != checksums[i] && (stamps[i].checksum != 0 || words == &this_run);
        if (*changed)
            rc = ivf_fail(MPIVF_BAD_INPUT,
                          "input %s changed %s: its contents are others, with the same size and time; %s",
                          stamps[i].path, words->since, words->remedy);
    }
    ivf_free(checksums);
    return rc;
}

int ivf_stamps_check(const ivf_ctx *ctx, const ivf_stamp *stamps, int64_t count, bool *changed)
{
    return compare_all(ctx, stamps, count, &this_run, changed);
}

int ivf_stamps_compare(const ivf_ctx *ctx, const ivf_stamp *stamps, int64_t count, const char *since,
                       const char *remedy)
{
    const wording words = {since, remedy};
    bool changed = false;
    return compare_all(ctx, stamps, count, &words, &changed);
}
