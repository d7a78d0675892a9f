"""The operator's defaults and the command line over them."""

from pathlib import Path

import pytest
from support.host import Host

from edge_agent.errors import ConfigError
from host_tools.broker.settings import load_settings, settings_path
from host_tools.cli.app import main
from host_tools.cli.push_model import main as push_main


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Host:
    return Host("mqtt://127.0.0.1:9", "t/x", tmp_path, monkeypatch, capsys)


def write(host: Host, text: str) -> None:
    path = host.folder / "config" / "edge-agent" / "host.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")


def test_the_file_gives_defaults_and_the_command_line_overrules_them(host: Host) -> None:
    write(host, 'broker = "mqtt://one"\nnamespace = "a/b"\nusername = "me"\n')

    settings = load_settings({"broker": "mqtt://two", "username": None})

    assert settings_path().is_relative_to(host.folder)
    assert (settings.url, settings.namespace, settings.username) == ("mqtt://two", "a/b", "me")
    assert settings.broker_timeout_s == 60


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('brocker = "mqtt://x"', "did you mean 'broker'"),
        ("", "no broker"),
        ('broker = "mqtt://x"\nca_file = "/nowhere/ca.pem"', "ca_file: no such file: /nowhere/ca.pem"),
        ('broker = "mqtt://x"\nnamespace = "a/b/c"', "one or two levels"),
        ('broker = "mqtt://x"\nmax_broker_bytes = "1"', "max_broker_bytes"),
        ("broker = ", "host.toml"),
    ],
)
def test_a_mistake_in_the_file_is_named(host: Host, text: str, words: str) -> None:
    write(host, text)

    with pytest.raises(ConfigError) as caught:
        load_settings({})

    assert caught.value.code == "usage"
    assert words in caught.value.message


def test_a_file_in_the_home_folder_is_found(host: Host) -> None:
    (host.folder / "secret").write_text("x", encoding="utf-8")
    host.monkeypatch.setenv("HOME", str(host.folder))
    write(host, 'broker = "mqtt://x"\npassword_file = "~/secret"\n')

    assert load_settings({}).password_file == str(host.folder / "secret")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--device", "pi-01", "--all"], "one of these"),
        ([], "--device ID"),
        (["--device", "Pi-01"], "'Pi-01'"),
        (["--all", "--broker", "http://x"], "mqtt://HOST"),
        (["--all", "--sign", "nowhere.key"], "sign: no such file"),
    ],
)
def test_a_mistake_on_the_command_line_is_exit_2(host: Host, argv: list[str], words: str) -> None:
    broker = [] if "--broker" in argv else ["--broker", "mqtt://127.0.0.1:9"]

    ended = host.run_bare(push_main, host.model, "--manifest", host.manifest, *argv, *broker)

    assert ended.exit == 2
    assert words in ended.err
    assert "Traceback" not in ended.err


def test_files_that_are_not_there_are_named_before_the_broker_is_asked(host: Host) -> None:
    argv = ["--device", "pi-01", "--broker", "mqtt://127.0.0.1:9"]

    no_model = host.run_bare(push_main, "gone.onnx", "--manifest", host.manifest, *argv)
    no_manifest = host.run_bare(push_main, host.model, "--manifest", "gone.toml", *argv)
    no_eval = host.run_bare(push_main, host.model, "--manifest", host.manifest, "--eval", "gone.npz", *argv)

    assert [ended.exit for ended in (no_model, no_manifest, no_eval)] == [2, 2, 2]
    assert "gone.onnx" in no_model.err
    assert "gone.toml" in no_manifest.err
    assert "gone.npz" in no_eval.err


def test_a_bug_has_its_own_exit_code(host: Host) -> None:
    def bug(*_: object) -> None:
        raise ZeroDivisionError

    host.monkeypatch.setattr("host_tools.cli.push_model.push", bug)

    ended = host.run(push_main, host.model, "--manifest", host.manifest, "--all")

    assert ended.exit == 1
    assert "error: internal" in ended.err


@pytest.mark.parametrize(
    "command",
    ["push-model", "demo", "devices", "watch", "report", "rollback", "recalibrate", "cancel", "purge", "keygen"],
)
def test_every_command_explains_itself_with_an_example(host: Host, command: str) -> None:
    ended = host.run_bare(main, command, "--help")

    assert ended.exit == 0
    assert "Examples:\n    " in ended.out
    assert command in ended.out.split("Examples:")[1]


def test_an_unknown_option_is_exit_2(host: Host) -> None:
    ended = host.run_bare(main, "devices", "--brocker", "x")

    assert ended.exit == 2
    assert "--broker" in ended.err
