/* Two groups between one reader thread and one caller: the thread fills one while the caller has the other. */
#include "search/fetch.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/pulse.h"

enum { GROUPS = 2, ALIGNMENT = 64 };

typedef struct {
    ivf_reader_job job;
    int32_t *lists; /* these and all below: owned */
    int64_t *sizes;
    uint8_t *(*to)[IVF_ALL_COLUMNS];
    uint8_t *raw;
    ivf_error failure; /* of its reading */
} fetch_group;

struct ivf_fetch {
    ivf_reader *reader;
    ivf_column columns[IVF_ALL_COLUMNS];
    fetch_group groups[GROUPS];
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    int64_t begun, done, taken; /* groups so far */
    bool closing;
    bool ended; /* the thread is about to */
};

static void *read_groups(void *arg)
{
    ivf_fetch *f = arg;
    (void)pthread_mutex_lock(&f->lock);
    while (!f->closing) {
        if (f->done == f->begun) {
            (void)pthread_cond_wait(&f->changed, &f->lock);
            continue;
        }
        fetch_group *group = &f->groups[f->done % GROUPS];
        (void)pthread_mutex_unlock(&f->lock);
        const int rc = ivf_reader_run(f->reader, &group->job);
        group->failure = rc == MPIVF_OK ? (ivf_error){0} : *ivf_error_last();
        (void)pthread_mutex_lock(&f->lock);
        f->done++;
        (void)pthread_cond_broadcast(&f->changed);
    }
    f->ended = true;
    (void)pthread_cond_broadcast(&f->changed);
    (void)pthread_mutex_unlock(&f->lock);
    return NULL;
}

int64_t ivf_fetch_bytes(size_t code_size, int64_t n)
{
    ivf_column columns[IVF_ALL_COLUMNS];
    int64_t bytes = 0;
    (void)ivf_fragment_columns(code_size, (ivf_keeping){0}, columns);
    for (int c = 0; c < IVF_COLUMNS; c++)
        bytes += ivf_round_up(n * (int64_t)columns[c].bytes, ALIGNMENT);
    return bytes;
}

int64_t ivf_fetch_memory(int64_t bytes, int32_t lists)
{
    const int64_t of_list = (int64_t)(sizeof(int32_t) + sizeof(int64_t)) + IVF_ALL_COLUMNS * (int64_t)sizeof(uint8_t *);
    return GROUPS * (bytes + lists * of_list) + (int64_t)sizeof(ivf_fetch);
}

static int reserve(ivf_fetch *f, int64_t bytes, int32_t lists)
{
    for (int i = 0; i < GROUPS; i++) {
        fetch_group *g = &f->groups[i];
        g->lists = ivf_new((size_t)lists, sizeof *g->lists);
        g->sizes = ivf_new((size_t)lists, sizeof *g->sizes);
        g->to = ivf_new((size_t)lists, sizeof *g->to);
        g->raw = ivf_new(ivf_to_size(bytes), 1);
        if (g->lists == NULL || g->sizes == NULL || g->to == NULL || g->raw == NULL)
            return MPIVF_FAILED;
    }
    return MPIVF_OK;
}

/* Signals are the main thread's business. */
static int start_thread(ivf_fetch *f)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    const int error = ivf_fault("reader-thread") ? EAGAIN : pthread_create(&f->thread, NULL, read_groups, f);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    f->started = error == 0;
    return error == 0 ? MPIVF_OK : ivf_fail_errno(error, "a thread that reads ahead cannot be started");
}

ivf_fetch *ivf_fetch_open(ivf_reader *reader, size_t code_size, int64_t bytes, int32_t lists)
{
    ivf_fetch *f = ivf_new_zero(1, sizeof *f);
    if (f == NULL)
        return NULL;
    f->reader = reader;
    (void)ivf_fragment_columns(code_size, (ivf_keeping){0}, f->columns);
    (void)pthread_mutex_init(&f->lock, NULL);
    ivf_pulse_cond(&f->changed);
    if (reserve(f, bytes, lists) == MPIVF_OK && start_thread(f) == MPIVF_OK)
        return f;
    ivf_fetch_close(f);
    return NULL;
}

static void stop_thread(ivf_fetch *f)
{
    (void)pthread_mutex_lock(&f->lock);
    f->closing = true;
    (void)pthread_cond_broadcast(&f->changed);
    while (!f->ended)
        ivf_pulse_wait(&f->changed, &f->lock);
    (void)pthread_mutex_unlock(&f->lock);
    (void)pthread_join(f->thread, NULL);
}

void ivf_fetch_close(ivf_fetch *fetch)
{
    if (fetch == NULL)
        return;
    if (fetch->started)
        stop_thread(fetch);
    for (int i = 0; i < GROUPS; i++) {
        ivf_free(fetch->groups[i].lists);
        ivf_free(fetch->groups[i].sizes);
        ivf_free((void *)fetch->groups[i].to);
        ivf_free(fetch->groups[i].raw);
    }
    (void)pthread_cond_destroy(&fetch->changed);
    (void)pthread_mutex_destroy(&fetch->lock);
    ivf_free(fetch);
}

void ivf_fetch_begin(ivf_fetch *fetch, const ivf_reader_job *wanted)
{
    fetch_group *g = &fetch->groups[fetch->begun % GROUPS]; /* nobody has it: at most one other is begun */
    uint8_t *to = g->raw;
    memcpy(g->lists, wanted->lists, (size_t)wanted->count * sizeof *g->lists);
    memcpy(g->sizes, wanted->sizes, (size_t)wanted->count * sizeof *g->sizes);
    for (int32_t i = 0; i < wanted->count; i++) {
        for (int c = 0; c < IVF_COLUMNS; c++) {
            g->to[i][c] = to;
            to += ivf_round_up(g->sizes[i] * (int64_t)fetch->columns[c].bytes, ALIGNMENT);
        }
    }
    g->job = *wanted;
    g->job.lists = g->lists;
    g->job.sizes = g->sizes;
    g->job.to = g->to;
    (void)pthread_mutex_lock(&fetch->lock);
    fetch->begun++;
    (void)pthread_cond_broadcast(&fetch->changed);
    (void)pthread_mutex_unlock(&fetch->lock);
}

int ivf_fetch_take(ivf_fetch *fetch, const ivf_reader_job **group)
{
    (void)pthread_mutex_lock(&fetch->lock);
    while (fetch->done == fetch->taken)
        ivf_pulse_wait(&fetch->changed, &fetch->lock);
    const fetch_group *g = &fetch->groups[fetch->taken % GROUPS];
    fetch->taken++;
    (void)pthread_mutex_unlock(&fetch->lock);
    *group = &g->job;
    if (g->failure.code != MPIVF_OK)
        ivf_error_set(&g->failure);
    return g->failure.code;
}

void ivf_fetch_drop(ivf_fetch *fetch)
{
    (void)pthread_mutex_lock(&fetch->lock);
    while (fetch->done < fetch->begun)
        ivf_pulse_wait(&fetch->changed, &fetch->lock);
    fetch->taken = fetch->begun;
    (void)pthread_mutex_unlock(&fetch->lock);
}
