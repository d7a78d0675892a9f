"""``edge-agent completion``: a script for bash that completes commands and options, and leaves file names to bash.

    edge-agent completion | sudo tee /etc/bash_completion.d/edge-agent > /dev/null

The script is made of the commands' parsers and starts no Python, which takes a second on a small board. Names of models
and jobs are not completed. zsh takes the script after ``bashcompinit``.

Bash completes and quotes file names by itself. It needs help only behind ``--option=``, as words do not end at ``=``.
"""

import argparse

from edge_agent.cli import COMMANDS, add_command, new_parser, options_of

_SCRIPT = """\
# bash completion of edge-agent; made by: edge-agent completion
_edge_agent() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" options=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "{commands} --help --version" -- "$word"))
        return
    fi
    case "${{COMP_WORDS[1]}}" in
{cases}
    esac
    case "$word" in
        --*=*)
            local IFS=$'\\n'
            COMPREPLY=($(compgen -f -- "${{word#*=}}" | while read -r file; do
                printf '%s=%q\\n' "${{word%%=*}}" "$file"
            done))
            ;;
        -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
        *) COMPREPLY=() ;;
    esac
}}
complete -o default -F _edge_agent edge-agent
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the ``completion`` command."""
    subparsers.add_parser(
        "completion",
        help="print a script that lets bash complete these commands",
        description="Prints a script for bash. To install it: "
        "edge-agent completion | sudo tee /etc/bash_completion.d/edge-agent > /dev/null",
    )


def run(_args: argparse.Namespace) -> int:
    """Print the script."""
    print(_SCRIPT.format(commands=" ".join(COMMANDS), cases="\n".join(map(_case, COMMANDS))), end="")
    return 0


def _case(command: str) -> str:
    """The line of the script with a command's options."""
    _, subparsers = new_parser()
    parser, _ = add_command(subparsers, command)
    return f'        {command}) options="{" ".join(options_of(parser))}" ;;'
