/* The configuration file. libcyaml checks it against a schema that is made from the table of options: every value is
 * read as text and parsed as on the command line. libcyaml has one type for each key, but a key that takes several
 * values may also have just one: each such key is first a list; where the file has a single value instead, it becomes
 * one in the schema, and the text is loaded again. */
#include "cli/config.h"

#include <cyaml/cyaml.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "cli/command.h"
#include "comm/transfer.h"
#include "io/publish.h"

enum { LARGEST_FILE = 1 << 20, KEY_BYTES = 64, MESSAGE_BYTES = 256 };

typedef struct {
    char **list; /* [count] */
    unsigned count;
    char *scalar;
} slot;

typedef struct {
    slot slots[IVF_OPTION_COUNT];
} document;

/* What libcyaml said about a failure. */
typedef struct {
    char message[MESSAGE_BYTES];
    char key[KEY_BYTES]; /* the outermost field it was in; "" when in none */
    unsigned line;       /* where it was, or shortly before; 0: unknown */
    bool several;        /* more than one document */
} findings;

typedef struct {
    ivf_options *options;
    const char *path;
    const char *text;
    size_t bytes;
    bool is_list[IVF_OPTION_COUNT];
    findings found;
} loader;

static void *allocate(void *unused, void *block, size_t bytes)
{
    (void)unused;
    if (bytes > 0)
        return ivf_resize(block, bytes, 1);
    ivf_free(block);
    return NULL;
}

__attribute__((format(printf, 3, 0))) static void note(cyaml_log_t level, void *arg, const char *format, va_list args)
{
    findings *found = arg;
    char line[MESSAGE_BYTES];
    (void)vsnprintf(line, sizeof line, format, args);
    line[strcspn(line, "\n")] = '\0';
    const char *text = strncmp(line, "Load: ", 6) == 0 ? line + 6 : line;
    const char *place = strstr(text, "(line: ");
    if (level < CYAML_LOG_ERROR)
        found->several = true;
    else if (place != NULL) {
        (void)sscanf(text, " in mapping field '%63[^']'", found->key);
        found->line = (unsigned)strtoul(place + strlen("(line: "), NULL, 10);
    } else if (found->message[0] == '\0')
        (void)snprintf(found->message, sizeof found->message, "%s", text);
}

static cyaml_config_t make_config(findings *found)
{
    return (cyaml_config_t){.log_fn = note,
                            .log_ctx = found,
                            .mem_fn = allocate,
                            .log_level = CYAML_LOG_WARNING,
                            .flags = CYAML_CFG_NO_ALIAS};
}

static const cyaml_schema_value_t entry_schema = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED)};

static cyaml_schema_field_t make_field(const ivf_option *option, ivf_option_id id, bool is_list)
{
    uint32_t at = (uint32_t)(offsetof(document, slots) + (size_t)id * sizeof(slot));
    if (!is_list)
        return (cyaml_schema_field_t){
            .key = option->name,
            .data_offset = at + (uint32_t)offsetof(slot, scalar),
            .value = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, char, 0, CYAML_UNLIMITED)}};
    return (cyaml_schema_field_t){.key = option->name,
                                  .data_offset = at + (uint32_t)offsetof(slot, list),
                                  .count_offset = at + (uint32_t)offsetof(slot, count),
                                  .count_size = sizeof(unsigned),
                                  .value = {CYAML_VALUE_SEQUENCE(CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, char *,
                                                                 &entry_schema, 0, CYAML_UNLIMITED)}};
}

static bool is_key(ivf_option_id id, ivf_command_id command)
{
    return ivf_option_in(id, command) && (ivf_option_get(id)->flags & IVF_ROW_META) == 0;
}

static void make_fields(const loader *l, cyaml_schema_field_t fields[IVF_OPTION_COUNT + 1])
{
    int n = 0;
    for (int id = 0; id < IVF_OPTION_COUNT; id++)
        if (is_key((ivf_option_id)id, l->options->command))
            fields[n++] = make_field(ivf_option_get((ivf_option_id)id), (ivf_option_id)id, l->is_list[id]);
    fields[n] = (cyaml_schema_field_t){.key = NULL};
}

typedef struct {
    unsigned line;
    const char *value; /* what follows the colon, in the file's text; NULL when no line begins with the key */
} key_place;

/* Where a key stands for the `nth` time, counted from 1; on line `otherwise` when lines do not begin with it. */
static key_place find_key(const loader *l, const char *key, int nth, unsigned otherwise)
{
    unsigned line = 1;
    size_t length = strlen(key);
    for (const char *at = l->text; at != NULL && *at != '\0'; line++) {
        const char *name = at + strspn(at, "\"' ");
        bool same = strncmp(name, key, length) == 0;
        const char *colon = same ? name + length + strspn(name + length, "\"' ") : NULL;
        if (same && *colon == ':' && --nth == 0)
            return (key_place){.line = line, .value = colon + 1};
        at = strchr(at, '\n');
        at = at != NULL ? at + 1 : NULL;
    }
    return (key_place){.line = otherwise};
}

