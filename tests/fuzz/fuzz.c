#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "index/json.h"
#include "io/folder.h"

enum { FOLDER_BYTES = 512 };

static char folder[FOLDER_BYTES];
static char path[FOLDER_BYTES + 256];

static void remove_folder(void)
{
    (void)ivf_folder_remove(folder);
}

static void start(void)
{
    if (folder[0] != '\0')
        return;
    ivf_log_set(false, IVF_LOG_QUIET);
    const char *parent = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/mpivf-fuzz-XXXXXX", parent != NULL ? parent : "/tmp");
    if (mkdtemp(folder) == NULL)
        abort();
    (void)atexit(remove_folder);
}

_Noreturn static void give_up(const char *target, const char *what, size_t is, size_t limit)
{
    (void)fprintf(stderr, "%s: %s: %zu, at most %zu: %s\n", target, what, is, limit, ivf_error_last()->text);
    abort();
}

const fuzz_target *fuzz_find(const char *name)
{
    for (int i = 0; i < fuzz_target_count; i++)
        if (strcmp(fuzz_targets[i]->name, name) == 0)
            return fuzz_targets[i];
    return NULL;
}

void fuzz_run(const fuzz_target *target, const uint8_t *data, size_t bytes)
{
    start();
    size_t before = ivf_memory_now();
    size_t limit = target->base + target->factor * bytes;
    ivf_error_clear();
    ivf_memory_reset_peak();
    target->run(data, bytes);
    if (ivf_memory_peak() - before > limit)
        give_up(target->name, "bytes asked for", ivf_memory_peak() - before, limit);
    if (ivf_memory_now() != before)
        give_up(target->name, "bytes kept", ivf_memory_now(), before);
}

const char *fuzz_path(const char *name)
{
    start();
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

const char *fuzz_file(const char *name, const void *data, size_t bytes)
{
    (void)fuzz_path(name);
    (void)unlink(path);
    FILE *file = fopen(path, "wbe");
    if (file == NULL || fwrite(data, 1, bytes, file) != bytes || fclose(file) != 0)
        abort();
    return path;
}

bool fuzz_sealed_file(const char *name, const void *data, size_t bytes)
{
    json_t *json = json_loadb(data, bytes, JSON_REJECT_DUPLICATES, NULL);
    bool made = json_is_object(json);
    if (made && ivf_json_seal(json) != MPIVF_OK)
        abort();
    char *text = made ? json_dumps(json, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL;
    if (text != NULL)
        (void)fuzz_file(name, text, strlen(text));
    free(text);
    json_decref(json);
    return made;
}

void fuzz_give_file(const char *from, fuzz_sink *sink, void *arg)
{
    struct stat info;
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    char *data = fd >= 0 && fstat(fd, &info) == 0 ? malloc((size_t)info.st_size) : NULL;
    if (data == NULL || read(fd, data, (size_t)info.st_size) != info.st_size)
        abort();
    (void)close(fd);
    (void)unlink(from);
    sink(arg, data, (size_t)info.st_size);
    free(data);
}

void fuzz_give_folder(const char *from, fuzz_sink *sink, void *arg)
{
    char name[2 * FOLDER_BYTES];
    DIR *entries = opendir(from);
    for (const struct dirent *e = entries == NULL ? NULL : readdir(entries); e != NULL; e = readdir(entries)) {
        (void)snprintf(name, sizeof name, "%s/%s", from, e->d_name);
        if (e->d_name[0] != '.')
            fuzz_give_file(name, sink, arg);
    }
    if (entries != NULL)
        (void)closedir(entries);
}

void fuzz_check_outcome(int code)
{
    bool told = code == MPIVF_OK || strlen(ivf_error_last()->text) > 10;
    if (told && (code == MPIVF_OK || code == MPIVF_BAD_INPUT || code == MPIVF_CORRUPT || code == MPIVF_USAGE))
        return;
    (void)fprintf(stderr, "code %d: %s\n", code, ivf_error_last()->text);
    abort();
}
