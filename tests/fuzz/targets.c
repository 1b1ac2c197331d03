#include "targets.h"

const fuzz_target *const fuzz_targets[] = {
    &fuzz_npy,         &fuzz_raw,
    &fuzz_h5,          &fuzz_ids,
    &fuzz_ids_h5,      &fuzz_truth_bin,
    &fuzz_truth_ivecs, &fuzz_truth_h5,
    &fuzz_fragment,    &fuzz_fragment_items,
    &fuzz_model,       &fuzz_model_items,
    &fuzz_manifest,    &fuzz_manifest_sealed,
    &fuzz_building,    &fuzz_building_sealed,
    &fuzz_done,        &fuzz_checkpoint,
    &fuzz_config,      &fuzz_factory,
    &fuzz_faiss,       &fuzz_floats,
};

const int fuzz_target_count = sizeof fuzz_targets / sizeof fuzz_targets[0];
