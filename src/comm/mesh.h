/* The ranks of a run in rows and columns: a row's ranks are on one node and hold something together (comm/shared.h); a
 * column has a rank of each row, and so all there is. */
#ifndef IVF_COMM_MESH_H
#define IVF_COMM_MESH_H

#include "comm/context.h"

typedef enum {
    IVF_MESH_COLUMN, /* all ranks are one column: each holds something of its own */
    IVF_MESH_GRID,   /* rows of equal length, as long as the nodes allow */
    IVF_MESH_NODES,  /* each node is a row, and each rank a column: every row holds everything */
} ivf_mesh_shape;

typedef struct {
    ivf_ctx *row;    /* the ranks of this one's row, by column; owned */
    ivf_ctx *column; /* those of its column, by row; owned; NULL: all ranks */
    int part, parts; /* this rank's column, and how many there are; rank 0 is in column 0 and in row 0 */
} ivf_mesh;

/* Collective. IVF_MESH_GRID: rows are as long as the largest number, up to `most`, that divides the ranks of every
 * node; the lowest rank of a row leads it, and rows are numbered by their leaders. With one rank nothing calls MPI.
 * Communication: 12 bytes from each rank to each. The same outcome on every rank. */
int ivf_mesh_open(const ivf_ctx *ctx, ivf_mesh_shape shape, int most, ivf_mesh *mesh);

/* Collective. Of what ivf_mesh_open has opened, or of zeroes. */
void ivf_mesh_close(ivf_mesh *mesh);

#endif
