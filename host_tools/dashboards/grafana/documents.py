"""The dashboards as files: name → JSON, as Grafana imports it."""

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from host_tools.dashboards.grafana import device, fleet, prometheus

_MADE = {"fleet.json": fleet.dashboard, "device.json": device.dashboard, "prometheus.json": prometheus.dashboard}


def documents() -> dict[str, str]:
    """Each file's text, the same for the same code."""
    return {name: _text(make().build()) for name, make in _MADE.items()}


def _text(dashboard: Dashboard) -> str:
    for number, panel in enumerate(dashboard.panels or [], start=1):
        panel.id_val = number  # an address of one panel has it
    return JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False).encode(dashboard) + "\n"
