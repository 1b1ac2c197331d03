/* The same with all ranks of an MPI program: each holds its share of the index, rank 0 has the queries and gets what is
 * found.
 *
 *     mpicc -std=c11 search_ranks.c $(pkg-config --cflags --libs mpivf) -o search_ranks
 *     mpirun -n 4 ./search_ranks photos.ivf
 *
 * looks for the zero vector, and prints its nearest rows. */
#include <mpivf/ranks.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { K = 10 };

int main(int argc, char **argv)
{
    int level = 0;
    int rank = 0;
    mpivf_index *index = NULL;
    int64_t ids[K];
    float distances[K];
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    int code = argc == 2 ? mpivf_open_ranks(MPI_COMM_WORLD, argv[1], NULL, &index) : MPIVF_USAGE;
    if (code == MPIVF_OK) {
        float *query = rank == 0 ? calloc((size_t)mpivf_dimension(index), sizeof *query) : NULL;
        code = mpivf_search(index, query, 1, K, NULL, ids, distances); /* what rank 0 passes counts */
        free(query);
    }
    for (int i = 0; code == MPIVF_OK && rank == 0 && i < K && ids[i] >= 0; i++)
        printf("%" PRId64 " %g\n", ids[i], (double)distances[i]);
    if (code != MPIVF_OK && rank == 0)
        fprintf(stderr, "%s\n", argc == 2 ? mpivf_last_error() : "usage: search_ranks INDEX");
    mpivf_close(index);
    MPI_Finalize();
    return code;
}
