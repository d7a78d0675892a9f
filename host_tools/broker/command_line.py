"""The text of a command that reaches the same broker as this one."""

import shlex

from host_tools.broker.settings import Settings, given_settings
from host_tools.invocation import typed

_FLAGS = {
    "broker": "--broker",
    "namespace": "--namespace",
    "ca_file": "--ca-file",
    "cert_file": "--cert-file",
    "key_file": "--key-file",
    "username": "--username",
    "password_file": "--password-file",
    "broker_timeout_s": "--broker-timeout",
}
_SIGN = {"sign": "--sign"}
"""Option of commands that devices execute."""


def command_line(settings: Settings, name: str, *words: str, signed: bool = False) -> str:
    """The command ``name`` with ``words``, and with the options that reproduce these ``settings``."""
    given = given_settings(settings)
    options: list[str] = []
    for key, flag in (_FLAGS | (_SIGN if signed else {})).items():
        if key in given:
            options += [flag, str(given[key])]
    return f"{typed(name)} {shlex.join([*words, *options])}"
