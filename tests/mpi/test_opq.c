/* Training of rotations: what they must be, that they serve, and the same bits for any number of holders and threads.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "base/team.h"
#include "codec/codec.h"
#include "codec/opq.h"
#include "math/panels.h"
#include "mpi_suite.h"

enum { D = 24, M = 6 };

/* Rows that vary along few directions, which no dimension is parallel to: row `place` of all. */
static void fill_row(float *x, int64_t place, int d)
{
    float hidden[6];
    for (int k = 0; k < 6; k++)
        hidden[k] = (float)ivf_rng_normal(3, IVF_RNG_TEST, (uint64_t)(place * 6 + k)) * (float)(6 - k);
    for (int j = 0; j < d; j++) {
        x[j] = 0.3F * (float)ivf_rng_normal(4, IVF_RNG_TEST, (uint64_t)(place * d + j)) + 1;
        for (int k = 0; k < 6; k++)
            x[j] += hidden[k] * (float)ivf_rng_normal(5, IVF_RNG_TEST, (uint64_t)(k * d + j));
    }
}

static float *rows_of(const ivf_share *share, int d)
{
    int64_t n = ivf_share_count(share);
    float *x = ivf_new(ivf_to_size(n) * (size_t)d, sizeof *x);
    for (int64_t row = 0; row < n; row++)
        fill_row(x + row * d, ivf_share_place(share, row), d);
    return x;
}

static double product(const float *a, ptrdiff_t step_a, const float *b, ptrdiff_t step_b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)a[i * step_a] * (double)b[i * step_b];
    return sum;
}

/* Orthonormal rows, or columns when those are fewer. */
static bool orthonormal(const float *rotation, int d_out, int d)
{
    const bool by_rows = d_out <= d;
    const int vectors = by_rows ? d_out : d;
    const ptrdiff_t next = by_rows ? d : 1;
    const ptrdiff_t step = by_rows ? 1 : d;
    bool holds = true;
    for (int i = 0; i < vectors; i++)
        for (int j = 0; j <= i; j++)
            holds = holds && fabs(product(rotation + i * next, step, rotation + j * next, step, by_rows ? d : d_out) -
                                  (i == j)) < 1e-5;
    return holds;
}

/* Mean squared error of PQ codes of the rows, rotated or as they are, of which the rotation lost `lost`. */
static double error_of(const float *x, int64_t n, int d, const float *rotation, int d_out)
{
    const ivf_codec_spec spec = {.kind = IVF_CODEC_PQ, .m = M, .bits = 8};
    const ivf_codec_training training = {.seed = 1, .iterations = 15};
    float *z = ivf_new(ivf_to_size(n) * (size_t)d_out, sizeof *z);
    float *y = ivf_new(ivf_to_size(n) * (size_t)d_out, sizeof *y);
    uint8_t *codes = ivf_new(ivf_to_size(n), M);
    ivf_codec *codec = NULL;
    double error = 0;
    memcpy(z, x, rotation == NULL ? ivf_to_size(n) * (size_t)d * sizeof *z : 0);
    if (rotation != NULL) {
        ivf_panels *panels = ivf_panels_new(rotation, d_out, d, IVF_IP);
        ivf_panels_scores(panels, x, n, z);
        ivf_panels_free(panels);
    }
    if (ivf_codec_new(&spec, d_out, &codec) == MPIVF_OK && ivf_codec_train_local(codec, z, n, &training) == MPIVF_OK) {
        void *scratch = ivf_new(ivf_codec_encode_scratch(codec, n), 1);
        ivf_codec_encode(codec, z, n, codes, scratch);
        ivf_codec_decode(codec, codes, n, y);
        ivf_free(scratch);
        error = product(x, 1, x, 1, ivf_to_int(n) * d) - product(z, 1, z, 1, ivf_to_int(n) * d_out);
        for (int64_t i = 0; i < n * d_out; i++)
            error += pow((double)z[i] - (double)y[i], 2);
    }
    ivf_codec_free(codec);
    ivf_free(codes);
    ivf_free(y);
    ivf_free(z);
    return error / (double)n;
}

