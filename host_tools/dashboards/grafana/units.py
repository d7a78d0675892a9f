"""Grafana's unit ids, and words with their colours."""

from grafana_foundation_sdk.models import units as all_of

AGO = "dateTimeFromNow"
BYTES = all_of.BytesIEC
CELSIUS = all_of.Celsius
HERTZ = all_of.Hertz
MS = all_of.Milliseconds
PER_SECOND = all_of.CountsPerSecond
SECONDS = all_of.Seconds
SHARE = all_of.PercentUnit
SEVERITIES = {"info": ("info", "blue"), "warning": ("warning", "orange"), "error": ("error", "red")}
