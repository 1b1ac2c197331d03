/* Every rank learns on which node each rank is, and works the rest out for itself. Memory meanwhile: 20 bytes a rank.
 */
#include "comm/mesh.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "comm/internal.h"
#include "comm/transfer.h"

/* Where a rank stands. */
typedef struct {
    int32_t node;   /* the lowest rank there */
    int32_t number; /* among the ranks of the node */
    int32_t ranks;  /* of the node */
} seat;

/* Ranks of a context of `ctx`, ordered by key. */
static void split(const ivf_ctx *ctx, int color, int key, ivf_ctx *part)
{
    MPI_Comm_split(ctx->comm, color, key, &part->comm);
    MPI_Comm_set_errhandler(part->comm, MPI_ERRORS_ARE_FATAL);
    MPI_Comm_rank(part->comm, &part->rank);
    MPI_Comm_size(part->comm, &part->size);
    if (part->size == 1) /* which no function then calls MPI with */
        MPI_Comm_free(&part->comm);
}

/* This process alone, for a start. */
static ivf_ctx *make_alone(const ivf_ctx *ctx)
{
    ivf_ctx *part = ivf_new(1, sizeof *part);
    if (part == NULL)
        return NULL;
    *part = *ctx;
    part->started_mpi = false;
    part->comm = MPI_COMM_NULL;
    part->rank = 0;
    part->size = 1;
    return part;
}

static void find_node(const ivf_ctx *ctx, seat *mine)
{
    MPI_Comm node;
    int number = 0;
    int64_t first = -ctx->rank;
    MPI_Comm_split_type(ctx->comm, MPI_COMM_TYPE_SHARED, ctx->rank, MPI_INFO_NULL, &node);
    ivf_ctx some = {.comm = node};
    MPI_Comm_rank(node, &number);
    some.rank = number;
    MPI_Comm_size(node, &some.size);
    ivf_allmax_i64(&some, &first, 1);
    MPI_Comm_free(&node);
    *mine = (seat){.node = (int32_t)-first, .number = number, .ranks = some.size};
}

/* Collective. seats[size]. */
static int find_seats(const ivf_ctx *ctx, seat *seats)
{
    int64_t *offsets = ivf_new((size_t)ctx->size + 1, sizeof *offsets);
    int rc = ivf_agree(ctx, offsets == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK && offsets != NULL) {
        for (int r = 0; r <= ctx->size; r++)
            offsets[r] = r * (int64_t)sizeof *seats;
        find_node(ctx, &seats[ctx->rank]);
        rc = ivf_allgather_bytes(ctx, seats, offsets);
    }
    ivf_free(offsets);
    return rc;
}

static bool divides_all(const seat *seats, int size, int length)
{
    for (int r = 0; r < size; r++)
        if (seats[r].ranks % length != 0)
            return false;
    return true;
}

/* The longest rows that can be made of every node's ranks. */
static int choose_length(const seat *seats, int size, int most)
{
    int length = ivf_to_int(ivf_min_i64(most, seats[0].ranks));
    while (!divides_all(seats, size, length))
        length--;
    return length;
}

/* The lowest rank of the row in which rank r sits. */
static int leader_of(const seat *seats, int size, int length, int r)
{
    const int32_t first = seats[r].number / length * length;
    for (int other = 0; other < size; other++)
        if (seats[other].node == seats[r].node && seats[other].number == first)
            return other;
    return r;
}

/* Collective. */
static void open_grid(const ivf_ctx *ctx, const seat *seats, int most, ivf_mesh *mesh)
{
    const int length = choose_length(seats, ctx->size, most);
    const int leader = leader_of(seats, ctx->size, length, ctx->rank);
    int row = 0;
    for (int r = 0; r < leader; r++)
        row += seats[r].number % length == 0;
    mesh->part = seats[ctx->rank].number % length;
    mesh->parts = length;
    split(ctx, leader, ctx->rank, mesh->row);
    split(ctx, mesh->part, row, mesh->column);
}

/* Collective. */
static void open_nodes(const ivf_ctx *ctx, const seat *seats, ivf_mesh *mesh)
{
    mesh->part = ctx->rank;
    mesh->parts = ctx->size;
    split(ctx, seats[ctx->rank].node, ctx->rank, mesh->row);
}

int ivf_mesh_open(const ivf_ctx *ctx, ivf_mesh_shape shape, int most, ivf_mesh *mesh)
{
    const bool wide = shape != IVF_MESH_COLUMN && ctx->size > 1;
    *mesh = (ivf_mesh){.row = make_alone(ctx), .column = wide ? make_alone(ctx) : NULL, .parts = 1};
    seat *seats = wide ? ivf_new((size_t)ctx->size, sizeof *seats) : NULL;
    const bool made = mesh->row != NULL && (!wide || (mesh->column != NULL && seats != NULL));
    int rc = ivf_agree(ctx, made ? MPIVF_OK : MPIVF_FAILED);
    if (rc == MPIVF_OK && wide)
        rc = find_seats(ctx, seats);
    if (rc == MPIVF_OK && made && wide && shape == IVF_MESH_GRID)
        open_grid(ctx, seats, most, mesh);
    else if (rc == MPIVF_OK && made && wide)
        open_nodes(ctx, seats, mesh);
    ivf_free(seats);
    if (rc != MPIVF_OK)
        ivf_mesh_close(mesh);
    return rc;
}

void ivf_mesh_close(ivf_mesh *mesh)
{
    ivf_ctx_close(mesh->row);
    ivf_ctx_close(mesh->column);
    *mesh = (ivf_mesh){0};
}
