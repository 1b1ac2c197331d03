/* What has to be said to Open MPI before it starts. Debian's openmpi-mca-params.conf has "osc = ^ucx,pt2pt", which
 * leaves no component for windows between hosts that talk over TCP: MPI_Win_allocate ends the run there (on one host
 * all is well). So the exclusion of pt2pt is lifted, and nothing else is changed. pt2pt has no progress of its own: a
 * rank's request waits until rank 0 calls MPI the next time. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "comm/internal.h"

static const char VARIABLE[] = "OMPI_MCA_osc"; /* what mpirun --mca osc sets too: the user's own choice */

/* A setting of the MPI library as text through ivf_new; NULL where it has none of that name. */
static char *read_setting(const char *name)
{
    int index = 0;
    int count = 0;
    MPI_T_cvar_handle handle;
    if (MPI_T_cvar_get_index(name, &index) != MPI_SUCCESS ||
        MPI_T_cvar_handle_alloc(index, NULL, &handle, &count) != MPI_SUCCESS)
        return NULL;
    char *value = count >= 0 ? ivf_new_zero((size_t)count + 1, 1) : NULL;
    if (value != NULL && MPI_T_cvar_read(handle, value) != MPI_SUCCESS)
        value[0] = '\0';
    (void)MPI_T_cvar_handle_free(&handle);
    return value;
}

/* "^ucx,pt2pt" without pt2pt, in place. */
static bool allow_pt2pt(char *list)
{
    static const char name[] = "pt2pt";
    char *found = list[0] == '^' ? strstr(list, name) : NULL;
    if (found == NULL)
        return false;
    char *rest = found + strlen(name);
    if (*rest == ',')
        rest++;
    else if (found[-1] == ',')
        found--;
    memmove(found, rest, strlen(rest) + 1);
    return true;
}

void ivf_comm_settle(void)
{
    int level = 0;
    if (getenv(VARIABLE) != NULL || MPI_T_init_thread(MPI_THREAD_SINGLE, &level) != MPI_SUCCESS)
        return;
    char *list = read_setting("osc");
    if (list != NULL && allow_pt2pt(list))
        (void)setenv(VARIABLE, strcmp(list, "^") == 0 ? "^none" : list, 0);
    ivf_free(list);
    (void)MPI_T_finalize();
}
