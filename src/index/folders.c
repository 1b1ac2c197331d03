#include "index/folders.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "index/building.h"
#include "io/folder.h"

static const char *const folders[] = {"manifests", "models", "fragments"};
enum { FOLDERS = sizeof folders / sizeof folders[0] };

static int refuse_entry(void *arg, const char *name)
{
    const char *index = arg;
    bool known = strcmp(name, "building") == 0;
    for (int i = 0; i < FOLDERS; i++)
        known = known || strcmp(name, folders[i]) == 0;
    return known ? MPIVF_OK
                 : ivf_fail(MPIVF_CONFLICT, "%s is no index: it holds %s; choose a new or empty folder", index, name);
}

int ivf_folders_refuse_foreign(const char *index)
{
    return ivf_folder_walk(index, refuse_entry, (void *)index);
}

int ivf_folders_make(const char *index)
{
    char path[IVF_PATH_BYTES];
    int rc = MPIVF_OK;
    for (int i = 0; rc == MPIVF_OK && i < FOLDERS; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", index, folders[i]);
        rc = ivf_make_folder(path);
    }
    return rc;
}

int ivf_folders_sync(const char *index)
{
    static const char *const below[] = {"/models", "/fragments", "/manifests", "", "/.."};
    char path[IVF_PATH_BYTES];
    int rc = MPIVF_OK;
    for (size_t i = 0; rc == MPIVF_OK && i < sizeof below / sizeof below[0]; i++) {
        (void)snprintf(path, sizeof path, "%s%s", index, below[i]);
        if (access(path, R_OK) == 0) /* the one above need not be readable for us */
            rc = ivf_folder_sync(path);
    }
    return rc;
}

/* rmdir takes only empty folders, so this never harms an index. */
void ivf_folders_remove_empty(const char *index)
{
    char path[IVF_PATH_BYTES];
    ivf_building_list list;
    if (ivf_building_find(index, &list) != MPIVF_OK)
        return;
    for (int i = 0; list.count == 0 && i < FOLDERS; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", index, folders[i]);
        (void)rmdir(path);
    }
    ivf_free(list.ids);
}
