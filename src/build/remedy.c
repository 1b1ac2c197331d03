/* What would fit where a build does not: each remedy is tried by the formulas before it is told. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"
#include "base/numbers.h"
#include "base/text.h"
#include "build/needs.h"
#include "build/sample.h"

enum {
    MOST_RANKS = 65536,
    MEBIBYTE = 1 << 20,
    LEAST_FRAGMENT = 4096, /* rows: the records of many small fragments take more than they save */
    SPARE = 2 * MEBIBYTE,  /* that a remedy leaves free: what a process holds to begin with differs from run to run */
};

/* A build that is tried. */
typedef struct {
    ivf_plan plan;
    ivf_build_config config;
    ivf_needs_input in;
} trial;

static void trial_start(trial *t, const ivf_needs_input *in)
{
    t->plan = *in->plan;
    t->config = *in->config;
    t->in = *in;
    t->in.plan = &t->plan;
    t->in.config = &t->config;
}

static bool fits(const trial *t)
{
    ivf_needs needs;
    ivf_needs_find(&t->in, &needs);
    return ivf_needs_most(&needs) <= t->config.memory - SPARE;
}

/* Whether the phases up to training, or those from there on, fit. */
static bool part_fits(const trial *t, bool training)
{
    ivf_needs needs;
    bool all = true;
    ivf_needs_find(&t->in, &needs);
    for (int phase = 0; phase < IVF_PREDICT_PHASES; phase++)
        if ((phase <= IVF_PREDICT_TRAIN) == training)
            all = all && needs.phases[phase].bytes <= t->config.memory - SPARE;
    return all;
}

static void set_fragment_rows(trial *t, int64_t rows)
{
    t->plan.fragment_rows = rows;
    t->plan.fragments = ivf_ceil_div(t->plan.rows, rows);
}

/* The largest sample that fits, in thousands of rows if there are so many; 0: none does. */
static int64_t find_sample(trial *t)
{
    const int64_t wanted = t->plan.sample_rows;
    int64_t fitting = t->plan.factory.nlist;
    int64_t beyond = wanted;
    if (wanted < fitting)
        return 0;
    t->plan.sample_rows = fitting;
    if (!part_fits(t, true)) {
        t->plan.sample_rows = wanted;
        return 0;
    }
    while (beyond - fitting > 1) {
        t->plan.sample_rows = fitting + (beyond - fitting) / 2;
        if (part_fits(t, true))
            fitting = t->plan.sample_rows;
        else
            beyond = t->plan.sample_rows;
    }
    int64_t round = fitting / 1000 * 1000;
    t->plan.sample_rows = round >= t->plan.factory.nlist ? round : fitting;
    return t->plan.sample_rows;
}

/* The largest fragments that fit; 0: none do. */
static int64_t find_fragment_rows(trial *t)
{
    const int64_t wanted = t->plan.fragment_rows;
    int64_t beyond = ivf_min_i64(wanted, t->plan.rows);
    int64_t fitting = ivf_max_i64(ivf_ceil_div(t->plan.rows, IVF_PLAN_MOST_FRAGMENTS), LEAST_FRAGMENT);
    fitting = ivf_min_i64(fitting, beyond);
    set_fragment_rows(t, fitting);
    if (!part_fits(t, false)) {
        set_fragment_rows(t, wanted);
        return 0;
    }
    while (beyond - fitting > 1) {
        int64_t middle = fitting + (beyond - fitting) / 2;
        set_fragment_rows(t, middle);
        if (part_fits(t, false))
            fitting = middle;
        else
            beyond = middle;
    }
    set_fragment_rows(t, fitting);
    return fitting;
}

static void add(ivf_text *text, const char *remedy)
{
    ivf_text_add(text, "%s%s", text->length > 0 ? ", or " : "", remedy);
}

/* Smaller parts of the work, both if need be. */
static void try_options(const ivf_needs_input *in, ivf_text *text)
{
    trial t;
    char remedy[128];
    int64_t sample = 0;
    int64_t rows = 0;
    trial_start(&t, in);
    if (!part_fits(&t, true) && (sample = find_sample(&t)) == 0)
        return;
    if (!part_fits(&t, false) && (rows = find_fragment_rows(&t)) == 0)
        return;
    if (!fits(&t))
        return;
    if (sample > 0 && rows > 0)
        (void)snprintf(remedy, sizeof remedy, "--sample %" PRId64 " with --fragment-rows %" PRId64, sample, rows);
    else
        (void)snprintf(remedy, sizeof remedy, "--%s %" PRId64, sample > 0 ? "sample" : "fragment-rows",
                       sample > 0 ? sample : rows);
    add(text, remedy);
}

/* The sample on all ranks. */
static void try_sharing(const ivf_needs_input *in, ivf_text *text)
{
    trial t;
    trial_start(&t, in);
    t.config.train_on = IVF_TRAIN_ON_ALL;
    if (in->ranks > 1 && !ivf_sample_is_shared(in->config, in->plan) && fits(&t))
        add(text, "--train-on all");
}

/* The smallest number of ranks that fits, as many to a node as now. */
static void try_ranks(const ivf_needs_input *in, ivf_text *text)
{
    trial t;
    char remedy[128];
    int beyond = in->ranks;
    trial_start(&t, in);
    do
        t.in.ranks *= 2;
    while (t.in.ranks < MOST_RANKS && !fits(&t));
    int fitting = t.in.ranks;
    if (fitting > MOST_RANKS || !fits(&t))
        return;
    while (fitting - beyond > 1) {
        t.in.ranks = beyond + (fitting - beyond) / 2;
        if (fits(&t))
            fitting = t.in.ranks;
        else
            beyond = t.in.ranks;
    }
    (void)snprintf(remedy, sizeof remedy, "%d ranks", fitting);
    add(text, remedy);
}

/* Input that HDF5 need not take much for. */
static void try_chunks(const ivf_needs_input *in, ivf_text *text)
{
    trial t;
    trial_start(&t, in);
    t.in.caches.usual = t.in.caches.least = in->caches.own;
    if (in->caches.least > in->caches.own && fits(&t))
        add(text, "the input in smaller chunks (h5repack) or another format (mpivf convert)");
}

/* What needs least when it may not have all that is usual. */
static void try_memory(const ivf_needs *needs, ivf_text *text)
{
    char remedy[64];
    (void)snprintf(remedy, sizeof remedy, "--memory %" PRId64 "M",
                   ivf_ceil_div(ivf_needs_most(needs) + SPARE, MEBIBYTE));
    add(text, remedy);
}

int ivf_needs_check(const ivf_needs_input *in, const ivf_needs *needs)
{
    const int64_t limit = in->config->memory;
    char bytes[24];
    char allowed[24];
    int phase = 0;
    while (phase < IVF_PREDICT_PHASES && (limit == 0 || needs->phases[phase].bytes <= limit))
        phase++;
    if (phase == IVF_PREDICT_PHASES)
        return MPIVF_OK;
    ivf_text remedies = {0};
    try_options(in, &remedies);
    try_sharing(in, &remedies);
    try_ranks(in, &remedies);
    try_chunks(in, &remedies);
    try_memory(needs, &remedies);
    int rc = ivf_fail(MPIVF_USAGE, "%s (%s) needs %s of a rank, --memory allows %s; what fits: %s",
                      ivf_predict_phase_name((ivf_predict_phase)phase), needs->phases[phase].step,
                      ivf_text_bytes((double)needs->phases[phase].bytes, bytes), ivf_text_bytes((double)limit, allowed),
                      remedies.failed ? "more memory" : remedies.text);
    ivf_text_free(&remedies);
    return rc;
}
