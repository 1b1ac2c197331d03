/* --nprobe and what goes with it, for the commands that search. */
#ifndef IVF_CLI_PROBING_H
#define IVF_CLI_PROBING_H

#include "cli/options.h"
#include "search/searcher.h"

/* Local. The numbers of --nprobe, the top level first, into params->nprobe and params->nodes: of search, and of an
 * entry of eval's list. More than there are become all, with a note. MPIVF_USAGE when they are more than one and not
 * one for each level of the model's tree. */
int ivf_probing_set(const ivf_option_value *value, const ivf_model *model, ivf_search_params *params);
int ivf_probing_set_entry(const char *entry, const ivf_model *model, ivf_search_params *params);

/* Local. The numbers of a value, or of an entry, before there is a model: as they are where they are more than
 * params->nprobe and params->nodes have, for what memory will be needed. */
void ivf_probing_widen(const int64_t *numbers, int count, ivf_search_params *params);

/* Whether --recall is given. */
bool ivf_probing_is_tuned(const ivf_options *options);

/* Collective. What the index was tuned to for --recall and params->k, into params. MPIVF_USAGE when it was not, or when
 * there are options that say the same. */
int ivf_probing_tune(const ivf_ctx *ctx, const ivf_options *options, ivf_search_params *params);

/* Local. How the numbers are written: "50", or "12/50" with nodes; into text[IVF_PROBING_TEXT]. */
enum { IVF_PROBING_TEXT = 48 };
void ivf_probing_text(const ivf_search_params *params, char *text);

/* Local. The same as JSON: the numbers of nodes of the upper levels, the top first; null when all lists are ranked. */
json_t *ivf_probing_nodes_json(const ivf_search_params *params);

/* Local. --spread. */
ivf_spread_kind ivf_probing_spread(const ivf_options *options);

/* Local. --max-distance and --rerank; MPIVF_USAGE when params->k neighbours cannot come of so few candidates. */
int ivf_probing_refine(const ivf_options *options, ivf_search_params *params);

#endif
