/* All targets, by the file that they stand in. */
#ifndef TEST_FUZZ_TARGETS_H
#define TEST_FUZZ_TARGETS_H

#include "fuzz.h"

/* sources.c */
extern const fuzz_target fuzz_npy, fuzz_raw, fuzz_h5, fuzz_ids, fuzz_ids_h5, fuzz_truth_bin, fuzz_truth_ivecs,
    fuzz_truth_h5;

/* index.c */
extern const fuzz_target fuzz_fragment, fuzz_fragment_items, fuzz_model, fuzz_model_items, fuzz_manifest,
    fuzz_manifest_sealed;

/* building.c */
extern const fuzz_target fuzz_building, fuzz_building_sealed, fuzz_done, fuzz_checkpoint;

/* interop.c */
extern const fuzz_target fuzz_faiss, fuzz_floats;

/* texts.c */
extern const fuzz_target fuzz_config, fuzz_factory;

#endif
