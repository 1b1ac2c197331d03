/* What users write: configuration files and factory strings. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/config.h"
#include "cli/options.h"
#include "codec/factory.h"
#include "targets.h"

/* ---- configuration files ---- */

static void seed_config(fuzz_sink *sink, void *arg)
{
    static const char build[] = "\0index: photos.ivf\ninput: [a.fbin, b.fbin] # two\nfactory: IVF256,PQ32\nseed: 7\n"
                                "tolerance: 1e-3\non-bad-row: skip\nreplace: true\n";
    static const char search[] = "\2{index: x, queries: 'q.fbin', k: 10, nprobe: 4}\n";
    sink(arg, build, sizeof build - 1);
    sink(arg, search, sizeof search - 1);
}

/* The first byte chooses the command. */
static void run_config(const uint8_t *data, size_t bytes)
{
    ivf_options options;
    if (bytes == 0)
        return;
    char *text = malloc(bytes);
    if (text == NULL)
        abort();
    memcpy(text, data + 1, bytes - 1);
    text[bytes - 1] = '\0';
    ivf_options_init(&options, (ivf_command_id)(data[0] % IVF_COMMAND_COUNT));
    int rc = ivf_config_parse(&options, "c.yml", text, bytes - 1);
    free(text);
    fuzz_check_outcome(rc);
    if (rc == MPIVF_OK)
        fuzz_check_outcome(ivf_options_finish(&options));
    ivf_options_free(&options);
}

/* ---- factory strings ---- */

static void seed_factory(fuzz_sink *sink, void *arg)
{
    static const char *const seeds[] = {"IVF1024,PQ32",         "IVF,SQ8",      "IVF256,Flat",
                                        "IVF1024,SQfp16",       "IVF16,PQ16x4", "OPQ32_64,IVF4096,PQ32",
                                        "OPQ8,IVF16_HNSW32,SQ4"};
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++)
        sink(arg, seeds[i], strlen(seeds[i]));
}

/* What is understood is written so that it is understood again, as the same. */
static void run_factory(const uint8_t *data, size_t bytes)
{
    char text[256];
    char canonical[64];
    ivf_factory factory;
    ivf_factory again;
    if (bytes >= sizeof text)
        return;
    memcpy(text, data, bytes);
    text[bytes] = '\0';
    int rc = ivf_factory_parse(text, &factory);
    fuzz_check_outcome(rc);
    if (rc != MPIVF_OK)
        return;
    ivf_factory_text(&factory, canonical);
    if (ivf_factory_parse(canonical, &again) != MPIVF_OK || again.nlist != factory.nlist ||
        again.opq_m != factory.opq_m || again.opq_d != factory.opq_d || again.codec.kind != factory.codec.kind)
        abort();
}

const fuzz_target fuzz_config = {"config", seed_config, run_config, 1 << 20, 256};
const fuzz_target fuzz_factory = {"factory", seed_factory, run_factory, 0, 0};
