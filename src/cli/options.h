/* The options of all commands: one table, from which follow the command line, the configuration file, --help, the
 * manual page and the completion of the shell. */
#ifndef IVF_CLI_OPTIONS_H
#define IVF_CLI_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

typedef enum {
    IVF_COMMAND_BUILD,
    IVF_COMMAND_TRAIN,
    IVF_COMMAND_PLAN,
    IVF_COMMAND_SEARCH,
    IVF_COMMAND_EVAL,
    IVF_COMMAND_TUNE,
    IVF_COMMAND_EXACT,
    IVF_COMMAND_INFO,
    IVF_COMMAND_VERIFY,
    IVF_COMMAND_VACUUM,
    IVF_COMMAND_REPAIR,
    IVF_COMMAND_COMPACT,
    IVF_COMMAND_GENERATE,
    IVF_COMMAND_EXPORT,
    IVF_COMMAND_IMPORT,
    IVF_COMMAND_CONVERT,
    IVF_COMMAND_COUNT
} ivf_command_id;

/* Rows of the table. The same name may stand for different things in different commands (--queries). */
typedef enum {
    IVF_OPTION_NONE,
    IVF_OPTION_IMPORT_FILE,
    IVF_OPTION_INDEX,
    IVF_OPTION_INPUT,
    IVF_OPTION_DATASET,
    IVF_OPTION_IDS,
    IVF_OPTION_IDS_DATASET,
    IVF_OPTION_FACTORY,
    IVF_OPTION_METRIC,
    IVF_OPTION_MODEL,
    IVF_OPTION_CENTROIDS,
    IVF_OPTION_CENTROIDS_TOP,
    IVF_OPTION_CODEBOOKS,
    IVF_OPTION_ROTATION,
    IVF_OPTION_QUERIES,
    IVF_OPTION_SEARCH_IDS,
    IVF_OPTION_QUERIES_DATASET,
    IVF_OPTION_GROUNDTRUTH,
    IVF_OPTION_TUNE_QUERIES,
    IVF_OPTION_TUNE_GROUNDTRUTH,
    IVF_OPTION_TUNE_SAMPLE,
    IVF_OPTION_TUNE_NPROBE,
    IVF_OPTION_TUNE_RERANK,
    IVF_OPTION_RECALL,
    IVF_OPTION_K,
    IVF_OPTION_K_LIST,
    IVF_OPTION_NPROBE,
    IVF_OPTION_NPROBE_LIST,
    IVF_OPTION_MAX_DISTANCE,
    IVF_OPTION_RERANK,
    IVF_OPTION_RESULTS,
    IVF_OPTION_RESULTS_REQUIRED,
    IVF_OPTION_OUTPUT,
    IVF_OPTION_EXPORT_FORMAT,
    IVF_OPTION_EXPORT_OUTPUT,
    IVF_OPTION_EXPORT_NPROBE,
    IVF_OPTION_TABLE,
    IVF_OPTION_COPY,
    IVF_OPTION_IMPORT_FORMAT,
    IVF_OPTION_CONVERT_INPUT,
    IVF_OPTION_CONVERT_TRUTH,
    IVF_OPTION_CONVERT_OUTPUT,
    IVF_OPTION_OUTPUT_DATASET,
    IVF_OPTION_CONVERT_TYPE,
    IVF_OPTION_ROWS,
    IVF_OPTION_DIM,
    IVF_OPTION_CLUSTERS,
    IVF_OPTION_INTRINSIC,
    IVF_OPTION_NOISE,
    IVF_OPTION_TYPE,
    IVF_OPTION_QUERY_ROWS,
    IVF_OPTION_QUERIES_OUTPUT,
    IVF_OPTION_SEED,
    IVF_OPTION_SAMPLE,
    IVF_OPTION_TRAIN_ON,
    IVF_OPTION_TRAIN_MODE,
    IVF_OPTION_ITERATIONS,
    IVF_OPTION_PQ_ITERATIONS,
    IVF_OPTION_TOLERANCE,
    IVF_OPTION_CHECKPOINT_INTERVAL,
    IVF_OPTION_LEVELS,
    IVF_OPTION_LEVEL_NODES,
    IVF_OPTION_ASSIGN,
    IVF_OPTION_ASSIGN_PROBES,
    IVF_OPTION_FRAGMENT_ROWS,
    IVF_OPTION_KEEP_VECTORS,
    IVF_OPTION_ON_BAD_ROW,
    IVF_OPTION_REPLACE,
    IVF_OPTION_ALL_VERSIONS,
    IVF_OPTION_RESTART,
    IVF_OPTION_KEEP,
    IVF_OPTION_OLDER_THAN,
    IVF_OPTION_DELETE,
    IVF_OPTION_REPAIR_INPUT,
    IVF_OPTION_REPAIR_IDS,
    IVF_OPTION_DRY_RUN,
    IVF_OPTION_FRAGMENT_BYTES,
    IVF_OPTION_SINGLE_FILE,
    IVF_OPTION_MEMORY,
    IVF_OPTION_SEARCH_MEMORY,
    IVF_OPTION_SPREAD,
    IVF_OPTION_RANKS,
    IVF_OPTION_LATENCY,
    IVF_OPTION_BANDWIDTH,
    IVF_OPTION_TRAIN_RATE,
    IVF_OPTION_CODEC_RATE,
    IVF_OPTION_ASSIGN_RATE,
    IVF_OPTION_READ_RATE,
    IVF_OPTION_WRITE_RATE,
    IVF_OPTION_READ_LIMIT,
    IVF_OPTION_WRITE_LIMIT,
    IVF_OPTION_TIME_LIMIT,
    IVF_OPTION_STALL_TIMEOUT,
    IVF_OPTION_THREADS,
    IVF_OPTION_JSON,
    IVF_OPTION_QUIET,
    IVF_OPTION_VERBOSE,
    IVF_OPTION_CONFIG,
    IVF_OPTION_PRINT_CONFIG,
    IVF_OPTION_HELP,
    IVF_OPTION_COUNT
} ivf_option_id;

