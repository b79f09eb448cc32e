"""Chart of cost against log size, from the figures of sizes A, B and C: `python -m benchmarks.growth`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.tables import aligned
from benchmarks.targets import Figures, cpu_seconds, peak_rss

from scalr.foundation.errors import require_extra
from scalr.report.drawing import BLUE, EXTRA, GREY, GRID, INK, MUTED, ORANGE

SIZES = ("A", "B", "C")
_SHOWN = {"scalr": ("scalr", BLUE), "polars-codes": ("Polars", ORANGE), "duckdb-codes": ("DuckDB", GREY)}
_AXIS = {"labelColor": MUTED, "titleColor": MUTED, "gridColor": GRID, "domain": False, "ticks": False}
_CONFIG = {
    "background": "white",
    "font": "system-ui, 'Segoe UI', Roboto, Arial, sans-serif",
    "view": {"stroke": None},
    "axis": {**_AXIS, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "labelPadding": 8},
}


def points(sizes: Sequence[Figures]) -> list[dict[str, Any]]:
    """Return one point per size and shown process: source events, CPU seconds, peak memory in GB."""
    return [
        {
            "name": label,
            "size": figures["size"],
            "events": figures["events"]["source_events"],
            "cpu": cpu_seconds(figures, process),
            "peak": peak_rss(figures, process) / 1e9,
        }
        for process, (label, _) in _SHOWN.items()
        for figures in sizes
        if process in figures["processes"]
    ]


def chart(measured: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the specification of both panels on logarithmic axes; a thin line shows linear growth."""
    alt = require_extra("altair", EXTRA)
    names = [label for label, _ in _SHOWN.values()]
    colors = alt.Scale(domain=names, range=[color for _, color in _SHOWN.values()])
    last = {point["name"]: point for point in sorted(measured, key=lambda point: point["events"])}
    first = min((point for point in measured if point["name"] == "scalr"), key=lambda point: point["events"])
    most = max(point["events"] for point in measured)

    def panel(value: str, title: str) -> Any:
        x = alt.X(
            "events:Q",
            scale=alt.Scale(type="log"),
            axis=alt.Axis(format="~s", values=[10**6, 10**7, 10**8], grid=False),
        ).title("source events")
        y = alt.Y(f"{value}:Q", scale=alt.Scale(type="log"), axis=alt.Axis(format="~g", tickCount=4)).title(title)
        ends = [
            {"events": events, value: first[value] * events / first["events"]} for events in (first["events"], most)
        ]
        line = alt.Chart(alt.Data(values=ends)).mark_line(color=GRID, strokeWidth=1.5).encode(x=x, y=y)
        base = alt.Chart(alt.Data(values=measured)).encode(
            x=x, y=y, color=alt.Color("name:N", scale=colors, legend=None), detail="name:N"
        )
        labels = (
            alt.Chart(alt.Data(values=list(last.values())))
            .mark_text(align="left", dx=8, fontSize=13, fill=INK)
            .encode(x=x, y=y, text="name:N")
        )
        drawn = line + base.mark_line(strokeWidth=2) + base.mark_point(filled=True, size=60, opacity=1) + labels
        return drawn.properties(width=330, height=240)

    both = alt.hconcat(panel("cpu", "CPU seconds"), panel("peak", "peak memory, GB"), spacing=70)
    plain: dict[str, Any] = both.to_dict()
    return {**plain, "config": _CONFIG, "padding": {"left": 8, "top": 8, "bottom": 8, "right": 60}}


def to_svg(spec: dict[str, Any]) -> str:
    """Render a specification."""
    version = ".".join(require_extra("altair", EXTRA).SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    svg: str = require_extra("vl_convert", EXTRA).vegalite_to_svg(spec, vl_version=version, allowed_base_urls=[])
    return svg


def table(measured: Sequence[dict[str, Any]], draws: int) -> str:
    """Return cost per event as text."""
    rows = [("", "size", "source events", "CPU s", "µs per synthetic event", "peak GB", "peak B per source event")]
    for point in measured:
        micro = f"{1e6 * point['cpu'] / (draws * point['events']):.3f}"
        peak = f"{1e9 * point['peak'] / point['events']:.0f}"
        events, cpu = f"{point['events']:,}", f"{point['cpu']:.1f}"
        rows.append((point["name"], point["size"], events, cpu, micro, f"{point['peak']:.2f}", peak))
    return aligned(rows, left=2)


def main() -> None:
    """Print the table and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--figures", type=Path, default=Path("benchmark-output"), help="folder of A.json, B.json, C.json"
    )
    parser.add_argument("--out", type=Path, default=Path("docs/performance-growth.svg"))
    options = parser.parse_args()
    files = [options.figures / f"{size}.json" for size in SIZES]
    sizes = [json.loads(file.read_text()) for file in files if file.exists()]
    measured = points([figures for figures in sizes if figures["processes"]])
    if not any(point["name"] == "scalr" for point in measured):
        parser.error(f"no figures of scalr in {options.figures}; run `make bench`, `make bench SIZE=B`, … first")
    print(table(measured, sizes[0]["draws"]))
    options.out.write_text(to_svg(chart(measured)) + "\n")
    print(f"written to {options.out}")


if __name__ == "__main__":
    main()
