/* Matrix products through CBLAS. OpenBLAS is told to use one thread: ranks and team tasks already use every core, and
 * its results may depend on its number of threads. */
#include "math/gemm.h"

#include <cblas.h>
#include <pthread.h>

#include "base/numbers.h"

static pthread_once_t single_thread_once = PTHREAD_ONCE_INIT;

static void use_single_thread(void)
{
    openblas_set_num_threads(1);
}

void ivf_gemm_settle(void)
{
    (void)pthread_once(&single_thread_once, use_single_thread);
}

void ivf_gemm_nt(int64_t m, int64_t n, int64_t d, const float *a, const float *b, float *c, int64_t ldc)
{
    ivf_gemm_settle();
    blasint width = ivf_to_int(d);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, ivf_to_int(m), ivf_to_int(n), width, 1.0F, a, width, b, width,
                0.0F, c, ivf_to_int(ldc));
}

void ivf_gemm_tn(int64_t m, int64_t n, int64_t k, const float *a, const float *b, float *c)
{
    ivf_gemm_settle();
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, ivf_to_int(m), ivf_to_int(n), ivf_to_int(k), 1.0F, a,
                ivf_to_int(m), b, ivf_to_int(n), 0.0F, c, ivf_to_int(n));
}
