"""Runs other programs; the operator sees their output."""

import subprocess

from edge_agent.errors import ConfigError, StoreError


def call(*argv: str) -> None:
    """Run a program to its end; raises ``StoreError`` if it fails."""
    try:
        subprocess.run(argv, check=True)
    except FileNotFoundError:
        raise ConfigError("usage", f"{argv[0]} is not installed") from None
    except subprocess.CalledProcessError as error:
        raise StoreError("internal", f"{argv[0]} ended with {error.returncode}; see its message above") from None
