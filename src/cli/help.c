/* --help: plain text of at most 80 columns. */
#include "cli/help.h"

#include <inttypes.h>
#include <string.h>

#include "cli/command.h"

enum { COLUMNS = 80, INDENT = 6 };

/* Words of `text`, wrapped, each line indented. */
static void add_wrapped(ivf_text *out, const char *text, int indent)
{
    int column = 0;
    while (*text != '\0') {
        int length = (int)strcspn(text, " ");
        if (column > 0 && column + 1 + length > COLUMNS) {
            ivf_text_add(out, "\n");
            column = 0;
        }
        ivf_text_add(out, "%*s%.*s", column == 0 ? indent : 1, "", length, text);
        column += (column == 0 ? indent : 1) + length;
        text += length;
        text += strspn(text, " ");
    }
    ivf_text_add(out, "\n");
}

static void add_choices(ivf_text *out, const char *choices)
{
    for (; *choices != '\0'; choices += *choices == ',') {
        int length = (int)strcspn(choices, ",");
        bool is_last = choices[length] == '\0';
        const char *next = is_last ? "" : strchr(choices + length + 1, ',') != NULL ? ", " : " or ";
        ivf_text_add(out, "%.*s%s", length, choices, next);
        choices += length;
    }
}

void ivf_help_facts(ivf_text *out, const ivf_option *option)
{
    size_t before = out->length;
    switch (option->type) {
    case IVF_TYPE_INTEGER:
    case IVF_TYPE_INTEGERS:
    case IVF_TYPE_LEVELS:
        ivf_text_add(out, "%" PRId64 " to %" PRId64 "%s%s%s", option->min, option->max, option->unit ? " " : "",
                     option->unit ? option->unit : "", option->has_auto ? ", or auto" : "");
        break;
    case IVF_TYPE_BYTES:
        ivf_text_add(out, "bytes, with K, M, G or T%s", option->has_auto ? ", or auto" : "");
        break;
    case IVF_TYPE_REAL:
        ivf_text_add(out, "%g to %g", option->real_min, option->real_max);
        break;
    case IVF_TYPE_DURATION:
        ivf_text_add(out, "such as 90s, 15m, 1h30m");
        break;
    case IVF_TYPE_CHOICE:
        add_choices(out, option->choices);
        break;
    default:
        break;
    }
    const char *separator = out->length > before ? "; " : "";
    if (option->required)
        ivf_text_add(out, "%srequired", separator);
    else if (option->fallback != NULL && option->type != IVF_TYPE_FLAG)
        ivf_text_add(out, "%sdefault %s", separator, option->fallback);
}

void ivf_help_usage(ivf_text *out, ivf_command_id command)
{
    ivf_text_add(out, "mpivf %s", ivf_command_get(command)->name);
    for (int id = 0; id < IVF_OPTION_COUNT; id++) {
        const ivf_option *option = ivf_option_get((ivf_option_id)id);
        if (!ivf_option_in((ivf_option_id)id, command) || !option->required)
            continue;
        if ((option->flags & IVF_ROW_POSITIONAL) != 0)
            ivf_text_add(out, " %s", option->argument);
        else
            ivf_text_add(out, " --%s %s%s", option->name, option->argument,
                         option->type == IVF_TYPE_PATHS ? "..." : "");
    }
    ivf_text_add(out, " [OPTION]...");
}

static void add_option(ivf_text *out, const ivf_option *option)
{
    if ((option->flags & IVF_ROW_POSITIONAL) != 0)
        ivf_text_add(out, "  %s\n", option->argument);
    else {
        if (option->letter != '\0')
            ivf_text_add(out, "  -%c, ", option->letter);
        ivf_text_add(out, "%s--%s%s%s\n", option->letter != '\0' ? "" : "      ", option->name,
                     option->argument != NULL ? " " : "", option->argument != NULL ? option->argument : "");
    }
    ivf_text text = {0};
    ivf_text facts = {0};
    ivf_help_facts(&facts, option);
    ivf_text_add(&text, "%s", option->help);
    if (facts.length > 0)
        ivf_text_add(&text, " [%s]", facts.text);
    if (text.text != NULL)
        add_wrapped(out, text.text, 2 * INDENT);
    out->failed = out->failed || text.failed || facts.failed;
    ivf_text_free(&text);
    ivf_text_free(&facts);
}

void ivf_help_command(ivf_text *out, ivf_command_id command)
{
    const ivf_command *about = ivf_command_get(command);
    ivf_text_add(out, "Usage: ");
    ivf_help_usage(out, command);
    ivf_text_add(out, "\n\n");
    add_wrapped(out, about->description, 0);
    ivf_text_add(out, "\nOptions:\n");
    for (int id = 0; id < IVF_OPTION_COUNT; id++)
        if (ivf_option_in((ivf_option_id)id, command))
            add_option(out, ivf_option_get((ivf_option_id)id));
    ivf_text_add(out, "\n");
    add_wrapped(
        out,
        "Each option but --config, --print-config and --help may stand in the file of --config, as a key without "
        "dashes. A switch that the file turns on is turned off by --no-NAME.",
        0);
    ivf_text_add(out, "\nExample:\n  %s\n", about->example);
}

void ivf_help_program(ivf_text *out)
{
    ivf_text_add(out, "Usage: mpivf COMMAND [ARGUMENT]... [OPTION]...\n\n");
    ivf_text_add(out, "Builds and searches IVF vector indexes on clusters; run it under mpirun or srun.\n\n"
                      "Commands:\n");
    for (int i = 0; i < IVF_COMMAND_COUNT; i++)
        ivf_text_add(out, "  %-10s %s\n", ivf_command_get((ivf_command_id)i)->name,
                     ivf_command_get((ivf_command_id)i)->summary);
    ivf_text_add(out, "\nInstead of a command:\n"
                      "  --help, help COMMAND   this text; the options of a command\n"
                      "  --version              the version of the program\n"
                      "  --man                  the manual page, in troff: mpivf --man | man -l -\n"
                      "  --completion           completion for bash: source <(mpivf --completion)\n\n"
                      "Exit codes: 0 done, 1 failed, 2 usage, 3 bad input, 4 conflict, 5 corrupt,\n"
                      "75 interrupted.\n");
}
