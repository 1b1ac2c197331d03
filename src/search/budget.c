#include "search/budget.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/error.h"
#include "base/numbers.h"
#include "base/team.h"
#include "base/text.h"
#include "codec/scan.h"
#include "search/rerank.h"
#include "search/scan_list.h"

static const int64_t BATCH_MOST = 64 << 20;
static const int64_t BATCH_LEAST = 1 << 20;
static const int64_t GROUP_MOST = 16 << 20;
static const int64_t GROUP_LEAST = 64 << 10;
enum { COPIES = 2, SPARSE_COPIES = 3 }; /* of a group, in a store */
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
                  IVF_SCAN_CHUNK * sizeof(int32_t) + IVF_SCAN_KEYS * ivf_codec_code_size(model->codec) +
                  ivf_to_size(ivf_scan_wide_blocks(model->codec)) * ivf_codec_wide_size(model->codec));
    const int64_t of_list = (int64_t)(2 * sizeof(ivf_scan_part) + sizeof(int64_t) + sizeof(int32_t));
    return ivf_team_size() * of_thread + model->nlist * of_list;
}

/* Of all lists in memory, or of this rank's part of what ranks hold together. */
static int64_t all_bytes(const ivf_budget_input *in)
{
    int64_t bytes = 0;
    for (int32_t l = 0; l < in->postings->nlist; l++)
        bytes += ivf_postings_list_bytes(in->model, in->postings->lists[l].n);
    return ivf_ceil_div(bytes, in->together);
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

static int64_t batch_least(const ivf_budget_input *in)
{
    return ivf_max_i64(BATCH_LEAST, in->batch_least);
}

/* Of what is left when the rest has its least. */
static int64_t choose_piece(const ivf_budget_input *in, int64_t rest, int64_t spare)
{
    const int64_t wanted = ivf_min_i64(IVF_RERANK_PIECE, rest / 8);
    return in->piece_least == 0 ? 0 : in->piece_least + ivf_max_i64(0, ivf_min_i64(wanted - in->piece_least, spare));
}

/* Lists that are longer are read in pieces, of a block at least. */
static int64_t least_group(const ivf_budget_input *in)
{
    return ivf_max_i64(GROUP_LEAST, ivf_store_weight(in->model, IVF_SCAN_BLOCK));
}

/* With `bytes` more for all copies of a group than the least of them takes. */
static int64_t choose_group(const ivf_budget_input *in, int64_t bytes, int copies)
{
    const int64_t least = least_group(in);
    return ivf_max_i64(least, ivf_min_i64(GROUP_MOST, least + bytes / copies));
}

enum { REMEDY_TEXT = 40 };

/* A limit that will do, as it is given. */
static void say_remedy(const ivf_budget_words *words, int64_t needed, char text[REMEDY_TEXT])
{
    const int64_t enough = ivf_ceil_div(needed + SPARE - words->base, MEBIBYTE);
    if (words->by_library)
        (void)snprintf(text, REMEDY_TEXT, "memory = %" PRId64, enough * MEBIBYTE);
    else
        (void)snprintf(text, REMEDY_TEXT, "--memory %" PRId64 "M", enough);
}

/* `lists`: of what is needed, for those that are read. Who calls the library cannot say yet what will be asked for. */
static int refuse(const ivf_budget_input *in, int64_t needed, int64_t lists)
{
    const ivf_budget_words *words = &in->words;
    char all[24];
    char held[24];
    char queries[24];
    char read[24];
    char allowed[24];
    char enough[REMEDY_TEXT];
    const int64_t found = in->beside + batch_least(in) + in->piece_least;
    const bool fewer = !words->by_library && 2 * found > needed;
    say_remedy(words, needed, enough);
    return ivf_fail(
        MPIVF_USAGE,
        "searching needs %s of a rank%s (%s for the model and the program, %s for queries and what is found, %s for "
        "lists that are read), %s allows %s; what fits: %s%s",
        ivf_text_bytes((double)(needed - words->base), all),
        words->by_library ? " beside what the process held before" : "",
        ivf_text_bytes((double)(needed - words->base - found - lists), held), ivf_text_bytes((double)found, queries),
        ivf_text_bytes((double)lists, read), words->by_library ? "memory" : "--memory",
        ivf_text_bytes((double)(in->memory - words->base), allowed), enough,
        fewer ? ", or fewer queries at once, a smaller --k, --nprobe or --rerank" : "");
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

static void keep_all(const ivf_budget_input *in, int64_t fixed, int64_t all, ivf_budget *budget)
{
    const int64_t least = batch_least(in);
    const int64_t rest = in->memory == 0 ? INT64_MAX : in->memory - fixed - all;
    const int64_t group = choose_group(in, rest - store_bytes(in, least_group(in), false), COPIES);
    budget->room = (ivf_postings_room){.resident = in->share->end, .group_bytes = group};
    budget->piece_bytes = choose_piece(in, rest, rest - least - in->piece_least);
    budget->batch_bytes = ivf_min_i64(ivf_max_i64(BATCH_MOST, least), rest - budget->piece_bytes);
    budget->needed =
        fixed + all + ivf_max_i64(budget->batch_bytes + budget->piece_bytes, store_bytes(in, group, false));
}

static int64_t count_fixed(const ivf_budget_input *in)
{
    return in->held + in->beside + GROWTH + in->ranks * RANK_GROWTH + ivf_team_size() * THREAD_GROWTH +
           ivf_max_i64(scanning(in->model), in->other_scratch);
}

bool ivf_budget_holds(const ivf_budget_input *in, ivf_budget *budget)
{
    const int64_t all = all_bytes(in);
    const int64_t fixed = count_fixed(in);
    const int64_t queries = batch_least(in) + in->piece_least;
    *budget = (ivf_budget){0};
    if (in->memory > 0 && in->memory - fixed < all + ivf_max_i64(queries, store_bytes(in, least_group(in), false)))
        return false;
    keep_all(in, fixed, all, budget);
    return true;
}

int ivf_budget_find(const ivf_budget_input *in, ivf_budget *budget)
{
    const int64_t fixed = count_fixed(in);
    const int64_t queries = batch_least(in) + in->piece_least;
    const int64_t rest = in->memory - fixed;
    int64_t resident = 0;
    if (ivf_budget_holds(in, budget))
        return MPIVF_OK;
    const int64_t least = store_bytes(in, least_group(in), true);
    if (rest < least + queries)
        return refuse(in, fixed + least + queries, least);
    budget->piece_bytes = choose_piece(in, rest, rest - least - queries);
    const int64_t batches = rest - least - budget->piece_bytes;
    budget->batch_bytes = ivf_max_i64(batch_least(in), ivf_min_i64(BATCH_MOST, ivf_min_i64(rest / 4, batches)));
    const int64_t groups = ivf_max_i64(0, ivf_min_i64(rest / 4, batches - budget->batch_bytes));
    budget->room.group_bytes = choose_group(in, groups, SPARSE_COPIES);
    const int64_t store = store_bytes(in, budget->room.group_bytes, true);
    budget->room.resident = count_resident(in, batches + least - budget->batch_bytes - store, &resident);
    budget->needed = fixed + budget->batch_bytes + budget->piece_bytes + store + resident;
    return MPIVF_OK;
}
