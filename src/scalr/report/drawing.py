"""Sizes and colours of charts; converts Vega-Lite specifications to inline SVG."""

from __future__ import annotations

import html
import importlib.util
import json
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scalr.foundation import require_extra

INK, MUTED, GRID, PALE = "#1f2a37", "#5b6675", "#e1e6ec", "#c3cbd6"
BLUE, ORANGE, GREY = "#0b6fb8", "#c9540a", "#7b8796"
"""Blue, orange and grey are distinct for colour-blind readers and in print."""

WIDE, HALF, NARROW = 900, 430, 340
"""Widths in pixels: full line, half a line, phone."""

EXTRA = "report"

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
PERCENT = "format(100 * datum.value, '.4~r') + ' %'"
_OWN = "own-id-"
_CONFIG: dict[str, Any] = {
    "background": None,
    "font": _FONT,
    "aria": False,
    "view": {"stroke": None},
    "text": {"fontSize": 13, "fill": INK},
    "axis": {
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelColor": MUTED,
        "titleColor": MUTED,
        "gridColor": GRID,
        "domain": False,
        "ticks": False,
        "labelPadding": 8,
        "labelOverlap": True,
    },
    "axisY": {"labelLimit": 400},
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One chart, drawn twice.

    Attributes:
        label: Description for readers who cannot see the chart.
        wide: SVG for wide screens.
        narrow: SVG for phones.
    """

    label: str
    wide: str
    narrow: str


def charts_available() -> bool:
    """Return whether the extra `report` is installed; without it pages have tables only."""
    return all(importlib.util.find_spec(name) is not None for name in ("altair", "vl_convert"))


def figure(name: str, label: str, draw: Callable[[int], dict[str, Any]], *, wide: int = WIDE) -> Figure:
    """Draw a chart for wide and narrow screens; `draw` returns the specification for a width."""
    svgs = [_svg(draw(width), f"{name}-{width}", label) for width in (wide, NARROW)]
    return Figure(label, *svgs)


def _svg(spec: Mapping[str, Any], name: str, label: str) -> str:
    """Draw a specification.

    The converter numbers ids from the start of the process. They are renumbered and get a prefix, so that charts of
    one page do not share ids and the same chart is the same text.
    """
    converter = require_extra("vl_convert", EXTRA)
    version = ".".join(require_extra("altair", EXTRA).SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    svg: str = converter.vegalite_to_svg(dict(spec), vl_version=version, allowed_base_urls=[])
    svg = re.sub(r' (?:xmlns(?::\w+)?|version|class|font-family|aria-[a-z]+|role)="[^"]*"', "", svg)
    for place, drawn in enumerate(dict.fromkeys(re.findall(r'<[^<>]* id="([^"]+)"', svg))):
        for before, after in (('id="', '"'), ("url(#", ")"), ('href="#', '"')):
            svg = svg.replace(f"{before}{drawn}{after}", f"{before}{_OWN}{place}{after}")
    svg = svg.replace(_OWN, f"{name}-{zlib.crc32(svg.encode()):08x}-")
    return svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(label)}"', 1)


def spec(
    chart: Any, width: int, height: int, *, left: int, right: int, top: int = 8, bottom: int = 8
) -> dict[str, Any]:
    """Return the specification of a chart; `width` in pixels includes the margins."""
    sized = chart.properties(
        width=width - left - right,
        height=height,
        padding={"left": left, "right": right, "top": top, "bottom": bottom},
        autosize="none",
    )
    plain: dict[str, Any] = sized.to_dict(validate=False)  # the tests validate our charts
    return {**plain, "config": _CONFIG}


def left_margin(labels: Sequence[str], width: int) -> int:
    """Return the width of labels at 13 pixels (12 on a phone), at most 44 % of the width."""
    letter = 6.3 if width == NARROW else 7.2
    return min(round(letter * max(map(len, labels), default=0)) + 8, width * 44 // 100)


def name_axis(alt: Any, left: int, width: int, *, bold: str = "") -> Any:
    """Return an axis of left-aligned names, with the name `bold` in bold type."""
    weight = {"condition": {"test": f"datum.value === {json.dumps(bold)}", "value": "bold"}, "value": "normal"}
    return alt.Axis(
        title=None,
        labelColor=INK,
        labelFontSize=12 if width == NARROW else 13,
        labelFontWeight=weight,
        labelAlign="left",
        labelPadding=left,
        labelLimit=left - 6,
        grid=False,
    )
