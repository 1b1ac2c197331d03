/* The program `mpivf`: parse, start MPI, run one command, end. Questions about the program itself (--help and the like)
 * are answered without MPI, and so is a faulty command line of a process that stands alone. Rank 0 alone prints: the
 * result on stdout, the log and at most one line of error on stderr. The exit code is a mpivf_code, the same on every
 * rank. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/stop.h"
#include "base/team.h"
#include "base/text.h"
#include "cli/cmd.h"
#include "cli/command.h"
#include "cli/config.h"
#include "cli/help.h"
#include "cli/output.h"
#include "cli/parse.h"
#include "comm/transfer.h"
#include "comm/watch.h"
#include "math/simd.h"
#include "mpivf/version.h"

enum { START_SECONDS = 8 }; /* that a signal leaves MPI to start, for rank 0; it ends the others with it */

typedef int command_function(const ivf_ctx *ctx, const ivf_options *options);

static command_function *const commands[IVF_COMMAND_COUNT] = {
    /* clang-format off */
    [IVF_COMMAND_BUILD] = ivf_cmd_build,
    [IVF_COMMAND_TRAIN] = ivf_cmd_train,
    [IVF_COMMAND_PLAN] = ivf_cmd_plan,
    [IVF_COMMAND_SEARCH] = ivf_cmd_search,
    [IVF_COMMAND_EVAL] = ivf_cmd_eval,
    [IVF_COMMAND_TUNE] = ivf_cmd_tune,
    [IVF_COMMAND_EXACT] = ivf_cmd_exact,
    [IVF_COMMAND_INFO] = ivf_cmd_info,
    [IVF_COMMAND_VERIFY] = ivf_cmd_verify,
    [IVF_COMMAND_VACUUM] = ivf_cmd_vacuum,
    [IVF_COMMAND_REPAIR] = ivf_cmd_repair,
    [IVF_COMMAND_COMPACT] = ivf_cmd_compact,
    [IVF_COMMAND_GENERATE] = ivf_cmd_generate,
    [IVF_COMMAND_EXPORT] = ivf_cmd_export,
    [IVF_COMMAND_IMPORT] = ivf_cmd_import,
    [IVF_COMMAND_CONVERT] = ivf_cmd_convert,
    /* clang-format on */
};

/* Commands that run long and can be taken up again: they end at a signal when they can, and are watched. */
static bool is_resumable(ivf_command_id command)
{
    return command < IVF_COMMAND_COUNT && ivf_option_in(IVF_OPTION_STALL_TIMEOUT, command);
}

static void complain(ivf_command_id command)
{
    const char *name = command < IVF_COMMAND_COUNT ? ivf_command_get(command)->name : "";
    (void)fprintf(stderr, "mpivf: %s%s%s\n", name, *name != '\0' ? ": " : "", ivf_error_last()->text);
}

static int answer(ivf_request request, ivf_command_id command)
{
    ivf_text out = {0};
    if (request == IVF_REQUEST_VERSION)
        ivf_text_add(&out, "mpivf %s\n", mpivf_version());
    else if (request == IVF_REQUEST_MAN)
        ivf_man_page(&out);
    else if (request == IVF_REQUEST_COMPLETION)
        ivf_completion_bash(&out);
    else if (request == IVF_REQUEST_COMMAND_HELP)
        ivf_help_command(&out, command);
    else
        ivf_help_program(&out);
    int rc = ivf_output_text(&out);
    if (rc != MPIVF_OK)
        complain(command);
    return rc;
}

static void apply(const ivf_ctx *ctx, const ivf_options *options)
{
    ivf_log_level level = IVF_LOG_INFO;
    if (ivf_options_flag(options, IVF_OPTION_QUIET))
        level = IVF_LOG_WARN;
    else if (ivf_options_flag(options, IVF_OPTION_VERBOSE))
        level = IVF_LOG_DEBUG;
    ivf_log_set(ivf_ctx_is_root(ctx), level);
    bool has_threads = ivf_option_in(IVF_OPTION_THREADS, options->command);
    int64_t threads = has_threads ? ivf_options_integer(options, IVF_OPTION_THREADS) : 0;
    if (threads > 0)
        ivf_team_resize(ivf_to_int(threads));
}

static int print_config(const ivf_options *options)
{
    ivf_text out = {0};
    ivf_config_print(&out, options);
    return ivf_output_text(&out);
}

/* The command line may differ between ranks (mpirun's "a : b"), so the ranks agree on it; where all have the same
 * fault, it is told as it was met, without a rank. */
static int agree_on_parsing(const ivf_ctx *ctx, int parsed)
{
    ivf_error met = *ivf_error_last();
    int rc = ivf_agree(ctx, parsed);
    if (parsed != MPIVF_OK)
        ivf_error_set(&met);
    return rc;
}

/* Collective. Ranks that were started with different options would wait for each other for ever. `text`: what must be
 * the same. */
