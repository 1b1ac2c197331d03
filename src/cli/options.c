/* The values of the options of one run: parsing, precedence, and what must go together. */
#include "cli/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"

void ivf_options_init(ivf_options *options, ivf_command_id command)
{
    *options = (ivf_options){.command = command};
}

static void value_free(ivf_option_value *value)
{
    for (int i = 0; value->texts != NULL && i < value->count; i++)
        ivf_free(value->texts[i]);
    ivf_free(value->texts);
    ivf_free(value->integers);
    *value = (ivf_option_value){0};
}

void ivf_options_free(ivf_options *options)
{
    for (int id = 0; id < IVF_OPTION_COUNT; id++)
        value_free(&options->values[id]);
}

static int parse_integer(const ivf_option *option, const char *where, const char *text, int64_t *value)
{
    if (option->has_auto && strcmp(text, "auto") == 0) {
        *value = 0;
        return MPIVF_OK;
    }
    const char *word = option->has_auto ? " or auto" : "";
    if (!ivf_parse_i64(text, value))
        return ivf_fail(MPIVF_USAGE, "%s: '%s' is not a whole number from %" PRId64 " to %" PRId64 "%s", where, text,
                        option->min, option->max, word);
    if (*value < option->min || *value > option->max)
        return ivf_fail(MPIVF_USAGE, "%s: %s is out of range: %" PRId64 " to %" PRId64 "%s", where, text, option->min,
                        option->max, word);
    return MPIVF_OK;
}

static int parse_real(const ivf_option *option, const char *where, const char *text, double *value)
{
    if (!ivf_parse_f64(text, value))
        return ivf_fail(MPIVF_USAGE, "%s: '%s' is not a number from %g to %g", where, text, option->real_min,
                        option->real_max);
    if (*value < option->real_min || *value > option->real_max)
        return ivf_fail(MPIVF_USAGE, "%s: %s is out of range: %g to %g", where, text, option->real_min,
                        option->real_max);
    return MPIVF_OK;
}

static int parse_duration(const ivf_option *option, const char *where, const char *text, double *value)
{
    if (!ivf_parse_duration(text, value))
        return ivf_fail(MPIVF_USAGE, "%s: '%s' is no time; write it like 90s, 15m or 1h30m", where, text);
    if (*value < option->real_min || *value > option->real_max)
        return ivf_fail(MPIVF_USAGE, "%s: %s is out of range: %g to %g s", where, text, option->real_min,
                        option->real_max);
    return MPIVF_OK;
}

static int parse_flag(const char *where, const char *text, int64_t *value)
{
    *value = strcmp(text, "true") == 0;
    if (*value == 0 && strcmp(text, "false") != 0)
        return ivf_fail(MPIVF_USAGE, "%s: '%s' is neither true nor false", where, text);
    return MPIVF_OK;
}

static int parse_bytes(const ivf_option *option, const char *where, const char *text, int64_t *value)
{
    *value = 0;
    if (option->has_auto && strcmp(text, "auto") == 0)
        return MPIVF_OK;
    if (ivf_parse_bytes(text, value) && *value >= option->min && *value <= option->max)
        return MPIVF_OK;
    return ivf_fail(MPIVF_USAGE, "%s: '%s' is no number of bytes such as 512M, 1.5GiB or 2GB", where, text);
}

/* Whether `text` is one of the words that `list` holds between commas. */
static bool is_listed(const char *list, const char *text)
{
    size_t length = strlen(text);
    for (const char *word = list; word != NULL; word = strchr(word, ',')) {
        word += *word == ',';
        if (strncmp(word, text, length) == 0 && (word[length] == ',' || word[length] == '\0'))
            return true;
    }
    return false;
}

static int parse_choice(const ivf_option *option, const char *where, const char *text)
{
    if (*text != '\0' && strchr(text, ',') == NULL && is_listed(option->choices, text))
        return MPIVF_OK;
    return ivf_fail(MPIVF_USAGE, "%s: '%s' is none of %s", where, text, option->choices);
}

int ivf_options_levels(const char *entry, int64_t *numbers)
{
    int count = 0;
    for (const char *at = entry; at != NULL; at = strchr(at, '/')) {
        char text[24];
        at += *at == '/';
        size_t length = strcspn(at, "/");
        (void)snprintf(text, sizeof text, "%.*s", (int)(length < sizeof text ? length : sizeof text), at);
        if (count == IVF_ENTRY_LEVELS || !ivf_parse_i64(text, &numbers[count++]))
            return 0;
    }
    return count;
}

static int parse_levels(const ivf_option *option, const char *where, const char *text, int64_t *last)
{
    int64_t numbers[IVF_ENTRY_LEVELS];
    int count = ivf_options_levels(text, numbers);
    for (int i = 0; i < count; i++)
        if (numbers[i] < option->min || numbers[i] > option->max)
            count = 0;
    if (count == 0)
        return ivf_fail(MPIVF_USAGE,
                        "%s: '%s' is neither a whole number from %" PRId64 " to %" PRId64
                        " nor several of them, as in 12/50",
                        where, text, option->min, option->max);
    *last = numbers[count - 1];
    return MPIVF_OK;
}

