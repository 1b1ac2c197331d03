/* Checksums (XXH3, xxHash specification) and the order-independent digest of ids. */
#ifndef IVF_BASE_HASH_H
#define IVF_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* Local. XXH3-64 of `bytes` bytes. */
uint64_t ivf_hash64(const void *data, size_t bytes);

/* Local. The same over data that comes in pieces. */
typedef struct ivf_hasher ivf_hasher;
ivf_hasher *ivf_hasher_new(void); /* NULL with a failure recorded */
void ivf_hasher_add(ivf_hasher *hasher, const void *data, size_t bytes);
uint64_t ivf_hasher_end(const ivf_hasher *hasher);
void ivf_hasher_reset(ivf_hasher *hasher); /* to the next data's beginning */
void ivf_hasher_free(ivf_hasher *hasher);

/* Local. A hash as 16 hexadecimal digits into text[17]. */
void ivf_hash_text(uint64_t hash, char text[17]);

/* Digest of a multiset of ids: the sum of their mixed values modulo 2^64. Adding digests joins the sets; order never
 * matters. */
uint64_t ivf_digest_ids(const uint64_t *ids, int64_t n);

#endif
