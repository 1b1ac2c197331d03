/* Targets without libFuzzer: their seeds, what was found before, and mutants of both that depend on their number alone.
 *
 * fuzz_replay TARGET MUTANTS [FOLDER]: runs them; FOLDER holds further inputs, one a file
 * fuzz_replay --seeds TARGET FOLDER:   writes the seeds there, for libFuzzer */
#include <check.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "fuzz.h"

enum { SEEDS_MOST = 64, GROWTH = 64 };

typedef struct {
    uint8_t *data;
    size_t bytes;
} input;

static input seeds[SEEDS_MOST];
static int seed_count;

static void keep_seed(void *arg, const void *data, size_t bytes)
{
    (void)arg;
    input *seed = &seeds[seed_count++];
    if (seed_count >= SEEDS_MOST || (seed->data = malloc(bytes + 1)) == NULL)
        abort();
    memcpy(seed->data, data, bytes);
    seed->bytes = bytes;
}

static void read_folder(const char *folder)
{
    static uint8_t data[1 << 20];
    char path[4096];
    DIR *entries = opendir(folder);
    for (const struct dirent *e = entries == NULL ? NULL : readdir(entries); e != NULL; e = readdir(entries)) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        FILE *file = e->d_name[0] == '.' ? NULL : fopen(path, "rbe");
        if (file == NULL)
            continue;
        keep_seed(NULL, data, fread(data, 1, sizeof data, file));
        (void)fclose(file);
    }
    if (entries != NULL)
        (void)closedir(entries);
}

static uint64_t below(uint64_t mutant, uint64_t draw, uint64_t limit)
{
    return limit > 0 ? ivf_rng_below(mutant, IVF_RNG_TEST, draw, limit) : 0;
}

/* Numbers at which sizes go wrong. */
static uint64_t telling_number(uint64_t choice)
{
    static const uint64_t numbers[] = {0,          1,         2,          0x7f,       0x80,       0xff,
                                       0x7fff,     0xffff,    0x7fffffff, 0x80000000, 0xffffffff, 1ULL << 32,
                                       1ULL << 62, INT64_MAX, 1ULL << 63, UINT64_MAX};
    return numbers[choice % (sizeof numbers / sizeof numbers[0])];
}

/* One change in place, or of the length. */
static size_t change(uint8_t *data, size_t bytes, uint64_t mutant, uint64_t draw)
{
    size_t at = (size_t)below(mutant, draw + 1, bytes);
    uint64_t value = telling_number(below(mutant, draw + 2, 64));
    size_t width = (size_t)1 << below(mutant, draw + 3, 4);
    switch (below(mutant, draw, 7)) {
    case 0:
        data[at] ^= (uint8_t)(1U << below(mutant, draw + 2, 8));
        return bytes;
    case 1:
        data[at] = (uint8_t)below(mutant, draw + 2, 256);
        return bytes;
    case 2:
        memcpy(data + at, &value, at + width <= bytes ? width : 1);
        return bytes;
    case 3:
        return at;
    case 4:
        memmove(data + at + width, data + at, bytes - at);
        return bytes + width;
    case 5:
        width = width < bytes - at ? width : bytes - at;
        memmove(data + at, data + at + width, bytes - at - width);
        return bytes - width;
    default:
        data[at] = (uint8_t)(data[at] + (below(mutant, draw + 2, 2) == 0 ? 1 : 255));
        return bytes;
    }
}

static void run_mutant(const fuzz_target *target, uint64_t mutant)
{
    const input *seed = &seeds[mutant % (uint64_t)seed_count];
    uint8_t *data = malloc(seed->bytes + GROWTH);
    if (data == NULL)
        abort();
    memset(data, 0, seed->bytes + GROWTH);
    memcpy(data, seed->data, seed->bytes);
    size_t bytes = seed->bytes;
    uint64_t changes = 1 + below(mutant, 0, 4);
    for (uint64_t c = 0; c < changes && bytes > 0; c++)
        bytes = change(data, bytes, mutant, 1 + 8 * c);
    fuzz_run(target, data, bytes);
    free(data);
}

static void write_seeds(const char *folder)
{
    char path[4096];
    for (int i = 0; i < seed_count; i++) {
        (void)snprintf(path, sizeof path, "%s/seed%d", folder, i);
        FILE *file = fopen(path, "wbe");
        if (file == NULL || fwrite(seeds[i].data, 1, seeds[i].bytes, file) != seeds[i].bytes || fclose(file) != 0)
            abort();
    }
}

/* The writers of the tests' files assert with Check, which works in a test of Check's alone. */
static const fuzz_target *seeded;

START_TEST(make_seeds)
{
    seeded->seed(keep_seed, NULL);
}
END_TEST

static bool has_seeds(const fuzz_target *target)
{
    Suite *suite = suite_create("seeds");
    TCase *tests = tcase_create("seeds");
    SRunner *runner = srunner_create(suite);
    seeded = target;
    tcase_add_test(tests, make_seeds);
    suite_add_tcase(suite, tests);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_SILENT);
    bool made = srunner_ntests_failed(runner) == 0 && seed_count > 0;
    srunner_free(runner);
    return made;
}

int main(int argc, char **argv)
{
    bool only_seeds = argc == 4 && strcmp(argv[1], "--seeds") == 0;
    const fuzz_target *target = argc < 3 ? NULL : fuzz_find(argv[only_seeds ? 2 : 1]);
    if (target == NULL || !has_seeds(target))
        return EXIT_FAILURE;
    if (only_seeds) {
        write_seeds(argv[3]);
    } else {
        if (argc == 4)
            read_folder(argv[3]);
        for (int i = 0; i < seed_count; i++)
            fuzz_run(target, seeds[i].data, seeds[i].bytes);
        for (uint64_t m = 0; m < strtoull(argv[2], NULL, 10); m++)
            run_mutant(target, m);
        (void)printf("%s: %d inputs, %s mutants\n", target->name, seed_count, argv[2]);
    }
    for (int i = 0; i < seed_count; i++)
        free(seeds[i].data);
    return EXIT_SUCCESS;
}