/* What every text must be, since it may end up in YAML and JSON. */
static int check_text(const char *where, const char *text)
{
    if (*text == '\0')
        return ivf_fail(MPIVF_USAGE, "%s: the value is empty", where);
    json_t *as_json = json_string(text);
    if (as_json == NULL)
        return ivf_fail(MPIVF_USAGE, "%s: the value is not UTF-8 text", where);
    json_decref(as_json);
    return MPIVF_OK;
}

static int parse_entry(const ivf_option *option, const char *where, int entry, ivf_option_value *value)
{
    const char *text = value->texts[entry];
    int rc = check_text(where, text);
    if (rc != MPIVF_OK)
        return rc;
    switch (option->type) {
    case IVF_TYPE_FLAG:
        return parse_flag(where, text, &value->integers[entry]);
    case IVF_TYPE_INTEGER:
    case IVF_TYPE_INTEGERS:
        return parse_integer(option, where, text, &value->integers[entry]);
    case IVF_TYPE_LEVELS:
        return parse_levels(option, where, text, &value->integers[entry]);
    case IVF_TYPE_BYTES:
        return parse_bytes(option, where, text, &value->integers[entry]);
    case IVF_TYPE_REAL:
        return parse_real(option, where, text, &value->real);
    case IVF_TYPE_DURATION:
        return parse_duration(option, where, text, &value->real);
    case IVF_TYPE_CHOICE:
        return parse_choice(option, where, text);
    default:
        return MPIVF_OK;
    }
}

static int append(ivf_option_value *value, const char *text, size_t length)
{
    char *copy = ivf_new(length + 1, 1);
    if (copy == NULL)
        return MPIVF_FAILED;
    memcpy(copy, text, length);
    copy[length] = '\0';
    value->texts[value->count++] = copy;
    return MPIVF_OK;
}

/* Entries that `texts` make: "1,10,100" is three of them where a list of numbers is wanted. */
static size_t count_entries(const char *const *texts, int count, char separator)
{
    size_t entries = (size_t)count;
    for (int i = 0; i < count && separator != '\0'; i++)
        for (const char *at = strchr(texts[i], separator); at != NULL; at = strchr(at + 1, separator))
            entries++;
    return entries;
}

static int value_split(const ivf_option *option, const char *const *texts, int count, ivf_option_value *value)
{
    char separator = option->type == IVF_TYPE_INTEGERS || option->type == IVF_TYPE_LEVELS ? ',' : '\0';
    size_t entries = count_entries(texts, count, separator);
    value->texts = ivf_new(entries, sizeof *value->texts);
    value->integers = ivf_new_zero(entries, sizeof *value->integers);
    int rc = value->texts == NULL || value->integers == NULL ? MPIVF_FAILED : MPIVF_OK;
    for (int i = 0; i < count && rc == MPIVF_OK; i++) {
        const char *from = texts[i];
        const char *end = separator != '\0' ? strchr(from, separator) : NULL;
        for (; end != NULL && rc == MPIVF_OK; end = strchr(from, separator)) {
            rc = append(value, from, (size_t)(end - from));
            from = end + 1;
        }
        if (rc == MPIVF_OK)
            rc = append(value, from, strlen(from));
    }
    return rc;
}

static int value_parse(const ivf_option *option, const char *where, const char *const *texts, int count,
                       ivf_option_value *value)
{
    if (count == 0)
        return ivf_fail(MPIVF_USAGE, "%s: the value is empty", where);
    if (count > 1 && !ivf_option_is_list(option))
        return ivf_fail(MPIVF_USAGE, "%s: given %d times, but takes one value", where, count);
    int rc = value_split(option, texts, count, value);
    for (int i = 0; i < value->count && rc == MPIVF_OK; i++)
        rc = parse_entry(option, where, i, value);
    return rc;
}

int ivf_options_set(ivf_options *options, ivf_option_id id, ivf_option_source source, const char *where,
                    const char *const *texts, int count)
{
    ivf_option_value value = {.source = source};
    int rc = value_parse(ivf_option_get(id), where, texts, count, &value);
    if (rc != MPIVF_OK || options->values[id].source > source) {
        value_free(&value);
        return rc;
    }
    value_free(&options->values[id]);
    options->values[id] = value;
    return MPIVF_OK;
}

static int check_required(const ivf_options *options, ivf_option_id id)
{
    const ivf_option *option = ivf_option_get(id);
    const ivf_option_value *instead = &options->values[option->instead];
    if (option->instead != IVF_OPTION_NONE && instead->source != IVF_SOURCE_NONE) {
        if (options->values[id].source == IVF_SOURCE_NONE)
            return MPIVF_OK;
        return ivf_fail(MPIVF_USAGE, "--%s and --%s exclude each other", option->name,
                        ivf_option_get(option->instead)->name);
    }
    if (!option->required || options->values[id].source != IVF_SOURCE_NONE)
        return MPIVF_OK;
    if ((option->flags & IVF_ROW_POSITIONAL) != 0)
        return ivf_fail(MPIVF_USAGE, "%s is missing", option->argument);
    return ivf_fail(MPIVF_USAGE, "--%s %s is missing", option->name, option->argument);
}

