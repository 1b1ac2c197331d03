#include "search/budget.h"

#include <inttypes.h>

#include "base/error.h"
#include "base/numbers.h"
#include "base/team.h"
#include "base/text.h"
#include "codec/scan.h"
#include "search/scan_list.h"

static const int64_t BATCH_MOST = 64 << 20;
static const int64_t BATCH_LEAST = 1 << 20;
static const int64_t GROUP_MOST = 16 << 20;
static const int64_t GROUP_LEAST = 256 << 10;
static const int64_t MEBIBYTE = 1 << 20;
static const int64_t SPARE = 2 << 20; /* that a remedy leaves free */

/* Beside blocks that are counted, measured at 1 to 4 ranks and threads: small blocks, stacks, and pages of the program
 * and its libraries that are touched for the first time; of a thread; of each rank. */
static const int64_t GROWTH = 4 << 20;
static const int64_t THREAD_GROWTH = 512 << 10;
static const int64_t RANK_GROWTH = 384 << 10;

/* What a search takes whatever the number of queries: scratch of threads, tasks and the order of lists. */
static int64_t scanning(const ivf_model *model)
{
    const int64_t of_thread =
        (int64_t)(ivf_codec_probe_size(model->codec) + ivf_codec_table_size(model->codec) +
                  (size_t)model->d * sizeof(float) + (size_t)IVF_SCAN_QUERIES * IVF_SCAN_CHUNK * sizeof(float) +
                  IVF_SCAN_CHUNK * sizeof(int32_t) + IVF_SCAN_KEYS * ivf_codec_code_size(model->codec));
    const int64_t of_list = (int64_t)(2 * sizeof(ivf_scan_part) + sizeof(int64_t) + sizeof(int32_t));
    return ivf_team_size() * (of_thread + THREAD_GROWTH) + model->nlist * of_list;
}

/* What the lists are. */
typedef struct {
    int64_t all;     /* bytes of all of them in memory */
    int64_t longest; /* weight in a group */
} figures;

static figures measure(const ivf_budget_input *in)
{
    figures f = {0};
    for (int32_t l = 0; l < in->postings->nlist; l++) {
        f.all += ivf_postings_list_bytes(in->model, in->postings->lists[l].n);
        f.longest = ivf_max_i64(f.longest, ivf_store_weight(in->model, in->postings->lists[l].n));
    }
    f.longest = ivf_max_i64(f.longest, 4096);
    return f;
}

static int64_t store_bytes(const ivf_budget_input *in, int64_t group, bool sparse)
{
    const ivf_store_source source = {.manifest = in->manifest,
                                     .model = in->model,
                                     .from = in->share->from,
                                     .to = in->share->to,
                                     .lists = in->postings->lists};
    return ivf_store_memory(&source, group, sparse);
}

static int64_t at_least(int64_t group, const figures *f)
{
    return ivf_max_i64(group, f->longest);
}

static int refuse(const ivf_budget_input *in, int64_t needed)
{
    char least[24];
    char allowed[24];
    return ivf_fail(
        MPIVF_USAGE,
        "searching needs %s of a rank for the model, a batch of queries and the longest list, --memory allows "
        "%s; what fits: --memory %" PRId64 "M",
        ivf_text_bytes((double)needed, least), ivf_text_bytes((double)in->memory, allowed),
        ivf_ceil_div(needed + SPARE, MEBIBYTE));
}

/* Lists from the first on, as many as fit. */
static int32_t count_resident(const ivf_budget_input *in, int64_t bytes, int64_t *taken)
{
    int32_t l = 0;
    *taken = 0;
    for (; l < in->share->end; l++) {
        const int64_t own = ivf_postings_list_bytes(in->model, in->postings->lists[l].n);
        if (own > bytes - *taken)
            break;
        *taken += own;
    }
    return l;
}

static void keep_all(const ivf_budget_input *in, const figures *f, int64_t fixed, int64_t group, ivf_budget *budget)
{
    const int64_t rest = in->memory == 0 ? BATCH_MOST : in->memory - fixed - f->all;
    budget->room = (ivf_postings_room){.resident = in->share->end, .group_bytes = group};
    budget->batch_bytes = ivf_min_i64(BATCH_MOST, rest);
    budget->needed = fixed + f->all + ivf_max_i64(budget->batch_bytes, store_bytes(in, group, false));
}

int ivf_budget_find(const ivf_budget_input *in, ivf_budget *budget)
{
    const figures f = measure(in);
    const int64_t fixed = in->held + GROWTH + in->ranks * RANK_GROWTH + scanning(in->model);
    const int64_t rest = in->memory - fixed;
    int64_t resident = 0;
    *budget = (ivf_budget){0};
    if (in->memory == 0) {
        keep_all(in, &f, fixed, at_least(GROUP_MOST, &f), budget);
        return MPIVF_OK;
    }
    if (rest >= f.all + ivf_max_i64(BATCH_LEAST, store_bytes(in, at_least(GROUP_LEAST, &f), false))) {
        keep_all(in, &f, fixed, at_least(GROUP_LEAST, &f), budget);
        return MPIVF_OK;
    }
    const int64_t least = store_bytes(in, f.longest, true);
    if (rest < least + BATCH_LEAST)
        return refuse(in, fixed + least + BATCH_LEAST);
    budget->batch_bytes = ivf_max_i64(BATCH_LEAST, ivf_min_i64(BATCH_MOST, ivf_min_i64(rest / 4, rest - least)));
    const int64_t groups = ivf_max_i64(0, ivf_min_i64(rest / 4, rest - least - budget->batch_bytes)) / 3;
    budget->room.group_bytes = ivf_min_i64(at_least(GROUP_MOST, &f), f.longest + groups);
    const int64_t store = store_bytes(in, budget->room.group_bytes, true);
    budget->room.resident = count_resident(in, rest - budget->batch_bytes - store, &resident);
    budget->needed = fixed + budget->batch_bytes + store + resident;
    return MPIVF_OK;
}
