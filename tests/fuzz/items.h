/* HDF5 files as io/h5 writes them, made of bytes: sound in every checksum, whatever they hold. Of random changes to a
 * file itself the checksums let hardly any through, so that what readers make of odd contents would stay untried. */
#ifndef TEST_FUZZ_ITEMS_H
#define TEST_FUZZ_ITEMS_H

#include <stddef.h>
#include <stdint.h>

#include "fuzz.h"

/* Writes the file that the bytes describe, as far as they describe one. */
void items_write(const char *path, const uint8_t *data, size_t bytes);

/* Passes on, as a seed, the bytes that describe a file: its datasets, attributes of text and of numbers; each list of
 * names ends in NULL. A dataset that is not there is left out. */
void items_give(const char *path, const char *const *datasets, const char *const *texts, const char *const *numbers,
                fuzz_sink *sink, void *arg);

#endif
