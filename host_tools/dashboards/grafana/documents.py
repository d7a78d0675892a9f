"""The dashboards as files: name → JSON in Grafana's import format."""

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from host_tools.dashboards.grafana import device, fleet, prometheus

_MADE = {"fleet.json": fleet.dashboard, "device.json": device.dashboard, "prometheus.json": prometheus.dashboard}


def documents() -> dict[str, str]:
    """The text of each file, identical for identical code."""
    return {name: _text(make().build()) for name, make in _MADE.items()}


def _text(dashboard: Dashboard) -> str:
    for number, panel in enumerate(dashboard.panels or [], start=1):
        panel.id_val = number  # the address of a single panel contains it
    return JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False).encode(dashboard) + "\n"
