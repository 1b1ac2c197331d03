/* Text: a growing string, the nearest known word, human-readable quantities. */
#ifndef IVF_BASE_TEXT_H
#define IVF_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A string that grows. After a failed growth it keeps what it had and `failed` stays true. */
typedef struct {
    char *text; /* owned; always terminated once anything was added */
    size_t length;
    size_t capacity;
    bool failed;
} ivf_text;

void ivf_text_add(ivf_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void ivf_text_free(ivf_text *t);

/* Local. A copy of `text` through ivf_new; NULL with a failure recorded. */
char *ivf_text_copy(const char *text);

/* Local. The candidate nearest to `word` by edit distance (Levenshtein), or NULL when none is within a third of its
 * length. */
const char *ivf_text_nearest(const char *word, const char *const *candidates, size_t n);

/* Local. "1.5 GiB", "12.3 M", "1 h 02 min": short forms for people, into text[24]; returns text. */
const char *ivf_text_bytes(double bytes, char text[24]);
const char *ivf_text_count(double count, char text[24]);
const char *ivf_text_duration(double seconds, char text[24]);

#endif
