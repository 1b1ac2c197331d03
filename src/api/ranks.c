/* Handles over communicators of the caller's (include/mpivf/ranks.h). */
#include "mpivf/ranks.h"

#include "api/internal.h"
#include "base/error.h"
#include "comm/adopt.h"

int mpivf_open_ranks(MPI_Comm comm, const char *path, const mpivf_open_options *options, mpivf_index **index)
{
    mpivf_index *made = NULL;
    ivf_error_clear();
    ivf_ctx *ctx = ivf_ctx_open_over(comm);
    int rc = ctx == NULL ? MPIVF_FAILED : MPIVF_OK;
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, index == NULL ? ivf_fail(MPIVF_USAGE, "no place for the handle of an index") : MPIVF_OK);
    if (index != NULL)
        *index = NULL;
    if (rc == MPIVF_OK)
        rc = ivf_api_open(ctx, path, options, &made);
    else
        ivf_ctx_close(ctx);
    if (rc == MPIVF_OK && index != NULL)
        *index = made;
    return rc;
}