static unsigned line_of_key(const loader *l, const char *key, int nth, unsigned otherwise)
{
    return find_key(l, key, nth, otherwise).line;
}

/* Whether a key's text is YAML's null rather than a quoted word: libcyaml tells the text but not its quotes. */
static bool is_null(const loader *l, const char *key, const char *text)
{
    static const char *const nulls[] = {"~", "null", "Null", "NULL"};
    bool named = false;
    for (size_t i = 0; i < sizeof nulls / sizeof nulls[0]; i++)
        named = named || strcmp(text, nulls[i]) == 0;
    if (!named)
        return false;
    const char *value = find_key(l, key, 1, 0).value;
    return value == NULL || strncmp(value + strspn(value, " \t"), text, strlen(text)) == 0;
}

static void place_of(const loader *l, unsigned line, char place[IVF_PATH_BYTES])
{
    if (line > 0)
        (void)snprintf(place, IVF_PATH_BYTES, "%s:%u", l->path, line);
    else
        (void)snprintf(place, IVF_PATH_BYTES, "%s", l->path);
}

static int fail_unknown(const loader *l, const char *key)
{
    char place[IVF_PATH_BYTES];
    place_of(l, line_of_key(l, key, 1, l->found.line), place);
    ivf_command_id command = l->options->command;
    const char *nearest = ivf_option_nearest(command, key, true);
    if (nearest != NULL)
        return ivf_fail(MPIVF_USAGE, "%s: unknown key '%s'; did you mean '%s'?", place, key, nearest);
    return ivf_fail(MPIVF_USAGE, "%s: unknown key '%s'; see mpivf %s --help", place, key,
                    ivf_command_get(command)->name);
}

/* The rest of the message, if it begins like that. */
static const char *after(const char *message, const char *start)
{
    size_t length = strlen(start);
    return strncmp(message, start, length) == 0 ? message + length : NULL;
}

static int fail_load(const loader *l, cyaml_err_t error)
{
    const findings *found = &l->found;
    const char *key = after(found->message, "Unexpected key: ");
    if (key != NULL)
        return fail_unknown(l, key);
    char place[IVF_PATH_BYTES];
    key = after(found->message, "Mapping field already seen: ");
    if (key != NULL) {
        place_of(l, line_of_key(l, key, 2, found->line), place);
        return ivf_fail(MPIVF_USAGE, "%s: the key '%s' appears twice", place, key);
    }
    place_of(l, found->line, place);
    const char *syntax = after(found->message, "libyaml: ");
    if (syntax != NULL)
        return ivf_fail(MPIVF_USAGE, "%s: no valid YAML here or shortly after: %s", place, syntax);
    if (error == CYAML_ERR_OOM)
        return ivf_fail(MPIVF_FAILED, "%s: out of memory", place);
    if (error == CYAML_ERR_ALIAS)
        return ivf_fail(MPIVF_USAGE, "%s: %s: aliases are not supported", place, found->key);
    if (found->key[0] == '\0')
        return ivf_fail(MPIVF_USAGE, "%s: keys with values are expected, as in 'k: 10'", place);
    ivf_option_id id = ivf_option_find(l->options->command, found->key);
    return ivf_fail(MPIVF_USAGE, "%s: %s: %s is expected", place, found->key,
                    l->is_list[id] ? "a value or a list of values" : "a single value");
}

/* Whether the failure was a single value where the schema has a list; if so, the schema is changed. */
static bool make_scalar(loader *l, cyaml_err_t error)
{
    ivf_option_id id = ivf_option_find(l->options->command, l->found.key);
    if (error != CYAML_ERR_INVALID_VALUE || !l->is_list[id] || strstr(l->found.message, "got event: SCALAR") == NULL)
        return false;
    l->is_list[id] = false;
    return true;
}

static int take_slot(const loader *l, ivf_option_id id, const slot *s)
{
    const char *const *texts = (const char *const *)(s->list != NULL ? s->list : &s->scalar);
    int count = s->list != NULL ? (int)s->count : 1;
    if (count == 0 || texts[0] == NULL)
        return MPIVF_OK;
    const char *name = ivf_option_get(id)->name;
    if (s->list == NULL && is_null(l, name, texts[0]))
        return MPIVF_OK;
    char place[IVF_PATH_BYTES];
    char where[IVF_PATH_BYTES + KEY_BYTES];
    place_of(l, line_of_key(l, name, 1, 0), place);
    (void)snprintf(where, sizeof where, "%s: %s", place, name);
    return ivf_options_set(l->options, id, IVF_SOURCE_CONFIG, where, texts, count);
}

