/* build/generate.c: the rows have the shape that the model promises. (That they do not depend on the number of ranks is
 * checked by tests/cli/test_generate.sh.) */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "build/generate.h"
#include "io/dataset.h"
#include "mpi_suite.h"
#include "temp.h"

enum { D = 24, ROWS = 3000 };

static char folder[TEST_PATH_BYTES];
static char path[TEST_PATH_BYTES + 32];

static void setup(void)
{
    test_shared_temp_make(folder);
}

static void teardown(void)
{
    test_shared_temp_remove(folder);
}

/* Generates into `path` and reads all back into x[rows][D], on every rank. */
static int generate(const ivf_generate_config *config, float *x)
{
    const char *inputs[] = {config->output};
    const ivf_dataset_spec spec = {.inputs = inputs, .count = 1};
    ivf_dataset *dataset = NULL;
    int rc = ivf_generate(test_ctx, config);
    if (rc == MPIVF_OK)
        rc = ivf_dataset_open(test_ctx, &spec, &dataset);
    if (rc == MPIVF_OK)
        rc = ivf_agree(test_ctx, ivf_dataset_read(dataset, 0, config->rows, x));
    ivf_dataset_close(dataset);
    return rc;
}

static ivf_generate_config usual(void)
{
    (void)snprintf(path, sizeof path, "%s/rows.fbin", folder);
    return (ivf_generate_config){
        .output = path, .rows = ROWS, .d = D, .clusters = 1, .intrinsic = 2, .noise = 0, .seed = 11};
}

/* Share of x's variance that is left after its two largest principal directions, found by power iteration. */
static double rest_beyond_two_directions(float *x, double *total)
{
    double mean[D] = {0};
    for (int i = 0; i < ROWS * D; i++)
        mean[i % D] += (double)x[i] / ROWS;
    *total = 0;
    for (int i = 0; i < ROWS * D; i++) {
        x[i] -= (float)mean[i % D];
        *total += (double)x[i] * (double)x[i];
    }
    for (int direction = 0; direction < 2; direction++) {
        double v[D];
        for (int j = 0; j < D; j++)
            v[j] = 1 + j % 3;
        for (int step = 0; step < 40; step++) {
            double next[D] = {0};
            double norm = 0;
            for (int i = 0; i < ROWS; i++) {
                double dot = 0;
                for (int j = 0; j < D; j++)
                    dot += (double)x[i * D + j] * v[j];
                for (int j = 0; j < D; j++)
                    next[j] += dot * (double)x[i * D + j];
            }
            for (int j = 0; j < D; j++)
                norm += next[j] * next[j];
            for (int j = 0; j < D; j++)
                v[j] = next[j] / sqrt(norm);
        }
        for (int i = 0; i < ROWS; i++) {
            double dot = 0;
            for (int j = 0; j < D; j++)
                dot += (double)x[i * D + j] * v[j];
            for (int j = 0; j < D; j++)
                x[i * D + j] -= (float)(dot * v[j]);
        }
    }
    double rest = 0;
    for (int i = 0; i < ROWS * D; i++)
        rest += (double)x[i] * (double)x[i];
    return rest / *total;
}

START_TEST(a_cluster_spreads_in_its_directions_and_noise)
{
    static float x[ROWS * D];
    double total = 0;
    ivf_generate_config config = usual();
    test_all(generate(&config, x) == MPIVF_OK);
    test_all(rest_beyond_two_directions(x, &total) < 1e-9);
    config.noise = 0.3;
    test_all(generate(&config, x) == MPIVF_OK);
    double rest = rest_beyond_two_directions(x, &total);
    /* Of the isotropic 30 %, the two directions take their share; the random lengths of the directions blur it. */
    test_all(rest > 0.15 && rest < 0.45);
    /* The spread s is within 0.5..1.5. */
    test_all(total / ROWS / D > 0.1 && total / ROWS / D < 4);
}
END_TEST

static int is_same_row(const float *a, const float *b)
{
    int same = 1;
    for (int j = 0; j < D; j++)
        same = same && a[j] == b[j];
    return same;
}

START_TEST(clusters_have_the_sizes_of_the_power_law)
{
    static float x[ROWS * D];
    ivf_generate_config config = usual();
    config.clusters = 4;
    config.intrinsic = 1;
    config.noise = 0;
    test_all(generate(&config, x) == MPIVF_OK);
    config.clusters = 1;
    static float one[ROWS * D];
    test_all(generate(&config, one) == MPIVF_OK);
    /* A row of cluster 0 is the same row whether there are other clusters or not. */
    int same = 0;
    for (size_t i = 0; i < ROWS; i++)
        same += is_same_row(x + i * D, one + i * D);
    double expected = 1 / (1 + 1 / sqrt(2) + 1 / sqrt(3) + 1 / sqrt(4));
    test_all(fabs((double)same / ROWS - expected) < 5 * sqrt(expected / ROWS));
}
END_TEST

START_TEST(bytes_are_whole_and_in_range)
{
    static float x[ROWS * D];
    ivf_generate_config config = usual();
    config.clusters = 50;
    config.as_bytes = true;
    test_all(generate(&config, x) == MPIVF_OK);
    bool good = true;
    double sum = 0;
    for (int i = 0; i < ROWS * D; i++) {
        good = good && x[i] >= 0 && x[i] <= 255 && x[i] == rintf(x[i]);
        sum += (double)x[i];
    }
    test_all(good);
    test_all(fabs(sum / ROWS / D - 128) < 10);
}
END_TEST

START_TEST(impossible_shapes_are_refused)
{
    ivf_generate_config config = usual();
    config.intrinsic = D + 1;
    test_all(ivf_generate(test_ctx, &config) == MPIVF_USAGE);
    config = usual();
    config.output = "x.u8bin";
    test_all(ivf_generate(test_ctx, &config) == MPIVF_USAGE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("generate");
    TCase *tests = tcase_create("generate");
    tcase_add_unchecked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_cluster_spreads_in_its_directions_and_noise);
    tcase_add_test(tests, clusters_have_the_sizes_of_the_power_law);
    tcase_add_test(tests, bytes_are_whole_and_in_range);
    tcase_add_test(tests, impossible_shapes_are_refused);
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
