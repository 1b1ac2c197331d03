/* Integer arithmetic that cannot go wrong in silence, and numbers read from text. */
#ifndef IVF_BASE_NUMBERS_H
#define IVF_BASE_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline int64_t ivf_min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t ivf_max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* a / b rounded up; a >= 0, b > 0. */
static inline int64_t ivf_ceil_div(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

/* a rounded up to a multiple of b. */
static inline int64_t ivf_round_up(int64_t a, int64_t b)
{
    return ivf_ceil_div(a, b) * b;
}

/* Narrowing of a value that the caller knows to fit; ends the program with a message if it does not. */
int ivf_to_int(int64_t value);
int32_t ivf_to_i32(int64_t value);
size_t ivf_to_size(int64_t value);
int64_t ivf_to_i64(uint64_t value);

/* Local. Whole text to number: false when it is no number of that kind, out of the type's range, or has trailing
 * characters. */
bool ivf_parse_i64(const char *text, int64_t *value);
bool ivf_parse_f64(const char *text, double *value);

/* Local. Bytes with an optional unit: 512, 64K, 1.5GiB, 2GB (K, M, G, T with or without iB are powers of 1024; KB, MB,
 * ... of 1000). */
bool ivf_parse_bytes(const char *text, int64_t *bytes);

/* Local. Seconds, as numbers with units in any order: 90, 90s, 2.5s, 15m, 1h30m, 2d. A number alone, without a unit, is
 * seconds. */
bool ivf_parse_duration(const char *text, double *seconds);

#endif