static int check_needs(const ivf_options *options, ivf_option_id id)
{
    const ivf_option *option = ivf_option_get(id);
    if (option->needs == IVF_OPTION_NONE || !ivf_options_differs(options, id) ||
        options->values[option->needs].source != IVF_SOURCE_NONE)
        return MPIVF_OK;
    return ivf_fail(MPIVF_USAGE, "--%s has no effect without --%s", option->name, ivf_option_get(option->needs)->name);
}

static int finish_row(ivf_options *options, ivf_option_id id)
{
    const ivf_option *option = ivf_option_get(id);
    if (options->values[id].source != IVF_SOURCE_NONE || option->fallback == NULL)
        return check_required(options, id);
    return ivf_options_set(options, id, IVF_SOURCE_DEFAULT, option->name, &option->fallback, 1);
}

int ivf_options_finish(ivf_options *options)
{
    int rc = MPIVF_OK;
    for (int id = 0; id < IVF_OPTION_COUNT && rc == MPIVF_OK; id++)
        if (ivf_option_in((ivf_option_id)id, options->command))
            rc = finish_row(options, (ivf_option_id)id);
    for (int id = 0; id < IVF_OPTION_COUNT && rc == MPIVF_OK; id++)
        rc = check_needs(options, (ivf_option_id)id);
    if (rc != MPIVF_OK)
        return rc;
    if (ivf_options_flag(options, IVF_OPTION_QUIET) && ivf_options_flag(options, IVF_OPTION_VERBOSE))
        return ivf_fail(MPIVF_USAGE, "--quiet and --verbose exclude each other");
    return MPIVF_OK;
}

const ivf_option_value *ivf_options_value(const ivf_options *options, ivf_option_id id)
{
    return &options->values[id];
}

int64_t ivf_options_integer(const ivf_options *options, ivf_option_id id)
{
    const ivf_option_value *value = &options->values[id];
    return value->source == IVF_SOURCE_NONE ? 0 : value->integers[0];
}

bool ivf_options_flag(const ivf_options *options, ivf_option_id id)
{
    return ivf_options_integer(options, id) != 0;
}

double ivf_options_real(const ivf_options *options, ivf_option_id id)
{
    return options->values[id].real;
}

const char *ivf_options_text(const ivf_options *options, ivf_option_id id)
{
    const ivf_option_value *value = &options->values[id];
    return value->source == IVF_SOURCE_NONE ? NULL : value->texts[0];
}

bool ivf_options_differs(const ivf_options *options, ivf_option_id id)
{
    const ivf_option_value *value = &options->values[id];
    const char *fallback = ivf_option_get(id)->fallback;
    if (value->source <= IVF_SOURCE_DEFAULT)
        return false;
    return fallback == NULL || value->count != 1 || strcmp(value->texts[0], fallback) != 0;
}

static json_t *entry_to_json(const ivf_option *option, const ivf_option_value *value, int entry)
{
    bool is_word = option->has_auto && value->integers[entry] == 0;
    switch (option->type) {
    case IVF_TYPE_FLAG:
        return json_boolean(value->integers[entry]);
    case IVF_TYPE_INTEGER:
    case IVF_TYPE_INTEGERS:
    case IVF_TYPE_BYTES:
        return is_word ? json_string("auto") : json_integer(value->integers[entry]);
    case IVF_TYPE_REAL:
    case IVF_TYPE_DURATION:
        return json_real(value->real);
    default:
        return json_string(value->texts[entry]);
    }
}

static json_t *value_to_json(const ivf_option *option, const ivf_option_value *value)
{
    if (!ivf_option_is_list(option))
        return entry_to_json(option, value, 0);
    json_t *list = json_array();
    for (int i = 0; list != NULL && i < value->count; i++) {
        if (json_array_append_new(list, entry_to_json(option, value, i)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

json_t *ivf_options_to_json(const ivf_options *options)
{
    json_t *object = json_object();
    bool failed = object == NULL;
    for (int id = 0; id < IVF_OPTION_COUNT && !failed; id++) {
        const ivf_option *option = ivf_option_get((ivf_option_id)id);
        if ((option->flags & (IVF_ROW_RUN | IVF_ROW_META)) == 0 && options->values[id].source != IVF_SOURCE_NONE)
            failed = json_object_set_new(object, option->name, value_to_json(option, &options->values[id])) != 0;
    }
    if (!failed)
        return object;
    json_decref(object);
    (void)ivf_fail(MPIVF_FAILED, "out of memory for the configuration");
    return NULL;
}
