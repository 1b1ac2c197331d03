#include "comm/shared.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "comm/account.h"
#include "comm/internal.h"
#include "comm/reduce.h"
#include "comm/transfer.h"

struct ivf_shared {
    void *data;
    size_t bytes;
    bool mapped; /* data is a mapping that the node shares; else it is a block of this rank */
    bool fills;
    bool joint;      /* all ranks fill it */
    int64_t relief;  /* bytes of it that are other ranks' share */
    ivf_ctx node;    /* the ranks of the node, until the block is finished */
    ivf_ctx fillers; /* those who fill a block, rank 0 first; comm is MPI_COMM_NULL elsewhere, and afterwards */
};

static void set_ranks(ivf_ctx *some)
{
    MPI_Comm_rank(some->comm, &some->rank);
    MPI_Comm_size(some->comm, &some->size);
}

static void drop(ivf_ctx *some)
{
    if (some->comm != MPI_COMM_NULL)
        MPI_Comm_free(&some->comm);
}

static ivf_ctx split_by_node(const ivf_ctx *ctx)
{
    ivf_ctx node = {.comm = MPI_COMM_NULL, .size = 1};
    if (ctx->size == 1)
        return node;
    MPI_Comm_split_type(ctx->comm, MPI_COMM_TYPE_SHARED, ctx->rank, MPI_INFO_NULL, &node.comm);
    set_ranks(&node);
    return node;
}

int ivf_shared_node_ranks(const ivf_ctx *ctx)
{
    ivf_ctx node = split_by_node(ctx);
    int64_t fewest = node.size;
    drop(&node);
    ivf_reduce_all(ctx, IVF_REDUCE_MIN, &fewest, 1);
    return ivf_to_int(fewest);
}

/* How the other ranks of the node find the block: by its maker's descriptor, and a random word that it begins with
 * until all have it, for another rank's /proc may have another process under that number. */
typedef struct {
    int64_t process;
    int64_t file; /* -1: there is none */
    uint64_t word;
    uint64_t bytes;
    int64_t kind;
} address;

static void *map_file(int file, size_t bytes, int rights)
{
    void *data = mmap(NULL, bytes, rights, MAP_SHARED, file, 0);
    return data == MAP_FAILED ? NULL : data;
}

/* The maker's part. The descriptor stays open until the others have theirs. */
static void *make_block(size_t bytes, address *where)
{
    int file = memfd_create("mpivf", MFD_CLOEXEC);
    void *data = NULL;
    *where = (address){.process = getpid(), .file = -1};
    if (file >= 0 && getrandom(&where->word, sizeof where->word, 0) == (ssize_t)sizeof where->word &&
        ftruncate(file, (off_t)bytes) == 0)
        data = map_file(file, bytes, PROT_READ | PROT_WRITE);
    if (data == NULL && file >= 0)
        (void)close(file);
    if (data == NULL)
        return NULL;
    where->file = file;
    memcpy(data, &where->word, sizeof where->word);
    return data;
}

