#include "comm/account.h"

#include <mpi.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/pulse.h"
#include "base/text.h"
#include "comm/transfer.h"

static int64_t relief;       /* that holds now */
static int64_t earlier_peak; /* of the phase, before it last changed */

static int64_t own_peak(void)
{
    int64_t peak = ivf_memory_resident_peak() - relief;
    return peak > earlier_peak ? peak : earlier_peak;
}

void ivf_account_relieve(int64_t bytes)
{
    if (bytes == 0) /* of ranks alone; threads with contexts of their own meet here */
        return;
    earlier_peak = own_peak();
    ivf_memory_reset_resident_peak();
    relief += bytes;
}

/* Where MPI does not run there is no profiler of it. */
static void announce(int level, const char *name)
{
    int started = 0;
    int ended = 0;
    MPI_Initialized(&started);
    MPI_Finalized(&ended);
    if (started && !ended)
        MPI_Pcontrol(level, name);
}

void ivf_account_begin(ivf_account *account, const char *name)
{
    if (account->count == IVF_ACCOUNT_PHASES)
        return;
    account->phases[account->count] = (ivf_phase){.name = name};
    account->started = ivf_clock();
    ivf_memory_trim();
    ivf_memory_reset_resident_peak();
    earlier_peak = 0;
    ivf_pulse_enter(name);
    announce(1, name);
}

void ivf_account_end(ivf_account *account, int64_t bytes)
{
    if (account->count == IVF_ACCOUNT_PHASES)
        return;
    ivf_phase *phase = &account->phases[account->count++];
    phase->seconds = ivf_clock() - account->started;
    phase->bytes = bytes;
    phase->memory = own_peak();
    announce(-1, phase->name);
}

void ivf_account_part(ivf_account *account, ivf_part part, double seconds)
{
    if (account->count == IVF_ACCOUNT_PHASES)
        return;
    ivf_phase *phase = &account->phases[account->count];
    phase->has_parts = true;
    phase->parts[part] += seconds;
}

const char *ivf_part_name(ivf_part part)
{
    static const char *const names[IVF_PARTS] = {
        "computing", "reading", "writing", "waiting_for_input", "waiting_for_output", "waiting_for_ranks"};
    return names[part];
}

static ivf_spread spread(const double *values, int n, int stride)
{
    ivf_spread s = {.min = values[0], .max = values[0]};
    double sum = 0;
    for (int i = 0; i < n; i++) {
        double value = values[(size_t)i * (size_t)stride];
        s.min = value < s.min ? value : s.min;
        s.max = value > s.max ? value : s.max;
        sum += value;
    }
    s.mean = sum / n;
    return s;
}

/* Seconds, bytes, memory, and the parts. */
enum { FIELDS = 3 + IVF_PARTS };

static void fill_summary(ivf_phase_summary *summary, const ivf_phase *phase, const double *values, int ranks,
                         int stride)
{
    *summary = (ivf_phase_summary){.name = phase->name,
                                   .seconds = spread(values, ranks, stride),
                                   .bytes = spread(values + 1, ranks, stride),
                                   .memory = spread(values + 2, ranks, stride),
                                   .has_parts = phase->has_parts};
    for (int part = 0; part < IVF_PARTS; part++)
        summary->parts[part] = spread(values + 3 + part, ranks, stride);
}

int ivf_account_sum(const ivf_ctx *ctx, const ivf_account *account, ivf_phase_summary *summaries)
{
    double mine[IVF_ACCOUNT_PHASES * FIELDS];
    int per_rank = account->count * FIELDS;
    double *all = ivf_new_zero((size_t)ivf_ctx_size(ctx) * IVF_ACCOUNT_PHASES * FIELDS, sizeof *all);
    int rc = ivf_agree(ctx, all == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc != MPIVF_OK) {
        ivf_free(all);
        return rc;
    }
    for (size_t p = 0; p < (size_t)account->count; p++) {
        mine[p * FIELDS] = account->phases[p].seconds;
        mine[p * FIELDS + 1] = (double)account->phases[p].bytes;
        mine[p * FIELDS + 2] = (double)account->phases[p].memory;
        memcpy(mine + p * FIELDS + 3, account->phases[p].parts, sizeof account->phases[p].parts);
    }
    ivf_gather_f64(ctx, mine, per_rank, all);
    for (size_t p = 0; ivf_ctx_is_root(ctx) && p < (size_t)account->count; p++)
        fill_summary(&summaries[p], &account->phases[p], all + p * FIELDS, ivf_ctx_size(ctx), per_rank);
    ivf_free(all);
    return MPIVF_OK;
}

static void print_spread(ivf_text *line, const ivf_spread *s)
{
    char text[24];
    ivf_text_add(line, " %11s", ivf_text_bytes(s->min, text));
    ivf_text_add(line, " %11s", ivf_text_bytes(s->mean, text));
    ivf_text_add(line, " %11s", ivf_text_bytes(s->max, text));
}

/* Means over the ranks. */
static void print_parts(const ivf_phase_summary *s)
{
    const ivf_spread *p = s->parts;
    ivf_info(
        "%s: %.2f s of computing beside %.2f s of reading and %.2f s of writing; waited %.2f s for input, %.2f s for "
        "output, %.2f s for other ranks (means)",
        s->name, p[IVF_PART_COMPUTING].mean, p[IVF_PART_READING].mean, p[IVF_PART_WRITING].mean,
        p[IVF_PART_WAITING_INPUT].mean, p[IVF_PART_WAITING_OUTPUT].mean, p[IVF_PART_WAITING_RANKS].mean);
}

void ivf_account_print(const ivf_phase_summary *summaries, int count)
{
    ivf_info("%-10s %26s %35s %35s", "phase", "seconds min/mean/max", "bytes min/mean/max", "peak memory min/mean/max");
    for (int p = 0; p < count; p++) {
        const ivf_phase_summary *s = &summaries[p];
        ivf_text line = {0};
        ivf_text_add(&line, "%-10s %8.2f %8.2f %8.2f", s->name, s->seconds.min, s->seconds.mean, s->seconds.max);
        print_spread(&line, &s->bytes);
        print_spread(&line, &s->memory);
        if (!line.failed)
            ivf_info("%s", line.text);
        ivf_text_free(&line);
    }
    for (int p = 0; p < count; p++)
        if (summaries[p].has_parts)
            print_parts(&summaries[p]);
}