static const struct {
    int d, d_out;
    int64_t n;
    int iterations;
    bool exact;
} cases[] = {
    {D, D, 5000, 4, false}, {D, 12, 3000, 3, false}, {D, 30, 2000, 3, true},
    {D, D, 900, 3, false},  {D, D, 17000, 4, false}, {D, D, 2500, 0, false},
};

START_TEST(any_holders_train_the_same_rotation)
{
    const int d = cases[_i].d;
    const ivf_opq_params params = {.m = M,
                                   .d = d,
                                   .d_out = cases[_i].d_out,
                                   .iterations = cases[_i].iterations,
                                   .seed = 9,
                                   .exact = cases[_i].exact};
    const size_t values = (size_t)d * (size_t)cases[_i].d_out;
    float *first = ivf_new(2 * values, sizeof *first);
    float *rotation = first + values;
    for (int size = 1; size <= ivf_ctx_size(test_ctx); size++) {
        const int me = ivf_ctx_rank(test_ctx);
        const ivf_share share = {.total = cases[_i].n, .rank = me < size ? me : -1, .size = size};
        float *mine = rows_of(&share, d);
        ivf_opq_report report;
        ivf_team_resize(size == 1 ? 1 : 3);
        test_all(ivf_opq_train(test_ctx, &params, mine, &share, rotation, &report) == MPIVF_OK);
        test_all(report.iterations <= params.iterations);
        if (size == 1)
            memcpy(first, rotation, values * sizeof *first);
        test_all(memcmp(first, rotation, values * sizeof *first) == 0);
        ivf_free(mine);
    }
    ivf_team_resize(0);
    test_all(orthonormal(rotation, params.d_out, d));
    ivf_free(first);
}
END_TEST

/* On rows of few hidden directions a rotation must gain much, and iterations must not lose what the start gained. */
START_TEST(rotations_serve_the_codes)
{
    const ivf_share all = {.total = 6000, .rank = ivf_ctx_is_root(test_ctx) ? 0 : -1, .size = 1};
    const ivf_share whole = {.total = 6000, .rank = 0, .size = 1};
    float *x = rows_of(&whole, D);
    float rotation[D * D];
    ivf_opq_report report;
    ivf_opq_params params = {.m = M, .d = D, .d_out = D, .iterations = 0, .seed = 1};
    const double plain = error_of(x, all.total, D, NULL, D);
    test_all(ivf_opq_train(test_ctx, &params, x, &all, rotation, &report) == MPIVF_OK);
    const double start = error_of(x, all.total, D, rotation, D);
    params.iterations = 10;
    test_all(ivf_opq_train(test_ctx, &params, x, &all, rotation, &report) == MPIVF_OK);
    const double end = error_of(x, all.total, D, rotation, D);
    test_all(start < 0.6 * plain);
    test_all(end < 1.02 * start);
    test_all(report.error < report.start * 1.0001 && report.error > 0);
    params.d_out = 6;
    test_all(ivf_opq_train(test_ctx, &params, x, &all, rotation, &report) == MPIVF_OK);
    test_all(orthonormal(rotation, 6, D));
    test_all(error_of(x, all.total, D, rotation, 6) < plain);
    ivf_free(x);
}
END_TEST

