"""A month of a fleet in the history's databases: rows, megabytes, and seconds of each panel of Grafana's dashboards.

    python tests/bench/fleet_month.py [--devices N]

The databases make the rows themselves, in the order in which they would come: one of health and one of serving a
device and minute, a job a day that is reported 25 times, four events a day. The dashboards are PostgreSQL's; SQLite is
asked for two numbers by hours. Prints tables, asserts nothing.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from sqlalchemy import Connection, text  # noqa: E402  # after the path above
from support import grafana  # noqa: E402
from support.histories import opened  # noqa: E402
from support.postgresql import postgresql  # noqa: E402

from host_tools.history.address import address  # noqa: E402
from host_tools.history.database import Database  # noqa: E402
from host_tools.history.hours import BY_HOUR  # noqa: E402
from host_tools.history.hours import begin as make_hours  # noqa: E402

DAY_S = 24 * 3600.0
DAYS = 30
BOOT = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
HEALTH = {
    "uptime_s": "60.0 * m", "cpu_share": "{chance}", "load_1m": "{chance}", "memory_available_bytes": "2000000000",
    "swap_used_bytes": "0", "disk_free_bytes": "9000000000", "disk_written_bytes_per_day": "2e8",
    "temperature_c": "40 + 20 * {chance}", "clock_hz": "1.8e9", "agent_uptime_s": "60.0 * m",
    "agent_cpu_share": "0.001", "agent_rss_bytes": "28000000", "reconnects": "0", "dropped_messages": "0",
}  # fmt: skip
SERVING = {
    "model": "'har'", "version": "7", "interval_s": "60", "applications": "1", "inferences": "1200", "errors": "0",
    "dropped": "0", "p50_ms": "3 + {chance}", "p95_ms": "4 + {chance}", "p99_ms": "9 * {chance}",
    "rss_bytes": "80000000", "runtime": "'onnxruntime 1.32.0'",
}  # fmt: skip
GOING = "CASE WHEN m % 25 < 24 THEN '{}' ELSE '{}' END"
STATE = {
    "model": "'har'", "active_version": "7", "newest_version": "7", "job": "'job-' || m / 25", "job_version": "7",
    "stage": "'benchmark'", "status": GOING.format("in_progress", "succeeded"), "code": GOING.format("", "accepted"),
    "message": "''", "progress": "(m % 25) / 24.0", "verdict": GOING.format("", "accepted"), "method": "'static'",
    "runtime": "'onnxruntime 1.32.0'", "float_bytes": "400000", "model_bytes": "110000", "size_ratio": "0.275",
    "float_p50_ms": "8", "float_p95_ms": "9", "float_p99_ms": "12", "p50_ms": "3", "p95_ms": "3.5", "p99_ms": "4",
    "latency_ratio": "0.375", "latency_ratio_upper": "0.4", "agreement": "0.99", "agreement_lower": "0.98",
}  # fmt: skip
REPORT = {name: STATE[name] for name in ("model", "job", "stage", "status", "code", "message", "progress")} | {
    "version": "7", "detail": "''", "release": "''", "results": GOING.format("", '{{"reference": 1.25}},' * 400),
}  # fmt: skip
EVENT = {
    "kind": "'activated'", "severity": "'info'", "code": "'accepted'", "message": "'a release became the active one'",
    "model": "'har'", "job": "'job-' || m", "version": "7",
}  # fmt: skip
ROWS: tuple[tuple[str, float, dict[str, str]], ...] = (
    ("ea_health", 60.0, HEALTH), ("ea_serving", 60.0, SERVING), ("ea_model_states", DAY_S / 25, STATE),
    ("ea_reports", DAY_S / 25, REPORT), ("ea_events", DAY_S / 4, EVENT),
)  # fmt: skip
"""Table, seconds between two rows of a device, values."""
DEVICE = "'Raspberry Pi 4', 'aarch64', '1.2.3', 4000000000, 'lab'"


def main() -> None:
    """Print both databases' tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--devices", type=int, default=100)
    devices = options.parse_args().devices
    with tempfile.TemporaryDirectory() as folder:
        db = f"{folder}/history.db"
        fill("SQLite", db, devices)
        by_hours(db)
    with postgresql(fsync=True) as server:
        fill("PostgreSQL", server.url, devices)
        by_hours(server.url)
        panels(server.url)


