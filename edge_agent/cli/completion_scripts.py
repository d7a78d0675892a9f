"""The scripts that complete ``edge-agent``, one for each shell. Pure.

Bash itself knows best how to complete and to quote the name of a file; only behind ``--option=`` it needs help, where a
shell does not end a word at ``=``. zsh takes the same script.

Names come from files that others may have written, and a person who presses Tab may be root. So only plain names are
offered, and none passes through ``compgen -W``, which expands its words as shell code.
"""

from collections.abc import Sequence

from edge_agent.cli.completion_words import Option, Words
from edge_agent.settings.device import DEFAULT_PATH, DEFAULT_STATE_DIR

_BASH = """\
# bash completion of edge-agent; made by: edge-agent completion
_edge_agent_names() {{
    local file="{config}" state="" at=0 one
    for ((at = 1; at < ${{#COMP_WORDS[@]}} - 1; at++)); do
        if [ "${{COMP_WORDS[at]}}" = "--config" ]; then
            one="${{COMP_WORDS[at + 1]}}"
            if [ "$one" = "=" ]; then one="${{COMP_WORDS[at + 2]:-}}"; fi
            file="$one"
        fi
    done
    if [ "$1" = "sources" ]; then
        LC_ALL=C sed -n 's/^\\[sources\\.\\([A-Za-z0-9_-]*\\)\\].*/\\1/p' -- "$file" 2> /dev/null || true
        return
    fi
    state="$(sed -n 's/^state_dir *= *"\\(.*\\)".*/\\1/p' -- "$file" 2> /dev/null || true)"
    for one in "${{state:-{state}}}"/models/*.json; do
        one="${{one##*/}}"
        one="${{one%.json}}"
        case "$one" in
            *[!A-Za-z0-9_-]*) ;;
            *) printf '%s\\n' "$one" ;;
        esac
    done
}}
_edge_agent_offer() {{
    local begun="$1" one
    shift
    COMPREPLY=()
    for one in "$@"; do
        if [[ "$one" == "$begun"* ]]; then COMPREPLY+=("$one"); fi
    done
}}
_edge_agent() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" options="" names="" choices="" IFS=$' \\t\\n'
    if [ "$COMP_CWORD" -eq 1 ]; then
        _edge_agent_offer "$word" {commands} --help --version
        return
    fi
    case "${{COMP_WORDS[1]}}" in
{cases}
    esac
    if [ "${{COMP_WORDS[COMP_CWORD - 1]}}" = "--source" ]; then
        _edge_agent_offer "$word" $(_edge_agent_names sources)
        return
    fi
    case "$word" in
        --*=*)
            IFS=$'\\n'
            COMPREPLY=($(compgen -f -- "${{word#*=}}" | while read -r file; do
                printf '%s=%q\\n' "${{word%%=*}}" "$file"
            done))
            ;;
        -*) _edge_agent_offer "$word" $options ;;
        *)
            COMPREPLY=()
            if [ "$COMP_CWORD" -eq 2 ] && [ -n "$names$choices" ]; then
                if [ -n "$names" ]; then choices="$(_edge_agent_names "$names")"; fi
                _edge_agent_offer "$word" $choices
            fi
            ;;
    esac
}}
complete -o default -F _edge_agent edge-agent
"""
_ZSH = """\
# zsh completion of edge-agent; made by: edge-agent completion zsh
if ! whence compdef > /dev/null; then autoload -Uz compinit && compinit; fi
autoload -Uz bashcompinit && bashcompinit
"""
_FISH = """\
# fish completion of edge-agent; made by: edge-agent completion fish
function __edge_agent_config
    set -l words (commandline -opc | string split =)
    set -l at (contains -i -- --config $words)
    and test $at -lt (count $words)
    and echo $words[(math $at + 1)]
    or echo {config}
end
function __edge_agent_sources
    set -l file (__edge_agent_config)
    test -r $file
    and string match -rg '^\\[sources\\.([A-Za-z0-9_-]+)\\]' < $file
end
function __edge_agent_models
    set -l file (__edge_agent_config)
    set -l state
    test -r $file
    and set state (string match -rg '^state_dir *= *"(.*)"' < $file)
    test -n "$state"
    or set state {state}
    for one in $state/models/*.json
        string match -rg '/([A-Za-z0-9_-]+)\\.json$' -- $one
    end
end
complete -c edge-agent -f -n __fish_use_subcommand -l help -d 'show how it is used'
complete -c edge-agent -f -n __fish_use_subcommand -l version -d 'show the version'
"""


def bash(words: Sequence[Words]) -> str:
    """For bash."""
    return _BASH.format(
        config=DEFAULT_PATH,
        state=DEFAULT_STATE_DIR,
        commands=" ".join(one.command for one in words),
        cases="\n".join(map(_case, words)),
    )


def zsh(words: Sequence[Words]) -> str:
    """For zsh, which runs bash's script after ``bashcompinit``."""
    return _ZSH + bash(words)


def fish(words: Sequence[Words]) -> str:
    """For fish."""
    lines = [_FISH.format(config=DEFAULT_PATH, state=DEFAULT_STATE_DIR)]
    for one in words:
        lines.append(f"complete -c edge-agent -f -n __fish_use_subcommand -a {one.command} -d {_quoted(one.about)}\n")
        here = f"complete -c edge-agent -n '__fish_seen_subcommand_from {one.command}'"
        if one.names:
            lines.append(f"{here} -f -a '(__edge_agent_{one.names})'\n")
        if one.choices:
            lines.append(f"{here} -f -a {_quoted(' '.join(one.choices))}\n")
        lines += [f"{here} {_fish_option(option)}\n" for option in one.options]
    return "".join(lines)


def _case(one: Words) -> str:
    """The script's line for one command."""
    more = f' names="{one.names}"' if one.names else ""
    more += f' choices="{" ".join(one.choices)}"' if one.choices else ""
    return f'        {one.command}) options="{" ".join(f"--{option.name}" for option in one.options)}"{more} ;;'


def _fish_option(option: Option) -> str:
    value = " -r" if option.takes_value else ""
    if option.name == "source":
        value = " -x -a '(__edge_agent_sources)'"
    return f"-l {option.name}{value} -d {_quoted(option.about)}"


def _quoted(text: str) -> str:
    """A text as one word for fish."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
