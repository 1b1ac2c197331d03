/* A target as libFuzzer drives it: fuzz_TARGET. */
#include <stdlib.h>

#include "fuzz.h"

#ifndef FUZZ_TARGET
#error "FUZZ_TARGET names the target"
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const fuzz_target *target;
    if (target == NULL)
        target = fuzz_find(FUZZ_TARGET);
    if (target == NULL)
        abort();
    fuzz_run(target, data, bytes);
    return 0;
}
