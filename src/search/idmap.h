/* Numbers for distinct ids: candidates of a batch, of which each is looked for once. */
#ifndef IVF_SEARCH_IDMAP_H
#define IVF_SEARCH_IDMAP_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t *ids; /* [count], owned: by number */
    int64_t count;
    int64_t *slots; /* [mask + 1], owned: numbers, -1 for none */
    size_t mask;
} ivf_idmap;

/* Local. Room for so many ids; 24 to 40 bytes for each. */
int ivf_idmap_new(ivf_idmap *map, int64_t most);
void ivf_idmap_free(ivf_idmap *map);

/* Local. The number of an id, which it is given when it is new: 0 for the first, then 1, 2, ... */
int64_t ivf_idmap_add(ivf_idmap *map, uint64_t id);

/* Local, thread-safe while nobody adds. The number of an id; -1: there is none. */
int64_t ivf_idmap_find(const ivf_idmap *map, uint64_t id);

#endif