static int take_document(const loader *l, const document *d)
{
    int rc = MPIVF_OK;
    for (int id = 0; id < IVF_OPTION_COUNT && rc == MPIVF_OK; id++)
        rc = take_slot(l, (ivf_option_id)id, &d->slots[id]);
    return rc;
}

/* One attempt with the schema as it is; *again when the schema was changed instead. */
static int load(loader *l, bool *again)
{
    cyaml_schema_field_t fields[IVF_OPTION_COUNT + 1];
    make_fields(l, fields);
    const cyaml_schema_value_t schema = {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, document, fields)};
    l->found = (findings){0};
    cyaml_config_t config = make_config(&l->found);
    document *d = NULL;
    cyaml_err_t error =
        cyaml_load_data((const uint8_t *)l->text, l->bytes, &config, &schema, (cyaml_data_t **)&d, NULL);
    *again = error != CYAML_OK && make_scalar(l, error);
    int rc = MPIVF_OK;
    if (error != CYAML_OK && !*again)
        rc = fail_load(l, error);
    else if (l->found.several)
        rc = ivf_fail(MPIVF_USAGE, "%s: more than one YAML document", l->path);
    else if (error == CYAML_OK && d != NULL)
        rc = take_document(l, d);
    (void)cyaml_free(&config, &schema, d, 0);
    return rc;
}

int ivf_config_parse(ivf_options *options, const char *path, const char *text, size_t bytes)
{
    loader l = {.options = options, .path = path, .text = text, .bytes = bytes};
    for (int id = 0; id < IVF_OPTION_COUNT; id++)
        l.is_list[id] = ivf_option_is_list(ivf_option_get((ivf_option_id)id));
    if (memchr(text, '\0', bytes) != NULL)
        return ivf_fail(MPIVF_USAGE, "%s: no YAML file: it holds a zero byte", path);
    bool again = true;
    int rc = MPIVF_OK;
    while (again && rc == MPIVF_OK)
        rc = load(&l, &again);
    return rc;
}

int ivf_config_load(const ivf_ctx *ctx, ivf_options *options)
{
    const char *path = ivf_options_text(options, IVF_OPTION_CONFIG);
    if (path == NULL)
        return MPIVF_OK;
    char *text = NULL;
    size_t bytes = 0;
    int rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? ivf_file_read(path, LARGEST_FILE, &text, &bytes) : MPIVF_OK);
    if (rc != MPIVF_OK)
        return rc;
    ivf_bcast(ctx, &bytes, sizeof bytes);
    if (!ivf_ctx_is_root(ctx))
        text = ivf_new_zero(bytes + 1, 1);
    rc = ivf_agree(ctx, text == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK) {
        ivf_bcast(ctx, text, bytes);
        rc = ivf_agree(ctx, ivf_config_parse(options, path, text, bytes));
    }
    ivf_free(text);
    return rc;
}

static void print_text(ivf_text *out, const char *text)
{
    ivf_text_add(out, "\"");
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            ivf_text_add(out, "\\%c", *text);
        else if ((unsigned char)*text < 0x20 || *text == 0x7F)
            ivf_text_add(out, "\\x%02X", (unsigned)(unsigned char)*text);
        else
            ivf_text_add(out, "%c", *text);
    }
    ivf_text_add(out, "\"");
}

static void print_value(ivf_text *out, const ivf_option *option, const ivf_option_value *value)
{
    switch (option->type) {
    case IVF_TYPE_TEXT:
    case IVF_TYPE_PATH:
        ivf_text_add(out, " ");
        print_text(out, value->texts[0]);
        break;
    case IVF_TYPE_PATHS:
        for (int i = 0; i < value->count; i++) {
            ivf_text_add(out, "\n  - ");
            print_text(out, value->texts[i]);
        }
        break;
    case IVF_TYPE_INTEGERS:
    case IVF_TYPE_LEVELS:
        for (int i = 0; i < value->count; i++)
            ivf_text_add(out, "%s%s", i == 0 ? " [" : ", ", value->texts[i]);
        ivf_text_add(out, "]");
        break;
    default:
        ivf_text_add(out, " %s", value->texts[0]);
        break;
    }
    ivf_text_add(out, "\n");
}

void ivf_config_print(ivf_text *out, const ivf_options *options)
{
    ivf_text_add(out, "# mpivf %s\n", ivf_command_get(options->command)->name);
    for (int id = 0; id < IVF_OPTION_COUNT; id++) {
        const ivf_option_value *value = ivf_options_value(options, (ivf_option_id)id);
        if (!is_key((ivf_option_id)id, options->command) || value->source == IVF_SOURCE_NONE)
            continue;
        ivf_text_add(out, "%s:", ivf_option_get((ivf_option_id)id)->name);
        print_value(out, ivf_option_get((ivf_option_id)id), value);
    }
}
