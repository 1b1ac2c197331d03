#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

static bool reserve(ivf_text *t, size_t wanted)
{
    if (wanted <= t->capacity)
        return true;
    size_t capacity = t->capacity < 64 ? 64 : t->capacity;
    while (capacity < wanted)
        capacity *= 2;
    char *grown = ivf_resize(t->text, capacity, 1);
    if (grown == NULL) {
        t->failed = true;
        return false;
    }
    t->text = grown;
    t->capacity = capacity;
    return true;
}

void ivf_text_add(ivf_text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int wanted = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (wanted >= 0 && !t->failed && reserve(t, t->length + (size_t)wanted + 1)) {
        (void)vsnprintf(t->text + t->length, (size_t)wanted + 1, format, again);
        t->length += (size_t)wanted;
    }
    va_end(again);
}

void ivf_text_free(ivf_text *t)
{
    ivf_free(t->text);
    *t = (ivf_text){0};
}

char *ivf_text_copy(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = ivf_new(bytes, 1);
    if (copy != NULL)
        memcpy(copy, text, bytes);
    return copy;
}

enum { LONGEST_WORD = 63 };

static size_t edit_distance(const char *a, const char *b)
{
    size_t row[LONGEST_WORD + 1];
    size_t columns = strlen(b);
    for (size_t j = 0; j <= columns; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= columns; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[columns];
}

const char *ivf_text_nearest(const char *word, const char *const *candidates, size_t n)
{
    const char *best = NULL;
    size_t limit = strlen(word) / 3 + 1;
    if (strlen(word) > LONGEST_WORD)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        if (strlen(candidates[i]) > LONGEST_WORD)
            continue;
        size_t distance = edit_distance(word, candidates[i]);
        if (distance < limit || (distance == limit && best == NULL)) {
            limit = distance;
            best = candidates[i];
        }
    }
    return best;
}

const char *ivf_text_bytes(double bytes, char text[24])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t unit = 0;
    for (; bytes >= 1024 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        bytes /= 1024;
    (void)snprintf(text, 24, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
    return text;
}

const char *ivf_text_count(double count, char text[24])
{
    static const char *const units[] = {"", " k", " M", " G"};
    size_t unit = 0;
    for (; count >= 10000 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        count /= 1000;
    (void)snprintf(text, 24, unit == 0 ? "%.0f%s" : "%.1f%s", count, units[unit]);
    return text;
}

const char *ivf_text_duration(double seconds, char text[24])
{
    const double most = 99999 * 3600.0;
    if (!(seconds > 0))
        seconds = 0;
    unsigned whole = seconds > most ? (unsigned)most : (unsigned)seconds;
    if (seconds < 60)
        (void)snprintf(text, 24, "%.1f s", seconds);
    else if (whole < 3600)
        (void)snprintf(text, 24, "%u min %02u s", whole / 60, whole % 60);
    else
        (void)snprintf(text, 24, "%u h %02u min", whole / 3600, whole / 60 % 60);
    return text;
}
