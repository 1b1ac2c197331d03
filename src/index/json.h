/* What the JSON files of an index have in common: hashes as text, ids that may become file names, and a checksum over
 * the rest of the object. */
#ifndef IVF_INDEX_JSON_H
#define IVF_INDEX_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "index/layout.h"

/* Local. A hash as a string of 16 lower-case hexadecimal digits, and back; false when the text (which may be NULL) is
 * none. */
json_t *ivf_json_hash(uint64_t hash);
bool ivf_json_parse_hash(const char *text, uint64_t *hash);

/* Local. False unless the text consists of letters, digits and '-' alone, which keep it inside the index folder. */
bool ivf_json_copy_id(char id[IVF_ID_BYTES], const char *text);

/* Local. Sets the key "checksum": of everything else in the object, in jansson's compact form with sorted keys. */
int ivf_json_seal(json_t *json);

/* Local. MPIVF_CORRUPT when that checksum is missing or another; `path` is for the message. */
int ivf_json_check_seal(const json_t *json, const char *path);

/* Local. Seals the object and publishes it as a file, replacing what was there. */
int ivf_json_write(json_t *json, const char *path);

/* Local. Reads such a file of at most `limit` bytes. MPIVF_CORRUPT when it is damaged or no JSON object. */
int ivf_json_read(const char *path, size_t limit, json_t **json);

#endif
