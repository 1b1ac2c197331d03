#include "io/openfiles.h"

#include <pthread.h>
#include <stddef.h>

#include "base/error.h"
#include "base/memory.h"

enum { SLOTS = 64 };

typedef struct {
    ivf_source *source; /* NULL: free */
    int shard;
    int users;
    uint64_t used; /* the clock's value when it was last taken */
} slot;

struct ivf_openfiles {
    const ivf_shards *shards;
    const char *h5_path;
    int most;
    pthread_mutex_t lock; /* guards all below; held while a file is opened, which keeps two from opening the same */
    pthread_cond_t given;
    uint64_t clock;
    slot slots[SLOTS];
};

ivf_openfiles *ivf_openfiles_new(const ivf_shards *shards, const char *h5_path, int most)
{
    ivf_openfiles *files = ivf_new_zero(1, sizeof *files);
    if (files == NULL)
        return NULL;
    files->shards = shards;
    files->h5_path = h5_path;
    files->most = most < SLOTS ? most : SLOTS;
    (void)pthread_mutex_init(&files->lock, NULL);
    (void)pthread_cond_init(&files->given, NULL);
    return files;
}

void ivf_openfiles_free(ivf_openfiles *files)
{
    if (files == NULL)
        return;
    for (int i = 0; i < files->most; i++)
        ivf_source_close(files->slots[i].source);
    (void)pthread_cond_destroy(&files->given);
    (void)pthread_mutex_destroy(&files->lock);
    ivf_free(files);
}

void ivf_openfiles_rest(ivf_openfiles *files)
{
    (void)pthread_mutex_lock(&files->lock);
    for (int i = 0; i < files->most; i++) {
        ivf_source_close(files->slots[i].source);
        files->slots[i] = (slot){0};
    }
    (void)pthread_mutex_unlock(&files->lock);
}

void ivf_openfiles_limit(ivf_openfiles *files, int most)
{
    ivf_openfiles_rest(files);
    files->most = most < SLOTS ? most : SLOTS;
}

/* The slot that holds the shard, else a free one, else the one not used for longest; NULL when all are in use. */
static slot *pick(ivf_openfiles *files, int shard)
{
    slot *best = NULL;
    for (int i = 0; i < files->most; i++) {
        slot *s = &files->slots[i];
        if (s->source != NULL && s->shard == shard)
            return s;
        if (s->users == 0 && (best == NULL || (best->source != NULL && (s->source == NULL || s->used < best->used))))
            best = s;
    }
    return best;
}

static int fill(const ivf_openfiles *files, slot *s, int shard)
{
    if (s->source != NULL && s->shard == shard)
        return MPIVF_OK;
    ivf_source_close(s->source);
    s->shard = shard;
    return ivf_source_open(files->shards->paths[shard], files->h5_path, &files->shards->layouts[shard], &s->source);
}

int ivf_openfiles_take(ivf_openfiles *files, int shard, ivf_source **source)
{
    (void)pthread_mutex_lock(&files->lock);
    slot *s = pick(files, shard);
    for (; s == NULL; s = pick(files, shard))
        (void)pthread_cond_wait(&files->given, &files->lock);
    int rc = fill(files, s, shard);
    if (rc == MPIVF_OK) {
        s->users++;
        s->used = ++files->clock;
    }
    *source = s->source;
    (void)pthread_mutex_unlock(&files->lock);
    return rc;
}

void ivf_openfiles_give(ivf_openfiles *files, ivf_source *source)
{
    (void)pthread_mutex_lock(&files->lock);
    for (int i = 0; i < files->most; i++)
        if (files->slots[i].source == source)
            files->slots[i].users--;
    (void)pthread_cond_broadcast(&files->given);
    (void)pthread_mutex_unlock(&files->lock);
}
