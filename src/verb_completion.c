/*
 * NAME labrelay completion - a completion script for bash, made from the same tables that the command line is read with.
 * Use: labrelay completion bash >/etc/bash_completion.d/labrelay, or eval "$(labrelay completion bash)".
 */
#include <stdio.h>
#include <string.h>

#include "cli.h"

static void add_flags(const struct verb *v, struct buf *b)
{
    for (size_t i = 0; i < v->n_flags; i++)
        buf_addf(b, "%s--%s", i ? " " : "", v->flags[i].name);
    buf_adds(b, v->n_flags ? " --help" : "--help");
}

/* The words behind which a value stands: --config -c … */
static void add_valued(const struct verb *v, struct buf *b)
{
    bool is_any = false;
    for (size_t i = 0; i < v->n_flags; i++) {
        if (!v->flags[i].arg)
            continue;
        buf_addf(b, "%s--%s", is_any ? "|" : "", v->flags[i].name);
        if (v->flags[i].letter)
            buf_addf(b, "|-%c", v->flags[i].letter);
        is_any = true;
    }
    if (!is_any)
        buf_adds(b, "''");
}

static int completion(const struct cli *c)
{
    struct buf b;
    const struct verb *v;
    if (strcmp(c->args[0], "bash") != 0)
        return cli_usage(c, "say completion bash");
    buf_init(&b, (size_t)1 << 20);
    buf_adds(&b, "# bash completion of labrelay " PACKAGE_VERSION ", made by: labrelay completion bash\n_labrelay() {\n"
                 "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]} flags= words=\n"
                 "    COMPREPLY=()\n"
                 "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        COMPREPLY=($(compgen -W \"");
    for (size_t i = 0; (v = cli_verb(i)) != NULL; i++)
        buf_addf(&b, "%s ", v->name);
    buf_adds(&b, "help\" -- \"$word\"))\n        return\n    fi\n    case $verb in\n");
    for (size_t i = 0; (v = cli_verb(i)) != NULL; i++) {
        buf_addf(&b, "    %s)\n        flags=\"", v->name);
        add_flags(v, &b);
        buf_addf(&b, "\" words=\"%s\"\n        case $before in ", v->words ? v->words : "");
        add_valued(v, &b);
        buf_adds(&b, ") COMPREPLY=($(compgen -f -- \"$word\")); return ;; esac ;;\n");
    }
    buf_adds(&b, "    esac\n"
                 "    case $word in\n    -*) COMPREPLY=($(compgen -W \"$flags\" -- \"$word\")) ;;\n"
                 "    *) COMPREPLY=($(compgen -W \"$words\" -- \"$word\") $(compgen -f -- \"$word\")) ;;\n    esac\n}\n"
                 "complete -o filenames -F _labrelay labrelay\n");
    cli_print(&b);
    buf_clear(&b);
    return EXIT_FINE;
}

const struct verb verb_completion = {.name = "completion", .synopsis = "bash", .help = "prints a completion script for the shell", .words = "bash",
                                     .min_args = 1, .max_args = 1, .run = completion};
