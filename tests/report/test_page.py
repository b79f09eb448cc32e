"""The page: what is shown, that it is safe, and that it needs nothing."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from html.parser import HTMLParser

import pytest

from scalr.foundation.errors import OutputError
from scalr.report import write_report
from scalr.report.drawing import charts_available
from scalr.report.page import ReportData

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>\"'&{{ 7 * 1117 }}"
SECTIONS = {
    "comparison": "study",
    "funnel": "stages",
    "stages": "stages",
    "coverage": "coverage",
    "alignment": "alignment",
    "examples": "examples",
    "pair": "pair",
    "warnings": "warnings",
}
SHARES = {"real": [0.5, 0.5], "before": [0.9, 0.1], "after": [0.5, 0.5]}
VOID = {"meta", "path", "line", "rect"}


class Tags(HTMLParser):
    """Collects tags, attributes and text; refuses tags that do not nest."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.open, self.text = [], [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def page(tmp_path):
    """Write a report and return its text."""

    def write(data):
        write_report(tmp_path / "report.html", data)
        return (tmp_path / "report.html").read_text(encoding="utf-8")

    return write


@pytest.fixture
def whole(generated, study_of):
    """A run with everything, studied."""
    return dataclasses.replace(generated, study=study_of())


def parsed(text):
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    return tags


def ids(text):
    return [value for _, name, value in parsed(text).attributes if name == "id"]


def needs_charts():
    if not charts_available():
        pytest.skip("the extra 'report' is not installed")


def test_naturally_cold_users_are_shown_and_explained_where_they_were_judged(page, whole):
    assert "aturally cold" not in page(whole)
    rows = [{**row, "segment": "naturally_cold"} for row in whole.study["comparisons"] if row["segment"] == "cold"]
    text = page(dataclasses.replace(whole, study={**whole.study, "comparisons": [*whole.study["comparisons"], *rows]}))
    assert "Naturally cold users: all metrics" in text
    assert "Cold users with no target event before the test period, not even a hidden one." in text


def test_a_title_is_enough(page):
    text = page(ReportData(title="Only a title"))
    assert "Only a title" in text
    assert "has not been measured" in text
    assert set(SECTIONS) & set(ids(text)) == set()


@pytest.mark.parametrize(("section", "part"), SECTIONS.items())
def test_a_section_appears_only_with_its_data(page, whole, monkeypatch, section, part):
    monkeypatch.setattr("scalr.report.drawing.charts_available", lambda: False)
    assert section in ids(page(whole))
    empty = getattr(ReportData(title=""), part)
    without = {part: empty} | ({"curves": None} if part == "coverage" else {})
    assert section not in ids(page(dataclasses.replace(whole, **without)))


