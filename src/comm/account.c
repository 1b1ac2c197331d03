#include "comm/account.h"

#include <mpi.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "comm/transfer.h"

/* The kernel keeps the peak resident set per process; writing 5 to clear_refs starts a new one (proc(5)). Where /proc
 * does not allow it the peak is that of the whole run so far. */
static void reset_peak(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "we");
    if (file == NULL)
        return;
    (void)fputs("5", file);
    (void)fclose(file);
}

static int64_t peak_bytes(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    long long kib = 0;
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "VmHWM: %lld kB", &kib) == 1) // NOLINT(cert-err34-c): the kernel's own number
            break;
    (void)fclose(file);
    return (int64_t)kib * 1024;
}

void ivf_account_begin(ivf_account *account, const char *name)
{
    if (account->count == IVF_ACCOUNT_PHASES)
        return;
    account->phases[account->count] = (ivf_phase){.name = name};
    account->started = ivf_clock();
    reset_peak();
    MPI_Pcontrol(1, name);
}

void ivf_account_end(ivf_account *account, int64_t bytes)
{
    if (account->count == IVF_ACCOUNT_PHASES)
        return;
    ivf_phase *phase = &account->phases[account->count++];
    phase->seconds = ivf_clock() - account->started;
    phase->bytes = bytes;
    phase->memory = peak_bytes();
    MPI_Pcontrol(-1, phase->name);
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

enum { FIELDS = 3 };

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
    }
    ivf_gather_f64(ctx, mine, per_rank, all);
    for (size_t p = 0; ivf_ctx_is_root(ctx) && p < (size_t)account->count; p++)
        summaries[p] = (ivf_phase_summary){.name = account->phases[p].name,
                                           .seconds = spread(all + p * FIELDS, ivf_ctx_size(ctx), per_rank),
                                           .bytes = spread(all + p * FIELDS + 1, ivf_ctx_size(ctx), per_rank),
                                           .memory = spread(all + p * FIELDS + 2, ivf_ctx_size(ctx), per_rank)};
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
}
