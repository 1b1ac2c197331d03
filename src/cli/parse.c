/* The command line, by getopt_long over arrays that are made from the table of options. */
#include "cli/parse.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"

enum {
    LONG_BASE = 256,                             /* getopt's value of option id: LONG_BASE + id */
    NEGATED_BASE = LONG_BASE + IVF_OPTION_COUNT, /* of its --no- form */
    NAME_BYTES = 64,
};

/* What getopt_long wants to know of one command's options. */
typedef struct {
    struct option longs[2 * IVF_OPTION_COUNT + 1];
    char negated[IVF_OPTION_COUNT][NAME_BYTES];
    int count;
    char shorts[2 * IVF_OPTION_COUNT + 3];
} getopt_tables;

/* A value, or an argument without a name, as it was met. */
typedef struct {
    ivf_option_id id;
    const char *text;
} occurrence;

typedef struct {
    ivf_options *options;
    int argc;
    char **argv; /* a copy: getopt wants to write to it */
    const getopt_tables *tables;
    occurrence *found; /* [argc] */
    int count;
    bool help;
} parser;

static void add_letter(getopt_tables *tables, const ivf_option *option)
{
    size_t length = strlen(tables->shorts);
    tables->shorts[length] = option->letter;
    tables->shorts[length + 1] = option->type == IVF_TYPE_FLAG ? '\0' : ':';
    tables->shorts[length + 2] = '\0';
}

static void add_row(getopt_tables *tables, ivf_option_id id)
{
    const ivf_option *option = ivf_option_get(id);
    bool is_flag = option->type == IVF_TYPE_FLAG;
    if ((option->flags & IVF_ROW_POSITIONAL) != 0)
        return;
    tables->longs[tables->count++] = (struct option){
        .name = option->name, .has_arg = is_flag ? no_argument : required_argument, .val = LONG_BASE + (int)id};
    if (is_flag && (option->flags & IVF_ROW_META) == 0) {
        (void)snprintf(tables->negated[id], NAME_BYTES, "no-%s", option->name);
        tables->longs[tables->count++] =
            (struct option){.name = tables->negated[id], .has_arg = no_argument, .val = NEGATED_BASE + (int)id};
    }
    if (option->letter != '\0')
        add_letter(tables, option);
}

static void make_tables(getopt_tables *tables, ivf_command_id command)
{
    /* '-': arguments come in order, whatever POSIXLY_CORRECT says; ':': a missing value is told from an unknown
     * option. */
    *tables = (getopt_tables){.shorts = "-:"};
    for (int id = 0; id < IVF_OPTION_COUNT; id++)
        if (ivf_option_in((ivf_option_id)id, command))
            add_row(tables, (ivf_option_id)id);
}

static ivf_option_id of_letter(ivf_command_id command, int letter)
{
    for (int id = 0; id < IVF_OPTION_COUNT; id++)
        if (ivf_option_in((ivf_option_id)id, command) && ivf_option_get((ivf_option_id)id)->letter == letter)
            return (ivf_option_id)id;
    return IVF_OPTION_NONE;
}

static int fail_unknown(ivf_command_id command, const char *name)
{
    const char *nearest = ivf_option_nearest(command, name, false);
    if (nearest != NULL)
        return ivf_fail(MPIVF_USAGE, "unknown option --%s; did you mean --%s?", name, nearest);
    return ivf_fail(MPIVF_USAGE, "unknown option --%s; see mpivf %s --help", name, ivf_command_get(command)->name);
}

/* getopt refused a long option: because none, or more than one, begins like it, or because it takes no value. */
static int fail_long(const parser *p, const char *argument)
{
    char name[NAME_BYTES];
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(argument + 2, "="), argument + 2);
    ivf_text matches = {0};
    int n = 0;
    for (int i = 0; i < p->tables->count; i++)
        if (strncmp(p->tables->longs[i].name, name, strlen(name)) == 0)
            ivf_text_add(&matches, "%s--%s", n++ > 0 ? ", " : "", p->tables->longs[i].name);
    int rc = MPIVF_USAGE;
    if (optopt >= LONG_BASE)
        rc = ivf_fail(MPIVF_USAGE, "--%s takes no value", name);
    else if (n == 0)
        rc = fail_unknown(p->options->command, name);
    else
        rc = ivf_fail(MPIVF_USAGE, "--%s is ambiguous: %s", name, matches.text != NULL ? matches.text : "");
    ivf_text_free(&matches);
    return rc;
}

