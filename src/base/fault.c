#include "base/fault.h"

#ifdef MPIVF_FAULTS

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { SITES = 64 };

static struct {
    const char *name;
    long passes;
} sites[SITES];
static int site_count;
static char chosen[64]; /* "": none */
static long chosen_pass;
static long this_rank = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void list_sites(void)
{
    FILE *file = fopen(getenv("MPIVF_FAULT_LIST"), "ae");
    for (int i = 0; file != NULL && i < site_count; i++)
        (void)fprintf(file, "%ld %s %ld\n", this_rank, sites[i].name, sites[i].passes);
    if (file != NULL)
        (void)fclose(file);
}

static void read_choice(void)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    const char *fault = getenv("MPIVF_FAULT");
    if (rank == NULL)
        rank = getenv("PMIX_RANK");
    this_rank = rank != NULL ? strtol(rank, NULL, 10) : 0;
    if (getenv("MPIVF_FAULT_LIST") != NULL)
        (void)atexit(list_sites);
    const char *pass = fault != NULL ? strchr(fault, ',') : NULL;
    if (pass == NULL)
        return;
    const char *only = strchr(pass + 1, ',');
    chosen_pass = strtol(pass + 1, NULL, 10);
    if (only == NULL || strtol(only + 1, NULL, 10) == this_rank)
        (void)snprintf(chosen, sizeof chosen, "%.*s", (int)(pass - fault), fault);
}

/* Which pass of the site this is; under the lock. A site beyond the table is not counted. */
static long count_pass(const char *name)
{
    int i = 0;
    while (i < site_count && strcmp(sites[i].name, name) != 0)
        i++;
    if (i == SITES)
        return 0;
    if (i == site_count)
        sites[site_count++].name = name;
    return ++sites[i].passes;
}

bool ivf_fault(const char *site)
{
    (void)pthread_once(&once, read_choice);
    (void)pthread_mutex_lock(&lock);
    long pass = count_pass(site);
    (void)pthread_mutex_unlock(&lock);
    if (pass != chosen_pass || strcmp(chosen, site) != 0)
        return false;
    (void)ivf_fail(MPIVF_FAILED, "a fault was planted at the site %s", site);
    errno = EIO;
    return true;
}

#else

/* ISO C wants something in every file. */
typedef int ivf_no_faults;

#endif
