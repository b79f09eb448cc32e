"""Charts: what is drawn can be read off the SVG."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from scalr.report import charts, drawing
from scalr.studies.findings.comparisons import Change

if not drawing.charts_available():
    pytest.skip("the extra 'report' is not installed", allow_module_level=True)


def texts(svg):
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter("text")]


def change(arm, value, interval):
    return Change(arm, "real_only", "all", "normalized_entropy", value, interval, 0.95, None)


def test_funnel_writes_every_step():
    figure = charts.funnel_chart([("Source events", 1000), ("Drawn", 4000), ("Aligned", 3000)])
    assert texts(figure.wide)[-3:] == ["1,000", "4,000", "3,000 · 75 % kept"]
    assert texts(figure.narrow)[-3:] == ["1.00k", "4.00k", "3.00k"]
    assert figure.label == "Events through the stages: source events 1,000, drawn 4,000, aligned 3,000."


def test_both_widths_are_as_wide_as_they_say():
    figure = charts.coverage_chart({"sample": 0.3, "top1": 0.04})
    assert 'width="430"' in figure.wide
    assert 'width="340"' in figure.narrow


def test_forest_puts_the_names_and_numbers():
    changes = [change("scalr", -0.0111, (-0.013, -0.0092)), change("random_items", 0.02, None)]
    domain = charts.forest_domain(changes)
    assert domain == pytest.approx((-1.3 - 0.06 * 3.3, 2.0 + 0.06 * 3.3))
    written = texts(charts.forest_chart("All users", changes, ["scalr", "random_items"], domain).wide)
    assert {"SCALR", "Random items", "−1.11 % [−1.30, −0.92]", "+2.00 %", "0 %", "◂ better"} <= {
        re.sub(r"\s+", " ", text) for text in written
    }


@pytest.mark.parametrize("domain", [(-0.06, 0.06), (-1.5, 2.2), (-40.0, 3.0), (-0.001, 0.002), (0.0, 900.0)])
@pytest.mark.parametrize("most", [2.4, 8.0])
def test_ticks_are_few_and_round_and_hold_zero(domain, most):
    ticks = charts._ticks(domain, most)
    assert 0.0 in ticks
    assert len(ticks) <= most + 1
    assert all(domain[0] - 1e-9 <= tick <= domain[1] + 1e-9 for tick in ticks)


def test_curves_are_named_where_they_are_apart():
    curves = {"sample": [0.1, 0.5, 1.0, 1.0], "top1": [0.9, 1.0, 1.0, 1.0]}
    labels = charts._curve_labels(curves)
    assert [label["text"] for label in labels] == ["sampled", "top-1"]
    assert {label["rank"] for label in labels} == {0.0}


def test_ids_belong_to_one_picture():
    shown = {"data": {"values": [{"a": 1}]}, "encoding": {"x": {"field": "a"}}}
    clipped = {**shown, "mark": {"type": "bar", "clip": True}}
    one, two, again = (drawing._svg(clipped, name, "label") for name in ("one", "two", "one"))
    assert one == again
    own, other = (set(re.findall(r' id="([^"]+)"', svg)) for svg in (one, two))
    assert own
    assert own & other == set()
    assert set(re.findall(r"url\(#([^)]+)\)", one)) <= own


def test_labels_are_escaped():
    svg = drawing._svg({"mark": "point", "data": {"values": []}}, "name", 'a "<b>" & c')
    assert ElementTree.fromstring(svg).get("aria-label") == 'a "<b>" & c'
