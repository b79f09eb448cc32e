"""The section on translators by themselves: words and the chart."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from scalr.report import translations, write_report
from scalr.report.drawing import charts_available
from scalr.report.page import ReportData


def quality(value, half, buckets=3):
    gain = {"value": value, "interval": [value - half, value + half], "level": 0.95}
    stated = [0.01 * 4**place for place in range(buckets)]
    return {
        "log_likelihood": -9.0,
        "interval": [-9.1, -8.9],
        "perplexity": 8103.1,
        "perplexity_interval": [7331.9, 8955.3],
        "reached": 0.134,
        "pairs": 5398,
        "users": 2000,
        "gain_over_popularity": gain,
        "mixed_gain_over_popularity": gain,
        "calibration": {
            "error": 0.41,
            "buckets": [
                {"draws": 10, "stated": one, "observed": one / 2, "interval": [one / 3, one]} for one in stated
            ],
        },
    }


STUDY = {
    "translation": {
        "popularity": quality(0.0, 0.0),
        "random": quality(0.01, 0.05),
        "cooccurrence": quality(0.25, 0.05),
        "factor": quality(-2.4, 0.1),
    }
}


def test_rows_stand_in_order_and_say_what_is_known():
    rows = translations.translation_table(STUDY)
    assert [row["name"] for row in rows] == [
        "Co-occurrence", "Low-rank score", "Popularity (control)", "Any item (control)",
    ]  # fmt: skip
    first = rows[0]
    assert (first["perplexity"], first["perplexity_interval"]) == ("8,103", "[7,332, 8,955]")
    assert (first["gain"], first["gain_interval"], first["kind"]) == ("+0.25", "[+0.20, +0.30]", "helped")
    assert (first["reached"], first["error"]) == ("13 %", "41 %")
    assert [row["kind"] for row in rows] == ["helped", "harmed", "", "not_clear"]


@pytest.mark.parametrize("study", [None, {}, {"translation": {}}])
def test_nothing_is_shown_of_nothing(study):
    assert translations.translation_table(study) == []
    assert translations.calibration_points(study) == {}


def test_unknown_numbers_are_dashes():
    empty = {"calibration": {"error": None, "buckets": []}, "gain_over_popularity": None, "interval": [None, None]}
    row = translations.translation_table({"translation": {"mine": empty}})[0]
    assert (row["name"], row["perplexity"], row["gain"], row["error"], row["kind"]) == ("mine", "–", "–", "–", "none")
    assert translations.calibration_points({"translation": {"factor": empty}}) == {}


def test_the_chart_draws_translators_and_leaves_controls_out():
    if not charts_available():
        pytest.skip("the extra 'report' is not installed")
    found = translations.calibration_points(STUDY)
    assert list(found) == ["cooccurrence", "factor"]
    chart = translations.calibration_chart(found)
    for svg in (chart.wide, chart.narrow):
        texts = {"".join(element.itertext()) for element in ElementTree.fromstring(svg).iter("text")}
        assert {"Co-occurrence", "Low-rank score", "predicted confidence"} <= texts
    assert chart.label.startswith(
        "Predicted confidence and observed rate in the highest bucket: Co-occurrence predicts"
    )


def test_the_page_has_the_section_where_a_study_has_it(tmp_path, study_of):
    for study, is_shown in ((study_of() | STUDY, True), (study_of(), False)):
        write_report(tmp_path / "report.html", ReportData(title="a run", study=study))
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert ('<section id="translations">' in page) == is_shown
        if is_shown:
            assert re.search(r"predicts the 5,398 new pairs of 2,000 users", page)
