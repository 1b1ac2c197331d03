/* The manual page, in troff with the man macros (man(7)). */
#include <string.h>

#include "cli/command.h"
#include "cli/help.h"
#include "mpivf/version.h"

/* Text in which nothing is a request or an escape: hyphens stay minus signs, for copying. */
static void add_plain(ivf_text *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        ivf_text_add(out, "\\&");
    for (; *text != '\0'; text++) {
        if (*text == '-')
            ivf_text_add(out, "\\-");
        else if (*text == '\\')
            ivf_text_add(out, "\\e");
        else
            ivf_text_add(out, "%c", *text);
    }
}

static void add_option(ivf_text *out, const ivf_option *option)
{
    ivf_text_add(out, ".TP\n");
    if ((option->flags & IVF_ROW_POSITIONAL) != 0)
        ivf_text_add(out, "\\fI%s\\fR\n", option->argument);
    else {
        if (option->letter != '\0')
            ivf_text_add(out, "\\fB\\-%c\\fR, ", option->letter);
        ivf_text_add(out, "\\fB\\-\\-");
        add_plain(out, option->name);
        ivf_text_add(out, "\\fR");
        if (option->argument != NULL)
            ivf_text_add(out, " \\fI%s\\fR", option->argument);
        ivf_text_add(out, "\n");
    }
    add_plain(out, option->help);
    ivf_text facts = {0};
    ivf_help_facts(&facts, option);
    if (facts.length > 0) {
        ivf_text_add(out, " (");
        add_plain(out, facts.text);
        ivf_text_add(out, ")");
    }
    out->failed = out->failed || facts.failed;
    ivf_text_free(&facts);
    ivf_text_add(out, "\n");
}

static void add_command(ivf_text *out, ivf_command_id command)
{
    const ivf_command *about = ivf_command_get(command);
    ivf_text_add(out, ".SS mpivf %s\n", about->name);
    add_plain(out, about->description);
    ivf_text_add(out, "\n");
    for (int id = 0; id < IVF_OPTION_COUNT; id++) {
        const ivf_option *option = ivf_option_get((ivf_option_id)id);
        bool is_common = option->commands == (1U << IVF_COMMAND_COUNT) - 1;
        if (ivf_option_in((ivf_option_id)id, command) && !is_common)
            add_option(out, option);
    }
}

static void add_synopsis(ivf_text *out)
{
    ivf_text_add(out, ".SH SYNOPSIS\n.nf\n");
    for (int i = 0; i < IVF_COMMAND_COUNT; i++) {
        ivf_text usage = {0};
        ivf_help_usage(&usage, (ivf_command_id)i);
        if (usage.text != NULL)
            add_plain(out, usage.text);
        ivf_text_add(out, "\n");
        out->failed = out->failed || usage.failed;
        ivf_text_free(&usage);
    }
    ivf_text_add(out, "mpivf \\-\\-help | \\-\\-version | \\-\\-man | \\-\\-completion | help [COMMAND]\n.fi\n");
}

static void add_examples(ivf_text *out)
{
    ivf_text_add(out, ".SH EXAMPLES\n.nf\n");
    for (int i = 0; i < IVF_COMMAND_COUNT; i++) {
        add_plain(out, ivf_command_get((ivf_command_id)i)->example);
        ivf_text_add(out, "\n");
    }
    ivf_text_add(out, ".fi\n");
}

static void add_common(ivf_text *out)
{
    ivf_text_add(out, ".SS Options of every command\n");
    for (int id = 0; id < IVF_OPTION_COUNT; id++) {
        const ivf_option *option = ivf_option_get((ivf_option_id)id);
        if (option->commands == (1U << IVF_COMMAND_COUNT) - 1)
            add_option(out, option);
    }
}

void ivf_man_page(ivf_text *out)
{
    ivf_text_add(out, ".TH MPIVF 1 \"\" \"mpivf %s\" \"User Commands\"\n", mpivf_version());
    ivf_text_add(out, ".SH NAME\nmpivf \\- IVF vector indexes, built and searched on clusters\n");
    add_synopsis(out);
    ivf_text_add(out,
                 ".SH DESCRIPTION\n"
                 "Every command runs on one process, or on many under mpirun or srun; the results do not depend on "
                 "their number.\n"
                 "The result goes to the standard output of rank 0, the log and at most one line of error to its "
                 "standard error.\n");
    ivf_text_add(out, ".SH COMMANDS\n");
    for (int i = 0; i < IVF_COMMAND_COUNT; i++)
        add_command(out, (ivf_command_id)i);
    add_common(out);
    ivf_text_add(out,
                 ".SH CONFIGURATION FILE\n"
                 "The file of \\fB\\-\\-config\\fR is a YAML mapping. Its keys are the options of the command without "
                 "their dashes, and \\fIindex\\fR where the command takes one; \\fIconfig\\fR, "
                 "\\fIprint\\-config\\fR and \\fIhelp\\fR are none. Switches are true or false. Where an option "
                 "takes several values, so does its key, as a list.\n"
                 "The command line goes before the file, and the file before the defaults; a switch that the file "
                 "turns on is turned off by \\fB\\-\\-no\\-\\fINAME\\fR.\n"
                 "\\fB\\-\\-print\\-config\\fR prints such a file.\n");
    ivf_text_add(out,
                 ".SH EXIT STATUS\n"
                 ".TP\n0\nDone.\n"
                 ".TP\n1\nThe system refused: input or output error, no space, no memory, no permission.\n"
                 ".TP\n2\nUsage: unknown option, value out of its range, options that exclude each other.\n"
                 ".TP\n3\nAn input file or its rows cannot be used as they are.\n"
                 ".TP\n4\nConflict: the index exists already, or somebody else committed first.\n"
                 ".TP\n5\nA file of the index is damaged or missing.\n"
                 ".TP\n75\nInterrupted by a signal, a limit of time, or a rank that was stuck; the same command goes "
                 "on.\n");
    ivf_text_add(out, ".SH SIGNALS\n"
                      "\\fBbuild\\fR, \\fBplan\\fR and \\fBrepair\\fR stop at SIGUSR1, SIGTERM or SIGINT, on all ranks "
                      "even if one alone got it, "
                      "within 10 seconds and with exit code 75; a second signal ends it at once. Neither does harm. "
                      "mpirun hands SIGUSR1 on, and leaves its ranks one second after SIGTERM unless "
                      "OMPI_MCA_odls_base_sigkill_timeout says otherwise. Other commands end at once.\n");
    add_examples(out);
}
