"""``host-tools``: all commands of a host. ``push-model`` is also a command of its own."""

import sys

from host_tools.cli.collect import collect
from host_tools.cli.dashboard import dashboard
from host_tools.cli.dashboard_access import DashboardOptions
from host_tools.cli.dashboard_user import dashboard_user
from host_tools.cli.devices import devices
from host_tools.cli.export_dashboards import export_dashboards
from host_tools.cli.exporter import exporter
from host_tools.cli.init import InitOptions, init
from host_tools.cli.keygen import keygen
from host_tools.cli.keys import KeysOptions, keys
from host_tools.cli.manifest import manifest
from host_tools.cli.options import Connection, examples, new_app, taking
from host_tools.cli.orders import OrderOptions, cancel, forget, recalibrate, rollback
from host_tools.cli.purge import purge_broker
from host_tools.cli.push_model import EPILOG, PushOptions, push_model
from host_tools.cli.report import report
from host_tools.cli.sign import SignOptions, sign
from host_tools.cli.simulate import SimulateOptions, simulate
from host_tools.cli.version import VersionedCommand
from host_tools.cli.watch import watch
from host_tools.demo.command import demo
from host_tools.exits import run

_DEMO = examples(
    "host-tools demo",
    "host-tools demo --model tflite",
    "host-tools demo --keep",
    "host-tools demo --dashboard",
    "host-tools demo --broker mqtt://127.0.0.1",
)
_INIT = examples(
    "host-tools init",
    "host-tools init --broker mqtts://broker.local --ca-file ca.pem --username operator",
    "host-tools init --broker mqtt://broker.local --unsigned --yes",
)
_MANIFEST = examples("host-tools manifest har.onnx", "host-tools manifest har.tflite --out har.toml")
_DEVICES = examples("host-tools devices --broker mqtt://broker.local", "host-tools devices --group lab --json")
_WATCH = examples("host-tools watch", "host-tools watch pi-01 pi-02 --json", "host-tools watch --job 3f2a9c0d1e5b7a86")
_SIMULATE = examples(
    "host-tools simulate 100 --broker mqtt://127.0.0.1",
    "host-tools simulate 2000 --jobs-per-hour 1 --failures 0.3 --seed 7",
    "host-tools simulate 500 --group lab --models 3 --drops-per-hour 2",
    "host-tools simulate --clear --prefix sim",
    note="5,000 devices have 5,000 connections: the broker needs as many open files (systemd: "
    "LimitNOFILE=; a shell: ulimit -n), and so does this command. If that is not possible, --connections "
    "shares them.",
)
_REPORT = examples("host-tools report 3f2a9c0d1e5b7a86", "host-tools report har --device pi-01 --json")
_ROLLBACK = examples("host-tools rollback har --device pi-01", "host-tools rollback har --group lab --version 7")
_RECALIBRATE = examples("host-tools recalibrate har --device pi-01")
_CANCEL = examples("host-tools cancel 3f2a9c0d1e5b7a86")
_FORGET = examples("host-tools forget har --all", "host-tools forget har --device pi-01")
_EXPORTER = examples("host-tools exporter", "host-tools exporter --listen 0.0.0.0:9464 --broker mqtt://broker.local")
_COLLECT = examples(
    "host-tools collect",
    "host-tools collect --db history.db --keep-days 30",
    "host-tools collect --db postgresql://edge_agent@db.local/edge_agent --broker mqtt://broker.local",
)
_DASHBOARD = examples(
    "host-tools dashboard",
    "host-tools dashboard --allow-commands --sign operator.key",
    "host-tools dashboard --listen 0.0.0.0:8443 --users users --tls-cert cert.pem --tls-key key.pem",
    "host-tools dashboard --broker mqtt://broker.local --listen 127.0.0.1:8080",
    "host-tools dashboard --db ~/.local/state/edge-agent/history.db",
)
_DASHBOARD_USER = examples("host-tools dashboard-user anna users --role operator")
_DASHBOARDS = examples("host-tools export-dashboards dashboards")
_KEYGEN = examples("host-tools keygen operator", "host-tools keygen operator --passphrase")
_SIGN = examples(
    "host-tools sign har --device pi-01 --sign second.key", "host-tools sign keys-2 --all --sign second.key"
)
_KEYS = examples("host-tools keys", "host-tools keys --add new.pem --revoke old.pem --sign old.key")
_PURGE = examples("host-tools purge --dry-run", "host-tools purge --grace 0")


def main() -> None:
    """The console script."""
    app = new_app("Send models to edge devices and follow the results. Try: host-tools demo")
    connected, ordering = taking(Connection), taking(OrderOptions)
    app.command("push-model", epilog=EPILOG, cls=taking(PushOptions))(push_model)
    app.command(epilog=_INIT, cls=taking(InitOptions))(init)
    app.command(epilog=_MANIFEST, cls=VersionedCommand)(manifest)
    app.command(epilog=_DEMO, cls=VersionedCommand)(demo)
    app.command(epilog=_DEVICES, cls=connected)(devices)
    app.command(epilog=_WATCH, cls=connected)(watch)
    app.command(epilog=_SIMULATE, cls=taking(SimulateOptions))(simulate)
    app.command(epilog=_REPORT, cls=connected)(report)
    app.command(epilog=_ROLLBACK, cls=ordering)(rollback)
    app.command(epilog=_RECALIBRATE, cls=ordering)(recalibrate)
    app.command(epilog=_CANCEL, cls=ordering)(cancel)
    app.command(epilog=_FORGET, cls=ordering)(forget)
    app.command("purge", epilog=_PURGE, cls=connected)(purge_broker)
    app.command(epilog=_EXPORTER, cls=connected)(exporter)
    app.command(epilog=_COLLECT, cls=connected)(collect)
    app.command(epilog=_DASHBOARD, cls=taking(DashboardOptions))(dashboard)
    app.command("dashboard-user", epilog=_DASHBOARD_USER, cls=VersionedCommand)(dashboard_user)
    app.command("export-dashboards", epilog=_DASHBOARDS, cls=VersionedCommand)(export_dashboards)
    app.command(epilog=_KEYGEN, cls=VersionedCommand)(keygen)
    app.command(epilog=_SIGN, cls=taking(SignOptions))(sign)
    app.command(epilog=_KEYS, cls=taking(KeysOptions))(keys)
    sys.exit(run(app))