static int check_same(const ivf_ctx *ctx, ivf_text *text)
{
    int64_t extremes[2] = {0};
    if (!text->failed) {
        extremes[0] = (int64_t)(ivf_hash64(text->text, text->length) >> 1);
        extremes[1] = -extremes[0];
    }
    ivf_text_free(text);
    ivf_allmax_i64(ctx, extremes, 2);
    if (extremes[0] == -extremes[1])
        return MPIVF_OK;
    return ivf_fail(MPIVF_USAGE, "the ranks were started with different options");
}

/* What decides which collectives come next, before the configuration is known. */
static int check_same_start(const ivf_ctx *ctx, const ivf_options *options)
{
    ivf_text text = {0};
    const char *config = ivf_options_text(options, IVF_OPTION_CONFIG);
    ivf_text_add(&text, "%d %d %s", (int)options->command, ivf_options_flag(options, IVF_OPTION_PRINT_CONFIG),
                 config != NULL ? config : "");
    return check_same(ctx, &text);
}

static int check_same_options(const ivf_ctx *ctx, const ivf_options *options)
{
    ivf_text text = {0};
    ivf_config_print(&text, options);
    return check_same(ctx, &text);
}

static void describe_run(const ivf_ctx *ctx)
{
    ivf_debug("%d rank%s, %d thread%s each, %s kernels, rank 0 on %s", ivf_ctx_size(ctx),
              ivf_ctx_size(ctx) == 1 ? "" : "s", ivf_team_size(), ivf_team_size() == 1 ? "" : "s",
              ivf_simd_name(ivf_simd_level()), ivf_ctx_host(ctx));
}

static int run_command(const ivf_ctx *ctx, const ivf_options *options, double started)
{
    if (!is_resumable(options->command))
        return commands[options->command](ctx, options);
    const ivf_watch_settings settings = {.command = ivf_command_get(options->command)->name,
                                         .time_limit = ivf_options_real(options, IVF_OPTION_TIME_LIMIT),
                                         .stall = ivf_options_real(options, IVF_OPTION_STALL_TIMEOUT),
                                         .started = started};
    int rc = ivf_watch_start(ctx, &settings);
    if (rc != MPIVF_OK)
        return rc;
    rc = commands[options->command](ctx, options);
    ivf_watch_end(ctx);
    return rc;
}

static int run(const ivf_ctx *ctx, int parsed, ivf_options *options, double started)
{
    ivf_log_set(ivf_ctx_is_root(ctx), IVF_LOG_INFO);
    int rc = agree_on_parsing(ctx, parsed);
    if (rc == MPIVF_OK)
        rc = check_same_start(ctx, options);
    if (rc == MPIVF_OK)
        rc = ivf_config_load(ctx, options);
    if (rc == MPIVF_OK)
        rc = agree_on_parsing(ctx, ivf_options_finish(options));
    if (rc == MPIVF_OK)
        rc = check_same_options(ctx, options);
    if (rc != MPIVF_OK)
        return rc;
    apply(ctx, options);
    describe_run(ctx);
    if (ivf_options_flag(options, IVF_OPTION_PRINT_CONFIG))
        return ivf_agree(ctx, ivf_ctx_is_root(ctx) ? print_config(options) : MPIVF_OK);
    return run_command(ctx, options, started);
}

/* The rank of this process as mpirun or srun tells it, before MPI has started; -1: neither started it, so that there
 * are no other ranks to agree with. */
static int launched_rank(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *rank = getenv(names[i]);
        if (rank != NULL)
            return (int)strtol(rank, NULL, 10);
    }
    return -1;
}

int main(int argc, char **argv)
{
    const double started = ivf_clock();
    /* A closed pipe and a file size limit are failures that can be told, not deaths. */
    ivf_memory_settle();
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
    ivf_options options;
    ivf_request request = IVF_REQUEST_RUN;
    int rc = ivf_parse(argc, argv, &request, &options);
    if (rc == MPIVF_OK && request != IVF_REQUEST_RUN) {
        rc = answer(request, options.command);
        ivf_options_free(&options);
        return rc;
    }
    const int rank = launched_rank();
    if (rc != MPIVF_OK && rank < 0) {
        complain(options.command);
        ivf_options_free(&options);
        return rc;
    }
    ivf_log_set(rank <= 0, IVF_LOG_INFO);
    if (is_resumable(options.command))
        ivf_stop_on_signals(ivf_command_get(options.command)->name, rank <= 0 ? START_SECONDS : START_SECONDS + 1);
    ivf_error met = *ivf_error_last();
    ivf_ctx *ctx = ivf_ctx_open_world();
    if (ctx == NULL) {
        complain(options.command);
        return MPIVF_FAILED;
    }
    ivf_error_set(&met);
    rc = run(ctx, rc, &options, started);
    if (rc != MPIVF_OK && ivf_ctx_is_root(ctx) && (rc != MPIVF_INTERRUPTED || ivf_stop_claim_line()))
        complain(options.command);
    ivf_options_free(&options);
    ivf_ctx_close(ctx);
    return rc;
}