/* Rows whose dimensions belong together as they are: the rotation must not do worse than none. */
START_TEST(rows_as_they_are_are_a_start_too)
{
    enum { N = 5000 };
    const ivf_share share = {.total = N, .rank = ivf_ctx_is_root(test_ctx) ? 0 : -1, .size = 1};
    float *x = ivf_new((size_t)N * D, sizeof *x);
    float rotation[D * D];
    ivf_opq_report report;
    const ivf_opq_params params = {.m = M, .d = D, .d_out = D, .iterations = 3, .seed = 1};
    for (int64_t i = 0; i < (int64_t)N * D; i++) {
        uint64_t group = ivf_rng_below(6, IVF_RNG_TEST, (uint64_t)(i / (D / M)), 200);
        x[i] = (float)ivf_rng_normal(7, IVF_RNG_TEST, group * 64 + (uint64_t)(i % D)) +
               0.01F * (float)ivf_rng_normal(8, IVF_RNG_TEST, (uint64_t)i);
    }
    test_all(ivf_opq_train(test_ctx, &params, x, &share, rotation, &report) == MPIVF_OK);
    test_all(error_of(x, N, D, rotation, D) < 1.05 * error_of(x, N, D, NULL, D) + 1e-3);
    ivf_free(x);
}
END_TEST

START_TEST(rows_without_extent_are_served)
{
    enum { N = 3000 };
    const ivf_share share = {.total = N, .rank = ivf_ctx_is_root(test_ctx) ? 0 : -1, .size = 1};
    float *x = ivf_new_zero((size_t)N * D, sizeof *x);
    float rotation[D * D];
    ivf_opq_report report;
    const ivf_opq_params params = {.m = M, .d = D, .d_out = D, .iterations = 3, .seed = 1};
    test_all(ivf_opq_train(test_ctx, &params, x, &share, rotation, &report) == MPIVF_OK);
    test_all(orthonormal(rotation, D, D));
    for (int64_t i = 0; i < (int64_t)N * D; i++)
        x[i] = i % D == 3 ? 5 : 0;
    test_all(ivf_opq_train(test_ctx, &params, x, &share, rotation, &report) == MPIVF_OK);
    test_all(orthonormal(rotation, D, D));
    ivf_free(x);
}
END_TEST

START_TEST(what_cannot_be_rotated_is_refused)
{
    const ivf_share none = {.total = 0, .rank = -1, .size = 1};
    const ivf_share share = {.total = 2, .rank = ivf_ctx_is_root(test_ctx) ? 0 : -1, .size = 1};
    float x[2 * D] = {0};
    float rotation[D * D];
    ivf_opq_report report;
    ivf_opq_params params = {.m = M, .d = D, .d_out = D, .iterations = 3, .seed = 1};
    test_all(ivf_opq_train(test_ctx, &params, x, &none, rotation, &report) == MPIVF_BAD_INPUT);
    params.d_out = M + 1;
    test_all(ivf_opq_train(test_ctx, &params, x, &share, rotation, &report) == MPIVF_BAD_INPUT);
    test_all(strstr(ivf_error_last()->text, "multiple of 6") != NULL);
    params.d_out = 1 << 20;
    params.m = 2;
    test_all(ivf_opq_train(test_ctx, &params, x, &share, rotation, &report) == MPIVF_BAD_INPUT);
    params.m = M;
    params.d_out = D;
    params.iterations = -1;
    test_all(ivf_opq_train(test_ctx, &params, x, &share, rotation, &report) == MPIVF_USAGE);
    params.iterations = 1;
    x[3] = 1e18F;
    test_all(ivf_opq_train(test_ctx, &params, x, &share, rotation, &report) == MPIVF_BAD_INPUT);
    test_all(strstr(ivf_error_last()->text, "norm") != NULL);
    x[3] = 1e16F;
    test_all(ivf_opq_train(test_ctx, &params, x, &share, rotation, &report) == MPIVF_OK);
    test_all(orthonormal(rotation, D, D));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("opq");
    TCase *tests = tcase_create("opq");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, any_holders_train_the_same_rotation, 0, (int)(sizeof cases / sizeof cases[0]));
    tcase_add_test(tests, rotations_serve_the_codes);
    tcase_add_test(tests, rows_as_they_are_are_a_start_too);
    tcase_add_test(tests, rows_without_extent_are_served);
    tcase_add_test(tests, what_cannot_be_rotated_is_refused);
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