/* Only what is such a file is opened. */
static void *open_block(size_t bytes, const address *where, bool fills)
{
    static const char kind[] = "/memfd:mpivf";
    char path[64];
    char target[64] = "";
    struct stat status;
    void *data = NULL;
    (void)snprintf(path, sizeof path, "/proc/%lld/fd/%lld", (long long)where->process, (long long)where->file);
    if (where->file < 0 || readlink(path, target, sizeof target - 1) < 0 || strncmp(target, kind, sizeof kind - 1) != 0)
        return NULL;
    int file = open(path, (fills ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (file < 0)
        return NULL;
    if (fstat(file, &status) == 0 && status.st_size == (off_t)bytes)
        data = map_file(file, bytes, fills ? PROT_READ | PROT_WRITE : PROT_READ);
    (void)close(file);
    return data;
}

/* Collective over the node: all of its ranks map one block, or none does. */
static void share(ivf_shared *s, int64_t kind)
{
    const bool maker = s->node.rank == 0;
    address where = {0};
    if (maker)
        s->data = make_block(s->bytes, &where);
    where.bytes = s->bytes;
    where.kind = kind;
    ivf_bcast(&s->node, &where, sizeof where);
    if (!maker && where.bytes == s->bytes && where.kind == kind)
        s->data = open_block(s->bytes, &where, s->joint);
    int64_t found = s->data != NULL && memcmp(s->data, &where.word, sizeof where.word) == 0;
    ivf_reduce_all(&s->node, IVF_REDUCE_MIN, &found, 1);
    if (maker && where.file >= 0)
        (void)close((int)where.file);
    s->mapped = found != 0;
    if (s->mapped && maker && s->data != NULL)
        memset(s->data, 0, sizeof where.word);
    if (s->mapped)
        s->relief = (int64_t)s->bytes - (int64_t)s->bytes / s->node.size;
    else if (s->data != NULL)
        (void)munmap(s->data, s->bytes);
    s->fills = maker || s->joint || !s->mapped;
    if (!s->mapped)
        s->data = NULL;
}

/* Local. Where the node does not share. */
static int complete(ivf_shared *s)
{
    if (s->mapped)
        return MPIVF_OK;
    s->data = ivf_new_zero(s->bytes, 1);
    return s->data == NULL ? MPIVF_FAILED : MPIVF_OK;
}

/* Collective. Those who fill a block; of use to them alone. */
static ivf_ctx join_fillers(const ivf_ctx *ctx, bool fills)
{
    ivf_ctx fillers = {.comm = MPI_COMM_NULL, .size = 1};
    if (ctx->size == 1)
        return fillers;
    MPI_Comm_split(ctx->comm, fills ? 0 : MPI_UNDEFINED, ctx->rank, &fillers.comm);
    if (fills)
        set_ranks(&fillers);
    return fillers;
}

static void drop_ranks(ivf_shared *s)
{
    drop(&s->fillers);
    drop(&s->node);
}

/* Collective. A block that is shared where that is possible, and nowhere else. */
static int make_shared(const ivf_ctx *ctx, size_t bytes, int64_t kind, bool joint, ivf_shared **shared)
{
    *shared = NULL;
    ivf_shared *s = ivf_new_zero(1, sizeof *s);
    int rc = ivf_agree(ctx, s == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc != MPIVF_OK || s == NULL) {
        ivf_free(s);
        return rc;
    }
    s->bytes = bytes < sizeof(uint64_t) ? sizeof(uint64_t) : bytes;
    s->node = split_by_node(ctx);
    s->fillers = (ivf_ctx){.comm = MPI_COMM_NULL, .size = 1};
    s->joint = joint;
    s->fills = true;
    if (s->node.size > 1)
        share(s, kind);
    ivf_account_relieve(s->relief);
    *shared = s;
    return MPIVF_OK;
}

int ivf_shared_join(const ivf_ctx *ctx, size_t bytes, ivf_shared **shared)
{
    *shared = NULL;
    if (ctx->size == 1)
        return MPIVF_OK;
    int rc = make_shared(ctx, bytes, 0, true, shared);
    ivf_barrier(ctx); /* the maker has cleared its word */
    if (rc != MPIVF_OK || *shared == NULL || ((*shared)->mapped && (*shared)->node.size == ctx->size))
        return rc;
    drop_ranks(*shared);
    ivf_shared_free(*shared);
    *shared = NULL;
    return MPIVF_OK;
}

int ivf_shared_new(const ivf_ctx *ctx, size_t bytes, int64_t kind, ivf_shared **shared)
{
    ivf_shared *s = NULL;
    int rc = make_shared(ctx, bytes, kind, false, &s);
    *shared = NULL;
    if (rc != MPIVF_OK || s == NULL)
        return rc;
    rc = ivf_agree(ctx, complete(s));
    s->fillers = join_fillers(ctx, s->fills);
    if (rc == MPIVF_OK) {
        *shared = s;
        return rc;
    }
    drop_ranks(s);
    ivf_shared_free(s);
    return rc;
}

void *ivf_shared_data(const ivf_shared *shared)
{
    return shared->data;
}

bool ivf_shared_holds(const ivf_shared *shared, const void *data)
{
    uintptr_t first = (uintptr_t)shared->data;
    return (uintptr_t)data >= first && (uintptr_t)data - first < shared->bytes;
}

bool ivf_shared_fills(const ivf_shared *shared)
{
    return shared->fills;
}

void ivf_shared_bcast(const ivf_ctx *ctx, ivf_shared *shared, size_t offset, size_t bytes)
{
    (void)ctx;
    if (shared->fills)
        ivf_bcast(&shared->fillers, (char *)shared->data + offset, bytes);
}

void ivf_shared_finish(const ivf_ctx *ctx, ivf_shared *shared)
{
    ivf_barrier(ctx);
    drop_ranks(shared);
    if (shared->mapped && shared->joint)
        (void)mprotect(shared->data, shared->bytes, PROT_READ);
    if (shared->mapped) /* the pages are there: so a rank's resident memory shows all that it can reach */
        (void)madvise(shared->data, shared->bytes, MADV_POPULATE_READ);
}

void ivf_shared_free(ivf_shared *shared)
{
    if (shared == NULL)
        return;
    if (shared->mapped)
        (void)munmap(shared->data, shared->bytes);
    else
        ivf_free(shared->data);
    ivf_account_relieve(-shared->relief);
    ivf_free(shared);
}