static int fail_missing_value(const parser *p)
{
    ivf_option_id id =
        optopt >= LONG_BASE ? (ivf_option_id)(optopt - LONG_BASE) : of_letter(p->options->command, optopt);
    const ivf_option *option = ivf_option_get(id);
    return ivf_fail(MPIVF_USAGE, "--%s needs a value: %s", option->name, option->argument);
}

static int fail_refused(const parser *p)
{
    if (optopt > 0 && optopt < LONG_BASE)
        return ivf_fail(MPIVF_USAGE, "unknown option -%c; see mpivf %s --help", optopt,
                        ivf_command_get(p->options->command)->name);
    return fail_long(p, p->argv[optind - 1]);
}

static void take(parser *p, ivf_option_id id, const char *text)
{
    if (id == IVF_OPTION_HELP)
        p->help = true;
    p->found[p->count++] = (occurrence){.id = id, .text = text};
}

static bool is_found(const parser *p, ivf_option_id id)
{
    for (int i = 0; i < p->count; i++)
        if (p->found[i].id == id)
            return true;
    return false;
}

/* Arguments without a name come in the order of the table. */
static int take_argument(parser *p, const char *text)
{
    for (int row = 0; row < IVF_OPTION_COUNT; row++) {
        const ivf_option_id id = (ivf_option_id)row;
        if ((ivf_option_get(id)->flags & IVF_ROW_POSITIONAL) != 0 && ivf_option_in(id, p->options->command) &&
            !is_found(p, id)) {
            take(p, id, text);
            return MPIVF_OK;
        }
    }
    return ivf_fail(MPIVF_USAGE, "unexpected argument '%s'", text);
}

static int take_option(parser *p, int got)
{
    if (got >= NEGATED_BASE) {
        take(p, (ivf_option_id)(got - NEGATED_BASE), "false");
        return MPIVF_OK;
    }
    ivf_option_id id = got >= LONG_BASE ? (ivf_option_id)(got - LONG_BASE) : of_letter(p->options->command, got);
    take(p, id, ivf_option_get(id)->type == IVF_TYPE_FLAG ? "true" : optarg);
    return MPIVF_OK;
}

static int read_arguments(parser *p)
{
    optind = 0; /* glibc: start over */
    opterr = 0;
    int rc = MPIVF_OK;
    while (rc == MPIVF_OK && !p->help) {
        int got = getopt_long(p->argc, p->argv, p->tables->shorts, p->tables->longs, NULL);
        if (got == -1)
            break;
        if (got == 1)
            rc = take_argument(p, optarg);
        else if (got == ':')
            rc = fail_missing_value(p);
        else if (got == '?')
            rc = fail_refused(p);
        else
            rc = take_option(p, got);
    }
    for (int i = optind; i < p->argc && rc == MPIVF_OK && !p->help; i++)
        rc = take_argument(p, p->argv[i]);
    return rc;
}

/* All texts of one option go in together, so that a list is one value and a value given twice is noticed. */
static int store(const parser *p, ivf_option_id id, const char **texts)
{
    int n = 0;
    for (int i = 0; i < p->count; i++)
        if (p->found[i].id == id)
            texts[n++] = p->found[i].text;
    if (n == 0)
        return MPIVF_OK;
    const ivf_option *option = ivf_option_get(id);
    char where[NAME_BYTES];
    if ((option->flags & IVF_ROW_POSITIONAL) != 0)
        (void)snprintf(where, sizeof where, "%s", option->argument);
    else
        (void)snprintf(where, sizeof where, "--%s", option->name);
    return ivf_options_set(p->options, id, IVF_SOURCE_COMMAND_LINE, where, texts, n);
}

