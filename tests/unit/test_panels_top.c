/* The choice of the p best, against a full sort of the scores. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/rng.h"
#include "math/panels.h"

enum { CHOICES = 5000 };

/* Scores of every kind; with vectors of one value and a row of 1 the scores are the values. */
static void make_choices(int kind, float *c)
{
    for (int i = 0; i < CHOICES; i++) {
        uint64_t bits = ivf_rng_bits(5, IVF_RNG_TEST, (uint64_t)i);
        float value = (float)(int64_t)bits;
        if (kind == 1)
            value = (float)i;
        else if (kind == 2)
            value = (float)-i;
        else if (kind == 3)
            value = (float)(bits % 5);
        else if (kind == 4)
            value = bits % 2 == 0 ? 0.0F : -0.0F;
        else if (kind == 5 && bits % 3 == 0)
            value = bits % 2 == 0 ? -INFINITY : NAN;
        else if (kind == 6)
            value = bits % 100 == 0 ? INFINITY : -INFINITY;
        c[i] = value;
    }
}

/* NaN counts as the lowest score. */
static float plain(float value)
{
    return isnan(value) ? -INFINITY : value;
}

static const float *choices;

static int compare_choices(const void *a, const void *b)
{
    int32_t i = *(const int32_t *)a;
    int32_t j = *(const int32_t *)b;
    float x = plain(choices[i]);
    float y = plain(choices[j]);
    return x != y ? (x < y) - (x > y) : (i > j) - (i < j);
}

START_TEST(the_best_are_chosen_from_any_scores)
{
    static const int ps[] = {1, 2, 16, 17, 100, 1000, CHOICES};
    static float c[CHOICES];
    static int32_t expected[CHOICES];
    static int32_t best[CHOICES];
    static float score[CHOICES];
    const float x = 1;
    make_choices(_i, c);
    choices = c;
    for (int32_t i = 0; i < CHOICES; i++)
        expected[i] = i;
    qsort(expected, CHOICES, sizeof *expected, compare_choices);
    ivf_panels *panels = ivf_panels_new(c, CHOICES, 1, IVF_IP);
    void *scratch = ivf_new(1, ivf_panels_top_scratch(panels));
    for (size_t i = 0; i < sizeof ps / sizeof ps[0]; i++) {
        ivf_panels_top(panels, &x, 1, ps[i], best, score, scratch);
        ck_assert_mem_eq(best, expected, (size_t)ps[i] * sizeof *best);
    }
    ivf_free(scratch);
    ivf_panels_free(panels);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("panels_top");
    TCase *tests = tcase_create("panels_top");
    tcase_add_loop_test(tests, the_best_are_chosen_from_any_scores, 0, 7);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
