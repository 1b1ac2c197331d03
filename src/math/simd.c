/* The choice of the SIMD level. Looked up by every kernel call, so it is one atomic load once made. */
#include "math/simd.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/log.h"

enum { UNSET = -1 };

static const char *const names[IVF_SIMD_COUNT] = {
    [IVF_SIMD_REFERENCE] = "reference", [IVF_SIMD_BLAS] = "blas", [IVF_SIMD_AVX2] = "avx2",
    [IVF_SIMD_AVX512] = "avx512",       [IVF_SIMD_VNNI] = "vnni",
};

static atomic_int chosen = UNSET;
static pthread_once_t choose_once = PTHREAD_ONCE_INIT;

const char *ivf_simd_name(ivf_simd level)
{
    return names[level];
}

#if defined(__x86_64__)
static bool has_f16c(void)
{
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static bool has_vnni(void)
{
    return has_avx512() && __builtin_cpu_supports("avx512vnni");
}
#else
static bool has_avx2(void)
{
    return false;
}

static bool has_avx512(void)
{
    return false;
}

static bool has_vnni(void)
{
    return false;
}
#endif

bool ivf_simd_available(ivf_simd level)
{
    switch (level) {
    case IVF_SIMD_REFERENCE:
    case IVF_SIMD_BLAS:
        return true;
    case IVF_SIMD_AVX2:
        return has_avx2();
    case IVF_SIMD_AVX512:
        return has_avx512();
    case IVF_SIMD_VNNI:
        return has_vnni();
    case IVF_SIMD_COUNT:
    default:
        return false;
    }
}

static ivf_simd best_level(void)
{
    int level = IVF_SIMD_COUNT - 1;
    while (!ivf_simd_available((ivf_simd)level))
        level--;
    return (ivf_simd)level;
}

static ivf_simd level_of_environment(void)
{
    ivf_simd best = best_level();
    const char *wanted = getenv("MPIVF_SIMD");
    if (wanted == NULL || wanted[0] == '\0')
        return best;
    for (int level = 0; level < IVF_SIMD_COUNT; level++) {
        if (strcmp(wanted, names[level]) != 0)
            continue;
        if (ivf_simd_available((ivf_simd)level))
            return (ivf_simd)level;
        ivf_warn("this CPU cannot run MPIVF_SIMD=%s; using %s", wanted, names[best]);
        return best;
    }
    ivf_warn("MPIVF_SIMD=%s is not known (reference, blas, avx2, avx512, vnni); using %s", wanted, names[best]);
    return best;
}

static void choose(void)
{
    atomic_store(&chosen, (int)level_of_environment());
}

ivf_simd ivf_simd_level(void)
{
    int level = atomic_load_explicit(&chosen, memory_order_acquire);
    if (level == UNSET) {
        (void)pthread_once(&choose_once, choose);
        level = atomic_load(&chosen);
    }
    return (ivf_simd)level;
}

void ivf_simd_choose(ivf_simd level)
{
    if (ivf_simd_available(level))
        atomic_store(&chosen, (int)level);
}
