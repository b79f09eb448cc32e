"""The gate in words and as rows."""

import pytest

from scalr.report import write_report
from scalr.report.choice import rehearsal_rows
from scalr.report.page import ReportData
from scalr.studies.findings.gating import gate_of


def opening(segment, *, is_open, change=-0.02, p_real=0.0001, p_shuffled=0.004, rehearsal="near", users=1200):
    return {
        "segment": segment,
        "open": is_open,
        "users": users,
        "change": change,
        "p_real_only": p_real,
        "p_shuffled_users": p_shuffled,
        "level": 0.05,
        "rehearsal": rehearsal,
    }


def study(*gate, rehearsals=None):
    search = {"chosen": {"train.l2": 0.1}, "stopped": None, "rounds": {}}
    return {"choice": {"gate": list(gate), "rehearsals": rehearsals, "searches": {"scalr": search}}}


WARM = opening("warm", is_open=True)


@pytest.mark.parametrize(
    ("closed", "reason"),
    [
        (opening("cold", is_open=False, change=None), "too few users to decide"),
        (opening("cold", is_open=False, change=0.01), "prediction error rises by 1.00 % on the validation period"),
        (
            opening("cold", is_open=False, change=-0.001, p_real=0.389, rehearsal="far"),
            "a gain of 0.10 % on an earlier period as long as the test period may be chance (p = 0.39)",
        ),
        (opening("cold", is_open=False, p_shuffled=0.3), "other users' synthetic events help as much (p = 0.30)"),
    ],
)
def test_a_closed_gate_says_why(closed, reason):
    gate = gate_of(study(WARM, closed))
    assert (gate.open, gate.closed) == (("warm",), ("cold",))
    assert gate.reasons["cold"] == reason
    assert reason in gate.sentence


def test_no_gate_no_sentence():
    assert gate_of(None) is None
    assert gate_of(study()) is None


def test_every_rehearsal_and_segment_is_a_row():
    rehearsed = {
        "near": [WARM, opening("cold", is_open=False, users=0, change=None, p_real=None, p_shuffled=None)],
        "far": [opening("warm", is_open=False, change=0.001, p_real=0.61, rehearsal="far")],
    }
    first, second, third = rehearsal_rows(study(WARM, rehearsals=rehearsed))
    assert first == {
        "judged": "The validation period",
        "segment": "Warm users",
        "users": "1,200",
        "change": "−2.00 %",
        "p_real": "< 0.001",
        "p_shuffled": "0.004",
        "gains": "yes",
    }
    assert (second["change"], second["p_real"], second["gains"]) == ("–", "–", "no")
    assert (third["judged"], third["change"]) == ("An earlier period as long as the test period", "+0.10 %")
    assert rehearsal_rows(None) == rehearsal_rows(study(WARM)) == []


def test_the_page_shows_them(tmp_path):
    file = tmp_path / "report.html"
    write_report(file, ReportData(title="a study", study=study(WARM, rehearsals={"far": [WARM]})))
    shown = file.read_text()
    assert "An earlier period as long as the test period" in shown
    assert "rehearsed on two periods" in shown
