/* The options of a bench: `--name value`, each a number within bounds or a text. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"

typedef struct {
    const char *name;
    /* One of these is set: */
    int64_t *number; /* in [low, high] */
    int *count;      /* likewise */
    const char **text;
    int64_t low;
    int64_t high;
} bench_option;

static inline const bench_option *bench_option_named(const bench_option *options, const char *argument)
{
    for (; options->name != NULL; options++)
        if (strncmp(argument, "--", 2) == 0 && strcmp(argument + 2, options->name) == 0)
            return options;
    return NULL;
}

_Noreturn static inline void bench_options_usage(const bench_option *options, const char *program)
{
    (void)fprintf(stderr, "usage: %s", program);
    for (; options->name != NULL; options++)
        if (options->text != NULL)
            (void)fprintf(stderr, " [--%s TEXT]", options->name);
        else
            (void)fprintf(stderr, " [--%s %lld to %lld]", options->name, (long long)options->low,
                          (long long)options->high);
    (void)fputc('\n', stderr);
    exit(2);
}

/* The option's value in [low, high], or the end of the program. */
static inline int64_t bench_number(const char *option, const char *text, int64_t low, int64_t high)
{
    int64_t value = 0;
    if (ivf_parse_i64(text, &value) && value >= low && value <= high)
        return value;
    (void)fprintf(stderr, "--%s %s: a number from %lld to %lld is wanted\n", option, text, (long long)low,
                  (long long)high);
    exit(2);
}

static inline void bench_option_set(const bench_option *option, const char *text)
{
    if (option->text != NULL)
        *option->text = text;
    else if (option->count != NULL)
        *option->count = (int)bench_number(option->name, text, option->low, option->high);
    else
        *option->number = bench_number(option->name, text, option->low, option->high);
}

/* Sets what the arguments name; the table ends with an option without a name. Ends the program when an argument is none
 * of them, or has no value within bounds. */
static inline void bench_options(int argc, char **argv, const bench_option *options)
{
    for (int i = 1; i < argc; i += 2) {
        const bench_option *option = bench_option_named(options, argv[i]);
        if (option == NULL || i + 1 == argc)
            bench_options_usage(options, argv[0]);
        else
            bench_option_set(option, argv[i + 1]);
    }
}

#endif