static int store_all(const parser *p)
{
    const char **texts = ivf_new((size_t)p->count, sizeof *texts);
    int rc = texts == NULL ? MPIVF_FAILED : MPIVF_OK;
    for (int id = 0; id < IVF_OPTION_COUNT && rc == MPIVF_OK; id++)
        rc = store(p, (ivf_option_id)id, texts);
    ivf_free(texts);
    return rc;
}

/* As many options as there can be: each letter of a cluster such as -vq is one. */
static size_t most_found(int argc, char *const *argv)
{
    size_t most = (size_t)argc;
    for (int i = 0; i < argc; i++)
        most += strlen(argv[i]);
    return most;
}

/* argv[0] is the command's name. */
static int parse_command(int argc, char *const *argv, ivf_request *request, ivf_options *options)
{
    getopt_tables tables;
    make_tables(&tables, options->command);
    parser p = {.options = options, .argc = argc, .tables = &tables};
    p.argv = ivf_new_zero((size_t)argc + 1, sizeof *p.argv);
    p.found = ivf_new(most_found(argc, argv), sizeof *p.found);
    int rc = p.argv == NULL || p.found == NULL ? MPIVF_FAILED : MPIVF_OK;
    if (rc == MPIVF_OK) {
        memcpy(p.argv, argv, (size_t)argc * sizeof *argv);
        rc = read_arguments(&p);
    }
    if (rc == MPIVF_OK && p.help)
        *request = IVF_REQUEST_COMMAND_HELP;
    else if (rc == MPIVF_OK)
        rc = store_all(&p);
    ivf_free(p.found);
    ivf_free(p.argv);
    return rc;
}

static int parse_help(int argc, char *const *argv, ivf_request *request, ivf_options *options)
{
    *request = IVF_REQUEST_HELP;
    if (argc == 2)
        return MPIVF_OK;
    if (argc > 3)
        return ivf_fail(MPIVF_USAGE, "unexpected argument '%s'", argv[3]);
    *request = IVF_REQUEST_COMMAND_HELP;
    return ivf_command_find(argv[2], &options->command);
}

static int parse_question(int argc, char *const *argv, ivf_request *request)
{
    static const char *const names[] = {"help", "version", "man", "completion"};
    static const ivf_request requests[] = {IVF_REQUEST_HELP, IVF_REQUEST_VERSION, IVF_REQUEST_MAN,
                                           IVF_REQUEST_COMPLETION};
    const char *argument = strcmp(argv[1], "-h") == 0 ? "--help" : argv[1];
    const char *name = argument + (strncmp(argument, "--", 2) == 0 ? 2 : 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) != 0)
            continue;
        *request = requests[i];
        return argc == 2 ? MPIVF_OK : ivf_fail(MPIVF_USAGE, "unexpected argument '%s'", argv[2]);
    }
    const char *nearest = ivf_text_nearest(name, names, sizeof names / sizeof names[0]);
    if (nearest != NULL)
        return ivf_fail(MPIVF_USAGE, "unknown option %s; did you mean --%s?", argv[1], nearest);
    return ivf_fail(MPIVF_USAGE, "unknown option %s before the command; see mpivf --help", argv[1]);
}

int ivf_parse(int argc, char *const *argv, ivf_request *request, ivf_options *options)
{
    *request = IVF_REQUEST_RUN;
    ivf_options_init(options, IVF_COMMAND_COUNT);
    if (argc < 2)
        return ivf_fail(MPIVF_USAGE, "no command; see mpivf --help");
    if (strcmp(argv[1], "help") == 0)
        return parse_help(argc, argv, request, options);
    if (argv[1][0] == '-')
        return parse_question(argc, argv, request);
    int rc = ivf_command_find(argv[1], &options->command);
    return rc == MPIVF_OK ? parse_command(argc - 1, argv + 1, request, options) : rc;
}
