"""The kinds of panels in the dashboards, each with its common options."""

from collections.abc import Mapping, Sequence
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphDrawStyle,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)

Target = Builder[Dataquery]
WIDTH = 24
"""Width of a dashboard, in Grafana's columns."""
SHORT, TALL = 4, 8
"""Heights of panels, in Grafana's rows."""
POINTS = 72
"""Points of a line: one per 20 minutes for a day, and one per hour from a little more than two days on."""
GOOD, WARN, BAD = "green", "orange", "red"
YES_NO = {"true": ("yes", GOOD), "false": ("no", BAD)}
NO_YES = {"true": ("yes", BAD), "false": ("no", GOOD)}


def number(
    title: str, source: DataSourceRef, target: Target, *, text: str, unit: str = "none", bad_from: float | None = None
) -> stat.Panel:
    """A single number, red from ``bad_from`` on."""
    panel = (
        stat.Panel()
        .title(title)
        .description(text)
        .datasource(source)
        .with_target(target)
        .height(SHORT)
        .span(4)
        .unit(unit)
        .graph_mode(BigValueGraphMode.NONE)
        .color_mode(BigValueColorMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    )
    return panel.thresholds(_thresholds(None, bad_from) if bad_from is not None else _thresholds(None, None))


def lines(
    title: str,
    source: DataSourceRef,
    targets: Sequence[Target],
    *,
    text: str,
    unit: str = "none",
    span: int = 8,
    least: str = "5m",
    line_at: float | None = None,
    stacked_bars: bool = False,
) -> timeseries.Panel:
    """Numbers over time; a point covers at least ``least``. ``line_at``: a limit to draw."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(text)
        .datasource(source)
        .targets(list(targets))
        .height(TALL)
        .span(span)
        .unit(unit)
        .interval(least)
        .max_data_points(POINTS)
        .axis_soft_min(0)
        .fill_opacity(80 if stacked_bars else 8)
        .show_points(VisibilityMode.AUTO)
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
    )
    if stacked_bars:
        panel = panel.draw_style(GraphDrawStyle.BARS).stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    if line_at is not None:
        drawn = common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds(_thresholds(None, line_at)).thresholds_style(drawn)
    return panel


def rows(
    title: str,
    source: DataSourceRef,
    targets: Target | Sequence[Target],
    *,
    text: str,
    span: int = WIDTH,
    units: Mapping[str, str] | None = None,
    words: Mapping[str, Mapping[str, tuple[str, str]]] | None = None,
    links: Mapping[str, str] | None = None,
) -> table.Panel:
    """A table. ``units``: column → unit; ``words``: column → value → word and colour; ``links``: column → address."""
    panel = (
        table.Panel()
        .title(title)
        .description(text)
        .datasource(source)
        .targets(list(targets) if isinstance(targets, Sequence) else [targets])
        .height(TALL)
        .span(span)
        .filterable(True)
    )
    for column, unit in (units or {}).items():
        panel = panel.override_by_name(column, [DynamicConfigValue("unit", unit)])
    for column, of in (words or {}).items():
        mapped = ValueMap({value: ValueMappingResult(text=word, color=color) for value, (word, color) in of.items()})
        shown = [DynamicConfigValue("mappings", [mapped]), _coloured()]
        panel = panel.override_by_name(column, shown)
    for column, url in (links or {}).items():
        panel = panel.override_by_name(column, [DynamicConfigValue("links", [{"title": "Open it", "url": url}])])
    return panel


def bars(
    title: str, source: DataSourceRef, target: Target, *, text: str, span: int = 8, a_row: bool = True
) -> bargauge.Panel:
    """A bar for each row of the result, which has a name and a number, or otherwise for each series."""
    return (
        bargauge.Panel()
        .title(title)
        .description(text)
        .datasource(source)
        .with_target(target)
        .height(TALL)
        .span(span)
        .min(0)
        .orientation(VizOrientation.HORIZONTAL)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(a_row))
        .thresholds(_thresholds(None, None))
    )


def _coloured() -> DynamicConfigValue:
    return DynamicConfigValue("custom.cellOptions", {"type": "color-text"})


def _thresholds(warn: float | None, bad: float | None) -> ThresholdsConfig:
    steps: list[Any] = [Threshold(None, GOOD)]
    if warn is not None:
        steps.append(Threshold(warn, WARN))
    if bad is not None:
        steps.append(Threshold(bad, BAD))
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
