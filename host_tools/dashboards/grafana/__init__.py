"""Grafana's dashboards: ``python -m host_tools.dashboards.grafana`` writes the files that lie here.

They are made with Grafana's own foundation SDK, an extra of developers (``dev``); whoever imports a dashboard needs
nothing but its file.
"""
