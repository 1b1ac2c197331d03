/* What the readers of files and texts are fed with bytes from strangers: one target for each. libfuzzer.c and replay.c
 * drive them. */
#ifndef TEST_FUZZ_H
#define TEST_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Takes one seed: some bytes from which mutants are made. */
typedef void fuzz_sink(void *arg, const void *data, size_t bytes);

typedef struct {
    const char *name;
    void (*seed)(fuzz_sink *sink, void *arg); /* gives sound inputs, as our own writers make them */
    void (*run)(const uint8_t *data, size_t bytes);
    size_t base, factor; /* memory that a run may ask of base/memory.h: base + factor * bytes */
} fuzz_target;

extern const fuzz_target *const fuzz_targets[];
extern const int fuzz_target_count;

/* NULL when there is none. */
const fuzz_target *fuzz_find(const char *name);

/* One run of a target. Ends the program, with words, when memory was kept or more was asked for than is allowed. */
void fuzz_run(const fuzz_target *target, const uint8_t *data, size_t bytes);

/* A path in a scratch folder, which goes at the program's end. */
const char *fuzz_path(const char *name);

/* Puts the bytes there, in a new file. */
const char *fuzz_file(const char *name, const void *data, size_t bytes);

/* Puts JSON there as an index has it, with the checksum that its contents call for; false when the bytes are none. */
bool fuzz_sealed_file(const char *name, const void *data, size_t bytes);

/* Passes a file's bytes on as a seed, and removes the file. */
void fuzz_give_file(const char *path, fuzz_sink *sink, void *arg);

/* The same of all files of a folder. */
void fuzz_give_folder(const char *folder, fuzz_sink *sink, void *arg);

/* Ends the program unless a reader's outcome is one of those that a file can be blamed for, in words. */
void fuzz_check_outcome(int code);

#endif
