"""The section on columns that give synthetic rows away."""

import re
from xml.etree import ElementTree

import pytest

from scalr.report import detection as leaks
from scalr.report import write_report
from scalr.report.drawing import charts_available
from scalr.report.page import ReportData


def column(name, auc, **others):
    found = {"name": name, "auc": auc, "low": auc - 0.01, "high": auc + 0.01}
    return {**found, "is_leaky": auc > 0.61, "is_needed": False, "sign": "values", **others}


FOUND = {
    "before": {"auc": 0.95, "low": 0.94, "high": 0.96},
    "after": {"auc": 0.7, "low": 0.69, "high": 0.71},
    "columns": [
        column("device", 0.9, sign="nulls"),
        column("time", 0.7, is_needed=True, sign="fineness"),
        column("price", 0.52),
    ],
    "droppable": ["device"],
    "rows": {"real": 12_000, "synthetic": 100_622},
    "classifier": "lightgbm",
    "threshold": 0.6,
    "dropped": True,
}


def test_each_column_has_its_numbers_its_sign_and_its_fate():
    section = leaks.leak_section(FOUND)
    assert [(row["name"], row["auc"], row["sign"], row["fate"]) for row in section["rows"]] == [
        ("device", "0.900", "its nulls", "dropped"),
        ("time", "0.700", "the precision of its values", "kept: column of a role"),
        ("price", "0.520", "", "harmless"),
    ]
    assert section["lead"] == [
        "The AUC of synthetic against real rows, judged by their columns with boosted trees (LightGBM), is 0.950 "
        "(95 % interval 0.940 to 0.960), on 12,000 real and 100,622 synthetic rows.",
        "Without `device` it is 0.700 (95 % interval 0.690 to 0.710).",
    ]
    assert section["rows"][0]["interval"] == "[0.890, 0.910]"


@pytest.mark.parametrize(
    ("changes", "notes"),
    [
        ({}, ("`time` identifies synthetic rows; see the section on columns.",)),
        ({"dropped": False}, ("`device` and `time` identify synthetic rows; see the section on columns.",)),
        ({"columns": [column("price", 0.5)]}, ()),
    ],
)
def test_what_is_left_in_the_files_is_said_first(changes, notes):
    assert leaks.leak_notes({**FOUND, **changes}) == notes


@pytest.mark.parametrize("found", [None, {}, {"before": {"auc": None}}])
def test_nothing_is_shown_where_nobody_looked(found):
    assert leaks.leak_section(found) is None
    assert leaks.leak_notes(found) == ()


def test_the_chart_draws_all_together_and_each_column_and_leaves_long_tails_to_the_table():
    if not charts_available():
        pytest.skip("the extra 'report' is not installed")
    chart = leaks.leak_chart(leaks.leak_section(FOUND))
    for svg in (chart.wide, chart.narrow):
        texts = {"".join(element.itertext()) for element in ElementTree.fromstring(svg).iter("text")}
        assert {"All columns together", "Without leaky ones", "device", "time", "price", "0.950", "0.520"} <= texts
    many = {**FOUND, "columns": [column(f"c{x}", 0.5 + x / 100) for x in range(40)]}
    section = leaks.leak_section(many)
    assert (len(section["rows"]), len(section["points"]), section["hidden"]) == (40, 17, 25)


@pytest.mark.parametrize("found", [FOUND, {**FOUND, "after": None, "threshold": None}])
def test_the_page_has_the_section_and_escapes_names(tmp_path, found):
    hostile = {**found, "columns": [*found["columns"], column("<b>", 0.55)]}
    write_report(tmp_path / "report.html", ReportData(title="a run", leaks=hostile))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    section = re.search(r'<section id="leaks">.*?</section>', page, re.S).group()
    assert "<b>" not in section
    assert "&lt;b&gt;" in section
    assert "kept: column of a role" in section
    assert "role=\"note\"" in page  # fmt: skip


def test_the_page_has_no_section_where_nobody_looked(tmp_path):
    write_report(tmp_path / "report.html", ReportData(title="a run"))
    assert 'id="leaks"' not in (tmp_path / "report.html").read_text(encoding="utf-8")
