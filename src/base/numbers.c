#include "base/numbers.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

_Noreturn static void die(const char *type, int64_t value)
{
    (void)fprintf(stderr, "mpivf: internal error: %" PRId64 " does not fit %s\n", value, type);
    abort();
}

int ivf_to_int(int64_t value)
{
    if (value < INT_MIN || value > INT_MAX)
        die("int", value);
    return (int)value;
}

int32_t ivf_to_i32(int64_t value)
{
    if (value < INT32_MIN || value > INT32_MAX)
        die("int32_t", value);
    return (int32_t)value;
}

size_t ivf_to_size(int64_t value)
{
    if (value < 0)
        die("size_t", value);
    return (size_t)value;
}

int64_t ivf_to_i64(uint64_t value)
{
    if (value > INT64_MAX)
        die("int64_t", (int64_t)value);
    return (int64_t)value;
}

bool ivf_parse_i64(const char *text, int64_t *value)
{
    char *end = NULL;
    errno = 0;
    long long parsed = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0)
        return false;
    *value = parsed;
    return true;
}

bool ivf_parse_f64(const char *text, double *value)
{
    char *end = NULL;
    errno = 0;
    double parsed = strtod(text, &end);
    if (end == text || *end != '\0' || errno != 0 || !isfinite(parsed))
        return false;
    *value = parsed;
    return true;
}

static double unit_factor(const char *unit)
{
    static const char letters[] = "KMGT";
    if (*unit == '\0' || strcasecmp(unit, "B") == 0)
        return 1;
    for (int i = 0; letters[i] != '\0'; i++) {
        if ((unit[0] | 0x20) != (letters[i] | 0x20))
            continue;
        if (unit[1] == '\0' || strcasecmp(unit + 1, "iB") == 0)
            return pow(1024, i + 1);
        if (strcasecmp(unit + 1, "B") == 0)
            return pow(1000, i + 1);
    }
    return 0;
}

bool ivf_parse_bytes(const char *text, int64_t *bytes)
{
    char *end = NULL;
    double number = strtod(text, &end);
    if (end == text || !isfinite(number) || number < 0)
        return false;
    double factor = unit_factor(end);
    if (factor == 0 || number * factor > 9e18)
        return false;
    *bytes = (int64_t)(number * factor);
    return true;
}

static double seconds_of_unit(char unit)
{
    switch (unit) {
    case 's':
        return 1;
    case 'm':
        return 60;
    case 'h':
        return 3600;
    case 'd':
        return 86400;
    default:
        return 0;
    }
}

bool ivf_parse_duration(const char *text, double *seconds)
{
    double sum = 0;
    if (ivf_parse_f64(text, seconds))
        return *seconds >= 0;
    do {
        char *end = NULL;
        double number = strtod(text, &end);
        if (end == text || !isfinite(number) || number < 0 || seconds_of_unit(*end) == 0)
            return false;
        sum += number * seconds_of_unit(*end);
        text = end + 1;
    } while (*text != '\0');
    *seconds = sum;
    return isfinite(sum);
}
