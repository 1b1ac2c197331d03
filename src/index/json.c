#include "index/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"

json_t *ivf_json_hash(uint64_t hash)
{
    char text[17];
    ivf_hash_text(hash, text);
    return json_string(text);
}

bool ivf_json_parse_hash(const char *text, uint64_t *hash)
{
    static const char digits[] = "0123456789abcdef";
    if (text == NULL || strlen(text) != 16 || strspn(text, digits) != 16)
        return false;
    *hash = strtoull(text, NULL, 16);
    return true;
}

bool ivf_json_copy_id(char id[IVF_ID_BYTES], const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || length >= IVF_ID_BYTES)
        return false;
    for (size_t i = 0; i < length; i++)
        if (strchr("0123456789abcdefghijklmnopqrstuvwxyz-", text[i]) == NULL)
            return false;
    memcpy(id, text, length + 1);
    return true;
}

static int checksum_of(const json_t *json, uint64_t *checksum)
{
    json_t *rest = json_copy((json_t *)json);
    (void)json_object_del(rest, "checksum");
    char *text = json_dumps(rest, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(rest);
    if (text == NULL)
        return ivf_fail(MPIVF_FAILED, "out of memory for a JSON object's text");
    *checksum = ivf_hash64(text, strlen(text));
    free(text);
    return MPIVF_OK;
}

int ivf_json_seal(json_t *json)
{
    uint64_t checksum = 0;
    int rc = checksum_of(json, &checksum);
    if (rc == MPIVF_OK && json_object_set_new(json, "checksum", ivf_json_hash(checksum)) != 0)
        rc = ivf_fail(MPIVF_FAILED, "out of memory for a JSON object's checksum");
    return rc;
}

int ivf_json_check_seal(const json_t *json, const char *path)
{
    uint64_t claimed = 0;
    uint64_t found = 0;
    int rc = checksum_of(json, &found);
    if (rc != MPIVF_OK)
        return rc;
    if (!ivf_json_parse_hash(json_string_value(json_object_get(json, "checksum")), &claimed) || claimed != found)
        return ivf_fail(MPIVF_CORRUPT, "%s: the checksum does not fit the contents", path);
    return MPIVF_OK;
}

int ivf_json_write(json_t *json, const char *path)
{
    int rc = ivf_json_seal(json);
    char *text = rc == MPIVF_OK ? json_dumps(json, JSON_INDENT(1)) : NULL;
    if (rc == MPIVF_OK)
        rc = text == NULL ? ivf_fail(MPIVF_FAILED, "%s: out of memory for its text", path)
                          : ivf_publish_text(path, text, strlen(text));
    free(text);
    return rc;
}

int ivf_json_read(const char *path, size_t limit, json_t **json)
{
    char *text = NULL;
    size_t bytes = 0;
    json_error_t error;
    *json = NULL;
    int rc = ivf_file_read(path, limit, &text, &bytes);
    if (rc != MPIVF_OK)
        return rc;
    json_t *read = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    ivf_free(text);
    if (read == NULL)
        return ivf_fail(json_error_code(&error) == json_error_out_of_memory ? MPIVF_FAILED : MPIVF_CORRUPT,
                        "%s: line %d: %s", path, error.line, error.text);
    rc = json_is_object(read) ? ivf_json_check_seal(read, path) : ivf_fail(MPIVF_CORRUPT, "%s: no JSON object", path);
    if (rc == MPIVF_OK)
        *json = read;
    else
        json_decref(read);
    return rc;
}