typedef enum {
    IVF_TYPE_FLAG,     /* on or off */
    IVF_TYPE_INTEGER,  /* within min..max */
    IVF_TYPE_INTEGERS, /* several, separated by commas; each within min..max */
    IVF_TYPE_LEVELS,   /* several, separated by commas: integers, or one for each level joined by slashes (12/50) */
    IVF_TYPE_BYTES,    /* an integer with a unit of base/numbers.h, within min..max */
    IVF_TYPE_REAL,     /* within real_min..real_max */
    IVF_TYPE_DURATION, /* seconds, within real_min..real_max; "90s", "1h30m" */
    IVF_TYPE_CHOICE,   /* one of `choices` */
    IVF_TYPE_TEXT,
    IVF_TYPE_PATH,
    IVF_TYPE_PATHS /* several: the option is repeated */
} ivf_option_type;

/* Where an option stands apart from the others. */
enum {
    IVF_ROW_POSITIONAL = 1, /* an argument without a name on the command line */
    IVF_ROW_META = 2,       /* steers the parsing itself: no key of the configuration file */
    IVF_ROW_RUN = 4,        /* concerns this run, not what is made: not recorded in an index */
};

typedef struct {
    const char *name;
    ivf_option_type type;
    unsigned flags;            /* IVF_ROW_... */
    unsigned commands;         /* bit 1 << ivf_command_id for each command that has it */
    ivf_option_id needs;       /* has no effect without this one */
    ivf_option_id instead;     /* of those that have this one too, either is required and excludes the other */
    char letter;               /* 0: none */
    bool required;             /* by each of its commands */
    bool has_auto;             /* "auto" is accepted and stands for 0 */
    const char *argument;      /* what the value is called in help; NULL for a flag */
    const char *unit;          /* of the value, or NULL */
    const char *fallback;      /* the default as it would be typed; NULL: none */
    int64_t min, max;          /* INTEGER, INTEGERS, LEVELS */
    double real_min, real_max; /* REAL, DURATION */
    const char *choices;       /* CHOICE: separated by commas */
    const char *help;
} ivf_option;

/* Local. A row of the table. */
const ivf_option *ivf_option_get(ivf_option_id id);
bool ivf_option_in(ivf_option_id id, ivf_command_id command);

/* Local. Whether it takes several values. */
bool ivf_option_is_list(const ivf_option *option);

/* Local. The row of that name in a command, exactly; IVF_OPTION_NONE when there is none. */
ivf_option_id ivf_option_find(ivf_command_id command, const char *name);

/* Local. Of the command's options (keys of its configuration file, with `keys`) the one nearest to `name`, or NULL. */
const char *ivf_option_nearest(ivf_command_id command, const char *name, bool keys);

/* Who gave a value; the later beats the earlier. */
typedef enum { IVF_SOURCE_NONE, IVF_SOURCE_DEFAULT, IVF_SOURCE_CONFIG, IVF_SOURCE_COMMAND_LINE } ivf_option_source;

typedef struct {
    ivf_option_source source;
    int count;
    char **texts;      /* [count] as given, owned; one for each list entry */
    int64_t *integers; /* [count] of INTEGER, INTEGERS, BYTES, FLAG, of LEVELS the last of each; owned, else NULL */
    double real;
} ivf_option_value;

/* The options of one run. Start from ivf_options_init; ivf_options_free gives everything back. */
typedef struct {
    ivf_command_id command;
    ivf_option_value values[IVF_OPTION_COUNT];
} ivf_options;

void ivf_options_init(ivf_options *options, ivf_command_id command);
void ivf_options_free(ivf_options *options);

/* Local. Parses and stores a value, unless a later source gave one already (it is checked all the same). `where` opens
 * the message of a failure: "--k" or "FILE:LINE: k". MPIVF_USAGE names value and range. */
int ivf_options_set(ivf_options *options, ivf_option_id id, ivf_option_source source, const char *where,
                    const char *const *texts, int count);

/* Local. After command line and configuration file: fills in the defaults, then checks what is required and what goes
 * together. */
int ivf_options_finish(ivf_options *options);

/* Local. Values of finished options; the row must have that type. Absent text is NULL, "auto" is 0. */
bool ivf_options_flag(const ivf_options *options, ivf_option_id id);
int64_t ivf_options_integer(const ivf_options *options, ivf_option_id id);
double ivf_options_real(const ivf_options *options, ivf_option_id id);
const char *ivf_options_text(const ivf_options *options, ivf_option_id id);
const ivf_option_value *ivf_options_value(const ivf_options *options, ivf_option_id id);

/* Local. The numbers of an entry of LEVELS into numbers[IVF_ENTRY_LEVELS]; returns how many there are, 0 when it is no
 * such entry. */
enum { IVF_ENTRY_LEVELS = 8 };
int ivf_options_levels(const char *entry, int64_t *numbers);

/* Local. Whether a value was given that differs from the default: such a value must be honoured or refused. */
bool ivf_options_differs(const ivf_options *options, ivf_option_id id);

/* Local. What determined the result (rows without IVF_ROW_RUN and IVF_ROW_META), for the index's manifest; NULL with a
 * failure recorded. */
json_t *ivf_options_to_json(const ivf_options *options);

#endif
