"""``host-tools dashboard-user``: manages who may log in to the dashboard."""

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from edge_agent.advice.installation import require
from edge_agent.errors import ConfigError


def dashboard_user(
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="a new name, or an existing one to change")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="created if missing; pass it to --users")],
    role: Annotated[
        str, typer.Option("--role", metavar="viewer|operator", help="only an operator can send orders")
    ] = "viewer",
) -> None:
    """Let a person log in to the dashboard.

    The command asks for the password; without a terminal it reads one line from stdin. A dashboard reads the file when
    it starts.
    """
    require("starlette")
    from host_tools.dashboard.access.users import Users, read_users, role_of, write_users  # noqa: PLC0415  # an extra

    users = read_users(file) if file.exists() else Users({})
    write_users(file, users.with_one(name, role_of(role, "--role"), _password(name)))
    print(f"{file}   {name} may log in as {role}; then: host-tools dashboard --users {file} …")


def _password(name: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass(f"password of {name}: ")
    if getpass.getpass("once more: ") != first:
        raise ConfigError("usage", "the two passwords are not the same; run this again")
    return first
