"""Grafana's dashboards: ``python -m host_tools.dashboards.grafana`` writes the files in this folder.

They are made with Grafana's own foundation SDK, which developers install with the extra ``dev``. The import of a
dashboard needs only its file.
"""
