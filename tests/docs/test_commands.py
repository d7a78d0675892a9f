"""Every command and option that a page shows exists: the command's own parser takes it. Nothing is run."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from support.markdown import PAGES, ROOT, blocks, code, name, prose

from edge_agent.cli import COMMANDS, add_command, new_parser
from host_tools.cli import app, push_model

PROGRAMS = ("edge-agent", "host-tools", "push-model")
BEFORE = re.compile(rf"^(?:sudo |python -m )?(?:[~./][\w./~-]*/)?(?=(?:{'|'.join(PROGRAMS)})\b)")
"""What may stand before a program's name: who runs it, and where it lies."""

each_page = pytest.mark.parametrize("page", PAGES, ids=name)


def typed(page: Path) -> Iterator[str]:
    """The commands in a page's shell blocks: continued lines joined, comments gone, one for each part of a line."""
    for block in blocks(page, "sh"):
        for line in block.text.replace("\\\n", " ").splitlines():
            bare = re.sub(r"(^|\s)#.*", "", line)
            yield from (BEFORE.sub("", part.strip()) for part in re.split(r"&&|\||;|<", bare))


def inline(page: Path) -> Iterator[str]:
    """What stands in the text as code."""
    yield from (BEFORE.sub("", part) for part in code(prose(page)))


def of_ours(line: str) -> bool:
    return line.partition(" ")[0] in PROGRAMS and " " in line


@cache
def host_program(program: str) -> Any:
    """The commands of a host program, as its console script makes them."""
    made: list[typer.Typer] = []

    def keep(one: typer.Typer) -> int:
        made.append(one)
        return 0

    module = app if program == "host-tools" else push_model
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "run", keep)
        with pytest.raises(SystemExit):
            module.main()
    return typer.main.get_command(made[0])


def parse(words: list[str]) -> None:
    """Have the program parse a command line: ends in ``SystemExit`` or a ``UsageError`` where it would refuse it."""
    program, *arguments = words
    if program != "edge-agent":
        command = host_program(program)
        command.make_context(program, list(arguments)).close()  # of a group: its own options
        if program == "host-tools":
            _, chosen, rest = command.resolve_command(typer.Context(command), arguments)
            chosen.make_context(arguments[0], rest).close()
        return
    parser, subparsers = new_parser()
    add_command(subparsers, arguments[0])
    parser.parse_args(arguments)


@cache
def options(program: str, command: str) -> frozenset[str]:
    """Every option of a command."""
    if program == "edge-agent":
        own, _ = add_command(new_parser()[1], command)
        return frozenset(option for action in own._actions for option in action.option_strings)
    found = host_program(program)
    chosen = found.commands[command] if program == "host-tools" and command else found
    return frozenset(option for parameter in chosen.params for option in parameter.opts) | {"--help"}


@cache
def every_option() -> frozenset[str]:
    host = [options("host-tools", command) for command in ("", *host_program("host-tools").commands)]
    own = [options("edge-agent", command) for command in COMMANDS]
    return frozenset().union(*host, *own, options("push-model", ""))


@each_page
def test_commands_in_blocks_are_parsed(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for there in ("users", "cert.pem", "key.pem"):  # what is looked for so early
        Path(there).touch()
    for line in typed(page):
        if of_ours(line):
            try:
                parse(shlex.split(line))
            except (SystemExit, Exception) as error:  # noqa: BLE001  # argparse and typer refuse each in its own way
                pytest.fail(f"{line}: {error}")


@each_page
def test_commands_and_options_in_the_text_exist(page: Path) -> None:
    for line in inline(page):
        if of_ours(line):
            program, first, *_ = line.split()
            command = "" if program == "push-model" or first.startswith("-") else first
            known = COMMANDS if program == "edge-agent" else host_program("host-tools").commands
            assert not command or command in known or not command.islower(), line
            if command in known or not command:
                for option in re.findall(r"--[a-z][\w-]*", line):
                    assert option in (options(program, command) if command or program != "edge-agent" else ()), line
        elif line.startswith("--"):
            assert line.split()[0].split("=")[0] in every_option(), line


def test_every_command_is_on_a_page() -> None:
    shown = {tuple(line.split()[:2]) for page in PAGES for line in [*typed(page), *inline(page)] if of_ours(line)}
    wanted = [("edge-agent", command) for command in COMMANDS]
    wanted += [("host-tools", command) for command in host_program("host-tools").commands if command != "push-model"]

    assert [" ".join(command) for command in wanted if command not in shown] == []


@each_page
def test_what_make_is_asked_for_it_makes(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

    for line in [*typed(page), *inline(page)]:
        if line.startswith("make ") and "=" not in line.split()[1]:
            assert line.split()[1] in targets, line


@each_page
def test_programs_of_the_project_are_there(page: Path) -> None:
    for line in [*typed(page), *inline(page)]:
        if found := re.match(r"(?:PYTHONPATH=\S+ )?python (\S+\.py)", line):
            assert (ROOT / found[1]).is_file(), line