def test_charts_are_drawn_twice_and_described(page, whole):
    needs_charts()
    tags = parsed(page(whole))
    labels = [value for tag, name, value in tags.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(labels) == 2 * (3 + 1 + 2 + 2)  # forests, funnel, coverage, alignment
    assert all(len(label) > 20 for label in labels)
    assert "All users: relative change of normalized entropy. SCALR −1.11 % (95 %" in " ".join(labels)


def test_ids_are_unique(page, whole):
    found = ids(page(whole))
    assert len(found) == len(set(found))


def test_same_data_same_bytes(page, whole):
    assert page(whole) == page(whole)


def test_data_survive_json(page, whole, monkeypatch):
    """A report can be made again from what a run's folder holds."""
    monkeypatch.setattr("scalr.report.drawing.charts_available", lambda: False)
    again = ReportData(**json.loads(json.dumps(dataclasses.asdict(whole))))
    assert page(again) == page(whole)


@pytest.mark.parametrize("with_charts", [True, False])
def test_needs_no_network_and_runs_no_script(page, whole, monkeypatch, with_charts):
    if not with_charts:
        monkeypatch.setattr("scalr.report.drawing.charts_available", lambda: False)
    text = page(whole)
    tags = parsed(text)
    assert re.findall(r"https?:|//[a-z]|@import|url\((?!#)", text) == []
    assert {"script", "link", "iframe", "object", "embed", "img"} & set(tags.tags) == set()
    assert [name for _, name, _ in tags.attributes if name.startswith("on") or name in {"src", "href"}] == []


def test_hostile_names_are_text(page, whole, study_of):
    study = study_of()
    study["arms"][HOSTILE] = study["arms"]["scalr"]
    study["protocol"][HOSTILE] = HOSTILE
    study["comparisons"] += [
        {**study["comparisons"][0], "arm": HOSTILE},
        {**study["comparisons"][0], "segment": HOSTILE},
        {**study["comparisons"][0], "metric": HOSTILE},
    ]
    names = [f"{role}_{part}" for role in ("source", "target") for part in ("item", "title", "domain")]
    hostile = ReportData(
        title=HOSTILE,
        subtitle=HOSTILE,
        notes=(HOSTILE, f"`{HOSTILE}`"),
        warnings=(HOSTILE,),
        pair={"domains": [{"name": HOSTILE, "role": HOSTILE, HOSTILE: HOSTILE}], "overlap_users": 3},
        stages={**whole.stages, HOSTILE: {"rows_in": 1058842, "rows_out": 5}},
        coverage={"sample": 0.3, HOSTILE: 0.2},
        curves={"sample": [0.5, 1.0], HOSTILE: [0.6, 1.0]},
        alignment=({"by": HOSTILE, "edges": [HOSTILE, "b\\']", None], **SHARES},),
        study=study,
        examples=(dict.fromkeys(("user", *names), HOSTILE),),
        settings={HOSTILE: {HOSTILE: HOSTILE}},
        environment={"version": HOSTILE},
    )
    text = page(hostile)
    tags = parsed(text)
    assert "script" not in tags.tags
    assert "img" not in tags.tags
    assert [name for _, name, _ in tags.attributes if name.startswith("on")] == []
    assert HOSTILE in tags.text
    assert "7819" not in text


def test_text_that_is_no_unicode_is_still_written(page):
    assert "&#55357;" in page(ReportData(title="lone \ud83d surrogate"))


def test_without_the_extra_there_are_tables(page, whole, monkeypatch):
    monkeypatch.setitem(sys.modules, "altair", None)
    assert not charts_available()
    text = page(whole)
    tags = parsed(text)
    assert "no-charts" in ids(text)
    assert "pip install 'scalr-rec[report]'" in tags.text
    assert [tag for tag in tags.tags if tag == "svg"] == ["svg"]  # the verdict's sign
    for fact in ("1,058,842", "31.2\u00a0%", "87.4\u00a0%", "−1.11\u00a0%", "21.4\u00a0%"):
        assert fact in tags.text


@pytest.mark.parametrize(
    "alignment",
    [
        {"by": "value"},
        {"by": "value", "edges": [], "real": [], "before": [], "after": []},
        {"by": "value", "edges": [1.0], "real": [0.5, 0.5], "before": [0.5, 0.5], "after": [1.0]},
        {"by": "time", "edges": [1.5e15], "real": [0.5, 0.5], "before": [1.0, 0.0], "after": [None, 1.0]},
        {"by": "value", "edges": [2.0, 2.0], "real": [1.0], "before": [1.0], "after": [1.0]},
        {"by": "value", "edges": [0.0, 1.0], "real": [0.0], "before": [0.0], "after": [0.0]},
    ],
)
def test_odd_alignments_are_shown_as_far_as_they_go(page, alignment):
    assert "Do synthetic events look like real ones?" in page(ReportData(title="t", alignment=(alignment,)))


def test_odd_numbers_are_left_out(page):
    text = page(
        ReportData(
            title="t",
            coverage={"sample": None, "top1": float("nan")},
            curves={"sample": [], "top1": [None, 1.0]},
            stages={"sample": {"rows_in": None}, "fit": {}, "align": {"rows_in": 0, "rows_out": 0}},
            examples=({},),
            pair={"domains": [{"name": None, "users": None}], "overlap_users": None},
        )
    )
    assert "coverage" not in ids(text)
    assert "funnel" not in ids(text)
    assert "nan" not in parsed(text).text.lower()


def test_nothing_drawn_is_no_fault(page):
    stages = {name: {"rows_in": 0, "rows_out": 0, "wall_seconds": 0.0} for name in ("sample", "align")}
    data = ReportData(title="t", stages=stages, coverage={"sample": 0.0}, curves={"sample": [1.0]})
    assert "funnel" in ids(page(data))


def test_arms_that_are_equal_can_be_drawn(page, study_of):
    """Every change exactly zero: as where the gate switched synthetic events off."""
    study = study_of({"scalr": (0.0, 0.0), "shuffled_users": (0.0, 0.0)})
    assert "Synthetic events did not help" in page(ReportData(title="t", study=study))


def test_changes_without_intervals_can_be_drawn(page, study_of):
    study = study_of()
    for comparison in study["comparisons"]:
        comparison["interval"] = None
    assert "no interval" in page(ReportData(title="t", study=study))


def test_percent_signs_stay_with_their_numbers(page, whole):
    text = re.sub(r"<svg.*?</svg>|<dl>.*?</dl>|<style>.*?</style>", "", page(whole), flags=re.S)
    assert re.findall(r"\d %", text) == []


def test_a_missing_folder_is_the_users_to_make(tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        write_report(tmp_path / "missing" / "report.html", ReportData(title="t"))
