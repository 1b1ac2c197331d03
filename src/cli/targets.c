#include "cli/targets.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "io/inputs.h"
#include "io/publish.h"
#include "io/results.h"

enum { MOST_TARGETS = 2 };

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static const char *name_in(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* The folder that a file of option `name` goes to, where one can be made. */
static int find_folder(const char *name, const char *path, struct stat *found)
{
    char folder[IVF_PATH_BYTES] = ".";
    const char *slash = strrchr(path, '/');
    if (slash != NULL)
        (void)snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    if (stat(folder, found) != 0 || !S_ISDIR(found->st_mode))
        return ivf_fail(MPIVF_USAGE, "--%s %s: there is no folder %s", name, path, folder);
    if (access(folder, W_OK | X_OK) != 0)
        return ivf_fail_errno(errno, "--%s %s: no file can be made in the folder %s", name, path, folder);
    return MPIVF_OK;
}

/* The files that results go to, by the name given (io/results.h). */
static int name_targets(const char *output, char targets[MOST_TARGETS][IVF_PATH_BYTES])
{
    const char *ending = strrchr(output, '.');
    int stem = (int)(ending - output);
    (void)snprintf(targets[0], IVF_PATH_BYTES, "%s", output);
    if (strcasecmp(ending, ".npy") == 0) {
        (void)snprintf(targets[0], IVF_PATH_BYTES, "%.*s.ids.npy", stem, output);
        (void)snprintf(targets[1], IVF_PATH_BYTES, "%.*s.distances.npy", stem, output);
        return 2;
    }
    if (strcasecmp(ending, ".ibin") != 0)
        return 1;
    (void)snprintf(targets[1], IVF_PATH_BYTES, "%.*s.fbin", stem, output);
    return 2;
}

static int check_paths(const struct stat *target, const char *output, char *const *paths, int64_t count)
{
    struct stat other;
    for (int64_t i = 0; i < count; i++)
        if (stat(paths[i], &other) == 0 && is_same(target, &other))
            return ivf_fail(MPIVF_USAGE, "--output %s would replace %s, which is read; choose another name", output,
                            paths[i]);
    return MPIVF_OK;
}

/* Whether a file that is there, and would be replaced, is one of those that an option names: as it stands, or in what
 * it expands to. */
static int check_source(const struct stat *target, const char *output, const ivf_option_value *source)
{
    int rc = check_paths(target, output, source->texts, source->count);
    if (rc != MPIVF_OK || source->count == 0)
        return rc;
    ivf_inputs files;
    if (ivf_inputs_expand((const char *const *)source->texts, source->count, &files) == MPIVF_OK)
        rc = check_paths(target, output, files.paths, files.count);
    else
        ivf_error_clear(); /* told where the input is opened, with the code of bad input */
    ivf_inputs_free(&files);
    return rc;
}

static int check_results(const ivf_options *options, const char *output)
{
    char targets[MOST_TARGETS][IVF_PATH_BYTES];
    struct stat found;
    int rc = ivf_results_check_name(output);
    if (rc == MPIVF_OK)
        rc = find_folder("output", output, &found);
    int count = rc == MPIVF_OK ? name_targets(output, targets) : 0;
    for (int t = 0; t < count && rc == MPIVF_OK; t++) {
        if (stat(targets[t], &found) != 0)
            continue;
        if (S_ISDIR(found.st_mode))
            return ivf_fail(MPIVF_USAGE, "--output %s is a folder; name a file", targets[t]);
        const ivf_option_value *ids = ivf_options_value(options, IVF_OPTION_IDS);
        rc = check_paths(&found, output, ids->texts, ids->count);
        const ivf_option_value *rows = ivf_options_value(options, IVF_OPTION_SEARCH_IDS);
        if (rc == MPIVF_OK)
            rc = check_paths(&found, output, rows->texts, rows->count);
        if (rc == MPIVF_OK)
            rc = check_source(&found, output, ivf_options_value(options, IVF_OPTION_INPUT));
        if (rc == MPIVF_OK)
            rc = check_source(&found, output, ivf_options_value(options, IVF_OPTION_QUERIES));
    }
    return rc;
}

int ivf_targets_check_results(const ivf_ctx *ctx, const ivf_options *options, const char *output)
{
    return ivf_agree(ctx, output != NULL && ivf_ctx_is_root(ctx) ? check_results(options, output) : MPIVF_OK);
}

static int check_generated(const char *rows, const char *queries)
{
    struct stat of_rows;
    struct stat of_queries;
    int rc = find_folder("output", rows, &of_rows);
    if (rc == MPIVF_OK && queries != NULL)
        rc = find_folder("queries-output", queries, &of_queries);
    if (rc != MPIVF_OK || queries == NULL)
        return rc;
    if (!is_same(&of_rows, &of_queries) || strcmp(name_in(rows), name_in(queries)) != 0)
        return MPIVF_OK;
    return ivf_fail(MPIVF_USAGE, "--output and --queries-output are both %s; rows and queries need a file each", rows);
}

int ivf_targets_check_generated(const ivf_ctx *ctx, const char *rows, const char *queries)
{
    return ivf_agree(ctx, ivf_ctx_is_root(ctx) ? check_generated(rows, queries) : MPIVF_OK);
}

static int check_file(const char *path)
{
    struct stat found;
    if (stat(path, &found) == 0 && S_ISDIR(found.st_mode))
        return ivf_fail(MPIVF_USAGE, "--output %s is a folder; name a file", path);
    return find_folder("output", path, &found);
}

int ivf_targets_check_file(const ivf_ctx *ctx, const char *path)
{
    return ivf_agree(ctx, ivf_ctx_is_root(ctx) ? check_file(path) : MPIVF_OK);
}

static int check_converted(const ivf_options *options, const char *output)
{
    struct stat found;
    int rc = check_file(output);
    if (rc != MPIVF_OK || stat(output, &found) != 0)
        return rc;
    rc = check_source(&found, output, ivf_options_value(options, IVF_OPTION_CONVERT_INPUT));
    return rc == MPIVF_OK ? check_source(&found, output, ivf_options_value(options, IVF_OPTION_CONVERT_TRUTH)) : rc;
}

int ivf_targets_check_converted(const ivf_ctx *ctx, const ivf_options *options, const char *output)
{
    return ivf_agree(ctx, ivf_ctx_is_root(ctx) ? check_converted(options, output) : MPIVF_OK);
}
