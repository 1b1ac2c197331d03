/* Open addressing, at most half full, with the mixing of the ids' digest (base/hash.h). */
#include "search/idmap.h"

#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/numbers.h"

int ivf_idmap_new(ivf_idmap *map, int64_t most)
{
    size_t slots = 16;
    while (slots < 2 * ivf_to_size(most))
        slots *= 2;
    *map = (ivf_idmap){.mask = slots - 1};
    map->ids = ivf_new(ivf_to_size(most), sizeof *map->ids);
    map->slots = ivf_new(slots, sizeof *map->slots);
    if (map->ids == NULL || map->slots == NULL)
        return MPIVF_FAILED;
    memset(map->slots, 0xff, slots * sizeof *map->slots);
    return MPIVF_OK;
}

void ivf_idmap_free(ivf_idmap *map)
{
    ivf_free(map->ids);
    ivf_free(map->slots);
    *map = (ivf_idmap){0};
}

/* Where the id is, or would be. */
static int64_t *slot_of(const ivf_idmap *map, uint64_t id)
{
    size_t at = (size_t)ivf_digest_ids(&id, 1) & map->mask;
    while (map->slots[at] >= 0 && map->ids[map->slots[at]] != id)
        at = (at + 1) & map->mask;
    return &map->slots[at];
}

int64_t ivf_idmap_add(ivf_idmap *map, uint64_t id)
{
    int64_t *slot = slot_of(map, id);
    if (*slot < 0) {
        map->ids[map->count] = id;
        *slot = map->count++;
    }
    return *slot;
}

int64_t ivf_idmap_find(const ivf_idmap *map, uint64_t id)
{
    return *slot_of(map, id);
}
