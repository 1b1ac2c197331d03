/* What `mpivf tune` measured, in the manifest: for each depth k the settings of a search of which none finds more at a
 * higher speed, so that a wanted recall leads to the cheapest of them. */
#ifndef IVF_INDEX_TUNING_H
#define IVF_INDEX_TUNING_H

#include <jansson.h>
#include <stdint.h>

#include "index/manifest.h"
#include "index/model.h"

typedef struct {
    int nprobe;
    int32_t nodes[IVF_LEVELS]; /* of each upper level of the tree; nodes[1] = 0: it is left alone */
    int rerank;                /* candidates that are compared exactly; 0: none */
    double recall;             /* at k, by id */
    double queries_per_second;
} ivf_tuning_setting;

/* What was measured, for how many neighbours, by whom. */
typedef struct {
    int k;
    int64_t queries;
    int ranks;
    int threads; /* of each */
    const char *simd;
    const char *host;
    const ivf_tuning_setting *settings; /* [count], in any order */
    int count;
} ivf_tuning;

/* Local. Leaves of settings[count] those that no other beats in both recall and speed, in ascending order of recall;
 * returns how many. */
int ivf_tuning_front(ivf_tuning_setting *settings, int count);

/* Local. Puts it into the manifest, in the place of what was known for its k. */
int ivf_tuning_put(ivf_manifest *manifest, const ivf_tuning *tuning);

/* Local. The cheapest setting with at least that recall@k. MPIVF_USAGE says what is missing: no tuning, none for k,
 * none that reaches it. */
int ivf_tuning_pick(const ivf_manifest *manifest, int k, double recall, ivf_tuning_setting *setting);

/* Local. The same for a program that takes no recall and does not re-rank: the cheapest with nine of ten rows or, if
 * none has, the best one; for the smallest k. False: there is none. */
bool ivf_tuning_usual(const ivf_manifest *manifest, ivf_tuning_setting *setting);

/* Local. Whether a manifest's "tuning" has the form of FORMAT.md and fits its number of lists; NULL does. */
bool ivf_tuning_is_sound(const json_t *tuning, int32_t nlist);

#endif
