#include "io/inputs.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/rawfile.h"
#include "io/source.h"

enum { LISTS_DEEP = 8, LIST_BYTES = 256 << 20 };

static int expand(const char *entry, const char *folder, int depth, ivf_inputs *files);

/* Takes over `path`; NULL stands for a failure that is recorded. */
static int add(ivf_inputs *files, char *path)
{
    if (path == NULL)
        return MPIVF_FAILED;
    if (files->count == files->capacity) {
        int64_t capacity = files->capacity == 0 ? 16 : 2 * files->capacity;
        char **grown = ivf_resize(files->paths, (size_t)capacity, sizeof *grown);
        if (grown == NULL) {
            ivf_free(path);
            return MPIVF_FAILED;
        }
        files->paths = grown;
        files->capacity = capacity;
    }
    files->paths[files->count++] = path;
    return MPIVF_OK;
}

static char *join(const char *folder, const char *name)
{
    ivf_text text = {0};
    size_t length = strlen(folder);
    ivf_text_add(&text, "%s%s%s", folder, length > 0 && folder[length - 1] == '/' ? "" : "/", name);
    if (!text.failed)
        return text.text;
    ivf_text_free(&text);
    return NULL;
}

static char *absolute(const char *path, const char *folder)
{
    while (path[0] == '.' && path[1] == '/')
        for (path += 2; *path == '/';)
            path++;
    if (strcmp(path, ".") == 0)
        return ivf_text_copy(folder);
    return path[0] == '/' ? ivf_text_copy(path) : join(folder, path);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_from(ivf_inputs *files, int64_t first)
{
    if (files->count > first)
        qsort(files->paths + first, (size_t)(files->count - first), sizeof *files->paths, compare);
}

static int expand_folder(const char *path, ivf_inputs *files)
{
    const int64_t first = files->count;
    DIR *folder = ivf_fault("list") ? NULL : opendir(path);
    if (folder == NULL)
        return ivf_rawfile_refuse(errno, path);
    int rc = MPIVF_OK;
    errno = 0;
    for (struct dirent *entry = readdir(folder); rc == MPIVF_OK && entry != NULL; entry = readdir(folder)) {
        if (entry->d_name[0] != '.' && ivf_source_format(entry->d_name) >= 0)
            rc = add(files, join(path, entry->d_name));
        errno = 0;
    }
    if (rc == MPIVF_OK && errno != 0)
        rc = ivf_rawfile_refuse(errno, path);
    (void)closedir(folder);
    sort_from(files, first);
    if (rc == MPIVF_OK && files->count == first)
        rc =
            ivf_fail(MPIVF_BAD_INPUT, "input folder %s holds no file of a known format (%s)", path, ivf_source_known());
    return rc;
}

static int expand_existing(char *path, const struct stat *info, ivf_inputs *files)
{
    if (!S_ISDIR(info->st_mode))
        return add(files, path);
    int rc = expand_folder(path, files);
    ivf_free(path);
    return rc;
}

/* A list's own folder may hold characters that mean something in patterns. */
static char *escaped(const char *folder, const char *name)
{
    ivf_text text = {0};
    for (const char *c = folder; *name != '/' && *c != '\0'; c++)
        ivf_text_add(&text, "%s%c", strchr("*?[\\", *c) != NULL ? "\\" : "", *c);
    ivf_text_add(&text, "%s%s", *name != '/' ? "/" : "", name);
    if (!text.failed)
        return text.text;
    ivf_text_free(&text);
    return NULL;
}

static int take_matches(const glob_t *found, ivf_inputs *files)
{
    ivf_inputs matches = {0};
    int rc = MPIVF_OK;
    for (size_t i = 0; rc == MPIVF_OK && i < found->gl_pathc; i++)
        rc = add(&matches, ivf_text_copy(found->gl_pathv[i]));
    sort_from(&matches, 0);
    for (int64_t i = 0; rc == MPIVF_OK && i < matches.count; i++) {
        struct stat info;
        if (stat(matches.paths[i], &info) != 0) {
            rc = ivf_rawfile_refuse(errno, matches.paths[i]);
            break;
        }
        rc = expand_existing(matches.paths[i], &info, files);
        matches.paths[i] = NULL;
    }
    ivf_inputs_free(&matches);
    return rc;
}

/* Stops at a folder that cannot be read; one that is not there matches nothing. */
static int is_unreadable(const char *path, int reason)
{
    (void)path;
    return reason != ENOENT && reason != ENOTDIR;
}

static int expand_pattern(const char *entry, const char *folder, ivf_inputs *files)
{
    char *pattern = escaped(folder, entry);
    if (pattern == NULL)
        return MPIVF_FAILED;
    glob_t found = {0};
    int outcome = glob(pattern, GLOB_NOSORT, is_unreadable, &found);
    int rc = MPIVF_OK;
    if (outcome == GLOB_NOMATCH)
        rc = ivf_fail(MPIVF_BAD_INPUT, "input %s: no file has that name, and none matches it as a pattern", entry);
    else if (outcome == GLOB_NOSPACE)
        rc = ivf_fail(MPIVF_FAILED, "out of memory while looking for files like %s", entry);
    else if (outcome != 0)
        rc = ivf_fail(MPIVF_BAD_INPUT, "input %s: a folder on the pattern's way cannot be read", entry);
    else
        rc = take_matches(&found, files);
    globfree(&found);
    ivf_free(pattern);
    return rc;
}

/* The whole of an open list, with a 0 byte behind it; NULL with a failure recorded. */
static char *read_text(const ivf_rawfile *file)
{
    if (file->bytes > LIST_BYTES) {
        (void)ivf_fail(MPIVF_BAD_INPUT,
                       "input list %s has %" PRId64 " bytes, beyond the limit of %d; is it a list of files?",
                       file->path, file->bytes, LIST_BYTES);
        return NULL;
    }
    char *text = ivf_new_zero((size_t)file->bytes + 1, 1);
    if (text == NULL || ivf_rawfile_read(file, 0, (size_t)file->bytes, text) != MPIVF_OK) {
        ivf_free(text);
        return NULL;
    }
    if (strlen(text) == (size_t)file->bytes)
        return text;
    (void)ivf_fail(MPIVF_BAD_INPUT, "input list %s is no text: it holds a 0 byte", file->path);
    ivf_free(text);
    return NULL;
}

static int read_list(const char *path, char **text)
{
    ivf_rawfile file;
    int rc = ivf_rawfile_open(path, &file);
    if (rc != MPIVF_OK)
        return rc;
    *text = read_text(&file);
    ivf_rawfile_close(&file);
    return *text == NULL ? ivf_error_last()->code : MPIVF_OK;
}

static char *trimmed(char *line)
{
    static const char blanks[] = " \t\r\n\v\f";
    line += strspn(line, blanks);
    size_t length = strlen(line);
    while (length > 0 && strchr(blanks, line[length - 1]) != NULL)
        line[--length] = '\0';
    return line;
}

static int expand_lines(char *text, const char *path, const char *folder, int depth, ivf_inputs *files)
{
    const int64_t first = files->count;
    int rc = MPIVF_OK;
    for (char *line = text, *next = NULL; rc == MPIVF_OK && line != NULL; line = next) {
        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        const char *entry = trimmed(line);
        if (*entry != '\0' && *entry != '#')
            rc = expand(entry, folder, depth, files);
    }
    if (rc == MPIVF_OK && files->count == first)
        rc = ivf_fail(MPIVF_BAD_INPUT, "input list %s names no file", path);
    return rc;
}

static int expand_list(const char *name, const char *folder, int depth, ivf_inputs *files)
{
    if (depth == LISTS_DEEP)
        return ivf_fail(MPIVF_BAD_INPUT, "input list %s: lists are nested more than %d deep; does one name itself?",
                        name, LISTS_DEEP);
    char *path = absolute(name, folder);
    char *text = NULL;
    int rc = path == NULL ? MPIVF_FAILED : read_list(path, &text);
    char *own_folder = rc == MPIVF_OK ? ivf_text_copy(path) : NULL;
    if (own_folder != NULL) {
        char *slash = strrchr(own_folder, '/');
        slash[slash == own_folder] = '\0';
        rc = expand_lines(text, path, own_folder, depth + 1, files);
    } else if (rc == MPIVF_OK) {
        rc = MPIVF_FAILED;
    }
    ivf_free(own_folder);
    ivf_free(text);
    ivf_free(path);
    return rc;
}

static int expand(const char *entry, const char *folder, int depth, ivf_inputs *files)
{
    if (*entry == '\0')
        return ivf_fail(MPIVF_BAD_INPUT, "an input is empty: name a file, a folder, a pattern or @LIST");
    if (*entry == '@')
        return expand_list(entry + 1, folder, depth, files);
    char *path = absolute(entry, folder);
    if (path == NULL)
        return MPIVF_FAILED;
    struct stat info;
    if (stat(path, &info) == 0)
        return expand_existing(path, &info, files);
    const int reason = errno;
    int rc = reason == ENOENT && strpbrk(entry, "*?[") != NULL ? expand_pattern(entry, folder, files)
                                                               : ivf_rawfile_refuse(reason, path);
    ivf_free(path);
    return rc;
}

int ivf_inputs_expand(const char *const *inputs, int count, ivf_inputs *files)
{
    *files = (ivf_inputs){0};
    char *folder = getcwd(NULL, 0);
    if (folder == NULL)
        return ivf_fail_errno(errno, "the current folder cannot be found");
    int rc = count > 0 ? MPIVF_OK : ivf_fail(MPIVF_BAD_INPUT, "no input is given: name files, folders or @LIST");
    for (int i = 0; rc == MPIVF_OK && i < count; i++)
        rc = expand(inputs[i], folder, 0, files);
    free(folder);
    return rc;
}

int ivf_inputs_absolute(const char *path, char **made)
{
    *made = NULL;
    char *folder = getcwd(NULL, 0);
    if (folder == NULL)
        return ivf_fail_errno(errno, "the current folder cannot be found");
    *made = absolute(path, folder);
    free(folder);
    return *made == NULL ? MPIVF_FAILED : MPIVF_OK;
}

void ivf_inputs_free(ivf_inputs *files)
{
    for (int64_t i = 0; i < files->count; i++)
        ivf_free(files->paths[i]);
    ivf_free(files->paths);
    *files = (ivf_inputs){0};
}
