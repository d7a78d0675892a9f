"""A printed command goes to the broker of the one that printed it."""

import shlex
from pathlib import Path

import pytest
import typer
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from host_tools.broker.command_line import command_line
from host_tools.broker.settings import load_settings
from host_tools.cli.options import Connection


def parsed(options: list[str]) -> Connection:
    """The connection's options as a command reads them."""
    app = typer.Typer(add_completion=False)
    app.command()(Connection)
    read: Connection = typer.main.get_command(app).main(options, standalone_mode=False)
    return read


TEXT = st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1).filter(lambda text: text[0] != "-")
GIVEN = st.fixed_dictionaries(
    {"broker": st.just("mqtt://elsewhere:1884")},
    optional={
        "namespace": st.just("x/v2"),
        "username": TEXT,
        "ca_file": st.just("my ca.pem"),
        "password_file": st.just("the file's.pem"),
        "sign": st.just("operator.key"),
        "broker_timeout_s": st.floats(0, 1e6),
    },
)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(options=GIVEN)
def test_a_printed_command_has_the_settings_of_the_one_that_printed_it(
    tmp_path: Path, options: dict[str, str | float]
) -> None:
    """Whatever stands in the operator's file is left out, and what the command line said over it is not."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        (tmp_path / "config/edge-agent").mkdir(parents=True, exist_ok=True)
        (tmp_path / "config/edge-agent/host.toml").write_text(
            'broker = "mqtt://home"\nusername = "me"\nca_file = "~/ca.pem"\ncert_file = "~/ca.pem"\n', encoding="utf-8"
        )
        patched.setenv("HOME", str(tmp_path))
        patched.chdir(tmp_path)
        for name in ("ca.pem", "my ca.pem", "the file's.pem", "operator.key"):
            (tmp_path / name).touch()
        settings = load_settings(options)

        words = shlex.split(command_line(settings, "host-tools", "watch", "--job", "1", signed=True))

        assert words[1:4] == ["watch", "--job", "1"]
        assert "--cert-file" not in words
        sign = {"sign": words.pop(words.index("--sign") + 1)} if "--sign" in words else {}
        again = parsed([word for word in words[4:] if word != "--sign"]).settings(**sign)
        assert again == settings


def test_a_command_that_no_device_obeys_names_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "operator.key").touch()
    settings = load_settings({"broker": "mqtt://here", "sign": "operator.key"})

    assert command_line(settings, "x", "purge") == "x purge --broker mqtt://here"
    assert command_line(settings, "x", "rollback", signed=True) == "x rollback --broker mqtt://here --sign operator.key"
