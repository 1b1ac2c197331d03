/* Completion for bash: the words of each command, and what may follow an option. */
#include <string.h>

#include "cli/command.h"
#include "cli/help.h"

static void add_words(ivf_text *out, ivf_command_id command)
{
    for (int id = 0; id < IVF_OPTION_COUNT; id++) {
        const ivf_option *option = ivf_option_get((ivf_option_id)id);
        if (ivf_option_in((ivf_option_id)id, command) && (option->flags & IVF_ROW_POSITIONAL) == 0)
            ivf_text_add(out, " --%s", option->name);
    }
}

/* What may follow, as arguments of compgen: files, words, or nothing that could be guessed. */
static void add_follower(ivf_text *out, const ivf_option *option)
{
    if (option->type == IVF_TYPE_PATH || option->type == IVF_TYPE_PATHS)
        ivf_text_add(out, "-f");
    else if (option->type != IVF_TYPE_CHOICE)
        ivf_text_add(out, "-W '%s'", option->has_auto ? "auto" : "");
    else {
        ivf_text_add(out, "-W '");
        for (const char *at = option->choices; *at != '\0'; at++)
            ivf_text_add(out, "%c", *at == ',' ? ' ' : *at);
        ivf_text_add(out, "'");
    }
}

static void add_followers(ivf_text *out, ivf_command_id command)
{
    const char *name = ivf_command_get(command)->name;
    for (int id = 0; id < IVF_OPTION_COUNT; id++) {
        const ivf_option *option = ivf_option_get((ivf_option_id)id);
        if (!ivf_option_in((ivf_option_id)id, command) || option->argument == NULL ||
            (option->flags & IVF_ROW_POSITIONAL) != 0)
            continue;
        ivf_text_add(out, "    %s:--%s", name, option->name);
        if (option->letter != '\0')
            ivf_text_add(out, " | %s:-%c", name, option->letter);
        ivf_text_add(out, ") follower=(");
        add_follower(out, option);
        ivf_text_add(out, ") ;;\n");
    }
}

void ivf_completion_bash(ivf_text *out)
{
    ivf_text_add(out, "# bash completion of mpivf, made by mpivf --completion\n"
                      "_mpivf()\n{\n"
                      "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
                      "    local command=${COMP_WORDS[1]} words=\n"
                      "    local -a follower=(-f)\n"
                      "    COMPREPLY=()\n"
                      "    if ((COMP_CWORD == 1)) || { ((COMP_CWORD == 2)) && [[ $command == help ]]; }; then\n"
                      "        mapfile -t COMPREPLY < <(compgen -W '");
    for (int i = 0; i < IVF_COMMAND_COUNT; i++)
        ivf_text_add(out, "%s ", ivf_command_get((ivf_command_id)i)->name);
    ivf_text_add(out, "help --help --version --man --completion' -- \"$word\")\n"
                      "        return\n"
                      "    fi\n"
                      "    case $command in\n");
    for (int i = 0; i < IVF_COMMAND_COUNT; i++) {
        ivf_text_add(out, "    %s) words='", ivf_command_get((ivf_command_id)i)->name);
        add_words(out, (ivf_command_id)i);
        ivf_text_add(out, "' ;;\n");
    }
    ivf_text_add(out, "    esac\n    case $command:$before in\n");
    for (int i = 0; i < IVF_COMMAND_COUNT; i++)
        add_followers(out, (ivf_command_id)i);
    ivf_text_add(out, "    *) [[ $word == -* ]] && follower=(-W \"$words\") ;;\n"
                      "    esac\n"
                      "    mapfile -t COMPREPLY < <(compgen \"${follower[@]}\" -- \"$word\")\n"
                      "}\n"
                      "complete -o filenames -F _mpivf mpivf\n");
}
