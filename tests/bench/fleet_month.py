"""A month of a fleet in the history's databases: rows, megabytes, and seconds for what a dashboard's panel asks.

    python tests/bench/fleet_month.py [--devices N]

The databases make the rows themselves, minute by minute as they would come: one of health and one of serving a device.
Prints tables, asserts nothing.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from sqlalchemy import text  # noqa: E402  # after the path above
from support.histories import ask, opened  # noqa: E402
from support.postgresql import postgresql  # noqa: E402

from host_tools.history.address import address  # noqa: E402
from host_tools.history.database import Database  # noqa: E402

MINUTES = 30 * 24 * 60
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


def main() -> None:
    """Print both databases' tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--devices", type=int, default=100)
    devices = options.parse_args().devices
    with tempfile.TemporaryDirectory() as folder:
        db = f"{folder}/history.db"
        fill("SQLite", db, devices)
        print(f"  {Path(db).stat().st_size / 1e6:.0f} MB")
        panels(db)
    with postgresql(fsync=True) as server:
        fill("PostgreSQL", server.url, devices)
        print(f"  {ask(server.url, 'SELECT pg_database_size(current_database())')[0][0] / 1e6:.0f} MB")
        panels(server.url)


def fill(name: str, db: str, devices: int) -> None:
    """Rows of a month that ends now."""
    Database(address(db), "ea/v1").close()
    began = time.perf_counter()
    with opened(db) as connection:
        if connection.dialect.name == "postgresql":
            fleet = f"generate_series(0, {MINUTES - 1}) AS m, generate_series(0, {devices - 1}) AS d"
            at, chance = f"now() - make_interval(mins => {MINUTES} - m)", "random()"
        else:
            series = (
                "(WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < {}) SELECT n AS {} FROM s)"
            )
            fleet = f"{series.format(MINUTES - 1, 'm')} CROSS JOIN {series.format(devices - 1, 'd')}"
            at, chance = f"unixepoch() - 60.0 * ({MINUTES} - m)", "abs(random() / 9.3e18)"
        key = f"'pi-' || d, CAST(1800000000000 AS bigint) + 60000 * CAST(m AS bigint), '{BOOT}', {at}, {at}"
        for table, about in (("ea_health", HEALTH), ("ea_serving", SERVING)):
            names = "device, seq, boot_id, at, received, " + ", ".join(about)
            values = ", ".join(about.values()).format(chance=chance)
            connection.execute(text(f"INSERT INTO {table} ({names}) SELECT {key}, {values} FROM {fleet}"))  # noqa: S608
        connection.commit()
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM ANALYZE")
    print(f"{name}: {2 * devices * MINUTES} rows of {devices} devices, made in {time.perf_counter() - began:.0f} s")


def panels(db: str) -> None:
    """Seconds of what a dashboard asks."""
    with opened(db) as connection:
        postgres = connection.dialect.name == "postgresql"
        hour = "date_trunc('hour', at)" if postgres else "CAST(at / 3600 AS int)"
        ago = "now() - make_interval(days => {})" if postgres else "unixepoch() - 86400 * {}"
        a_day, a_month = f"at > {ago.format(1)}", f"at > {ago.format(30)}"
        asked = {
            "temperature of a device, a month by hours": (
                "max(temperature_c)",
                f"ea_health WHERE device = 'pi-7' AND {a_month}",
            ),
            "p95 of every device, a day by hours": ("max(p95_ms)", f"ea_serving WHERE {a_day}"),
            "temperature of every device, a month by hours": ("max(temperature_c)", f"ea_health WHERE {a_month}"),
        }
        for name, (value, source) in asked.items():
            began = time.perf_counter()
            query = f"SELECT device, {hour}, {value} FROM {source} GROUP BY 1, 2"  # noqa: S608  # our own words
            rows = len(connection.execute(text(query)).all())
            print(f"  {name}: {time.perf_counter() - began:.2f} s for {rows} points")


if __name__ == "__main__":
    main()