def fill(name: str, db: str, devices: int) -> None:
    """Rows of a month that ends now, as they would lie there; then the hours that are made of them."""
    Database(address(db), "ea/v1").close()
    began = time.perf_counter()
    with opened(db) as connection:
        if connection.dialect.name == "sqlite":
            for hours in BY_HOUR.values():  # made at the end, as PostgreSQL's
                connection.execute(text(f"DROP TRIGGER {hours.table.name}_kept"))
        number = 0
        for table, each_s, about in ROWS:
            rows = int(DAYS * DAY_S / each_s)
            number += rows * devices
            connection.execute(text(_insert(connection, table, each_s, about, rows, devices)))
        now = _ago(connection, "0")
        known = f"SELECT 'pi-' || d, {now}, {now}, true, {DEVICE} FROM {_series(connection, devices, 'd')}"
        connection.execute(text(f"INSERT INTO ea_devices {known}"))
        connection.commit()
        print(f"{name}: {number} rows of {devices} devices, made in {time.perf_counter() - began:.0f} s")
        before, began = size(connection), time.perf_counter()
        for hours in BY_HOUR.values():
            make_hours(connection, hours)
        connection.commit()
        took, more = time.perf_counter() - began, size(connection) - before
        connection.commit()
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM ANALYZE")
        print(f"  {before / 1e6:.0f} MB; hours of it: {more / 1e6:.0f} MB, made in {took:.0f} s")


def size(connection: Connection) -> int:
    """Bytes of the database."""
    asked = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    if connection.dialect.name == "postgresql":
        asked = "SELECT pg_database_size(current_database())"
    return int(connection.execute(text(asked)).scalar_one())


def by_hours(db: str) -> None:
    """Seconds for a number by hours: of a device, and of the fleet."""
    with opened(db) as connection:
        hours = (
            f"SELECT device, at, temperature_c FROM ea_health_hours WHERE at > {_ago(connection, str(DAYS * DAY_S))}"
        )
        report(connection, [("temperature of a device, a month by hours", f"{hours} AND device = 'pi-7'")])
        report(connection, [("temperature of every device, a month by hours", hours)])


def panels(db: str) -> None:
    """Seconds of each dashboard's slowest panels, over a month and less."""
    for name in ("fleet", "device"):
        for days in (DAYS, 7, 2, 1, 0.25):
            now = time.time()
            asked = grafana.Asked(now - days * DAY_S, now, {"group": "all", "model": ["har"], "device": "pi-7"})
            queries = [(one.panel, grafana.sql(one, asked)) for one in grafana.queries(grafana.dashboard(name))]
            with opened(db) as connection:
                print(f"  {name}.json, {days} days: the slowest three of {len(queries)} queries")
                report(connection, queries, most=3)


def report(connection: Connection, queries: Sequence[tuple[str, str]], most: int = 1) -> None:
    """Print the slowest of some queries."""
    found = []
    for name, query in queries:
        began = time.perf_counter()
        rows = len(connection.exec_driver_sql(query.replace("%", "%%")).all())
        found.append((time.perf_counter() - began, name, rows))
    for seconds, name, rows in sorted(found, reverse=True)[:most]:
        print(f"  {name}: {seconds:.2f} s for {rows} rows")


def _insert(connection: Connection, table: str, each_s: float, about: dict[str, str], rows: int, devices: int) -> str:
    postgres = connection.dialect.name == "postgresql"
    at = _ago(connection, f"{each_s} * ({rows} - m)")
    number = "event_seq" if table == "ea_events" else "seq"
    names = f"device, {number}, boot_id, at, received, " + ", ".join(about)
    values = ", ".join(about.values()).format(chance="random()" if postgres else "abs(random() / 9.3e18)")
    key = f"'pi-' || d, CAST({int(each_s * 1000)} AS bigint) * m, '{BOOT}', {at}, {at}"
    fleet = f"{_series(connection, rows, 'm')} CROSS JOIN {_series(connection, devices, 'd')}"
    return f"INSERT INTO {table} ({names}) SELECT {key}, {values} FROM {fleet} ORDER BY m, d"


def _ago(connection: Connection, seconds: str) -> str:
    postgres = connection.dialect.name == "postgresql"
    return f"now() - make_interval(secs => {seconds})" if postgres else f"unixepoch() - {seconds}"


def _series(connection: Connection, number: int, name: str) -> str:
    if connection.dialect.name == "postgresql":
        return f"generate_series(0, {number - 1}) AS {name}"
    numbers = f"WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < {number - 1})"
    return f"({numbers} SELECT n AS {name} FROM s)"


if __name__ == "__main__":
    main()
