/* Export of the model: one .npy file for each of its arrays, and one for the sizes of the lists, in a folder that
 * appears whole or not at all. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "interop/export_internal.h"
#include "io/bytes.h"
#include "io/folder.h"
#include "io/npyhead.h"

/* "level1/first" is kept in level1.first.npy. */
static int name_file(const char *folder, const char *array, char path[IVF_PATH_BYTES])
{
    int length = snprintf(path, IVF_PATH_BYTES, "%s/%s.npy", folder, array);
    if (length < 0 || length >= IVF_PATH_BYTES)
        return ivf_fail(MPIVF_USAGE, "%.64s...: the path is too long", folder);
    for (char *at = path + strlen(folder) + 1; *at != '\0'; at++)
        if (*at == '/')
            *at = '.';
    return MPIVF_OK;
}

static int write_array(const char *folder, const ivf_array *array, int64_t *bytes)
{
    char path[IVF_PATH_BYTES];
    char temp[IVF_PATH_BYTES];
    char head[IVF_NPY_HEAD_BYTES];
    int fd = -1;
    int64_t written = 0;
    int rc = name_file(folder, array->name, path);
    if (rc == MPIVF_OK)
        rc = ivf_publish_create(path, temp, &fd);
    if (rc != MPIVF_OK)
        return rc;
    ivf_npyhead_make_array(array, head);
    int wrong = ivf_bytes_write(fd, head, sizeof head, 0);
    if (wrong == 0)
        wrong = ivf_bytes_write(fd, array->data, ivf_array_bytes(array), sizeof head);
    if (close(fd) != 0 && wrong == 0)
        wrong = errno;
    if (wrong != 0) {
        ivf_publish_discard(temp, -1);
        return ivf_fail_errno(wrong, "%s: cannot write", path);
    }
    rc = ivf_publish_rename(temp, path, &written, NULL);
    *bytes += written;
    return rc;
}

static int write_arrays(const char *folder, const ivf_manifest *manifest, ivf_model *model, int64_t *bytes)
{
    const ivf_array sizes = {.name = "list_sizes",
                             .type = IVF_I64,
                             .rank = 1,
                             .dims = {manifest->factory.nlist},
                             .data = manifest->list_sizes};
    ivf_model_arrays all;
    ivf_model_list_arrays(model, &all);
    int rc = write_array(folder, &sizes, bytes);
    for (int i = 0; rc == MPIVF_OK && i < all.count; i++)
        rc = write_array(folder, &all.arrays[i], bytes);
    return rc;
}

int ivf_export_npy(const ivf_export_config *config, const ivf_manifest *manifest, ivf_model *model,
                   ivf_export_report *report)
{
    char temp[IVF_PATH_BYTES];
    int rc = ivf_publish_name(config->output, temp);
    if (rc != MPIVF_OK)
        return rc;
    if (access(config->output, F_OK) == 0)
        return ivf_fail(MPIVF_CONFLICT, "%s is there already; choose a new name", config->output);
    if (mkdir(temp, 0777) != 0)
        return ivf_fail_errno(errno, "%s: cannot make the folder", config->output);
    rc = write_arrays(temp, manifest, model, &report->bytes);
    if (rc == MPIVF_OK)
        rc = ivf_publish_rename(temp, config->output, NULL, NULL);
    if (rc != MPIVF_OK) {
        ivf_error failure = *ivf_error_last();
        (void)ivf_folder_remove(temp);
        ivf_error_set(&failure);
    }
    return rc;
}
