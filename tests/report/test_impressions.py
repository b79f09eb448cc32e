"""What a study of conversions says in words, by its intervals."""

import sys

import pytest

from scalr.evaluation.folds import SEGMENTS
from scalr.report.impressions import write_conversions_page
from scalr.studies.findings.impressions import impression_finding


def change(arm, baseline, interval, users, segment="all"):
    middle = sum(users or interval) / 2
    names = {"arm": arm, "baseline": baseline, "segment": segment, "metric": "normalized_entropy"}
    return names | {"relative_change": middle, "interval": interval, "interval_users": users}


def study(*comparisons, conversions=500, losses=(0.1, 0.09)):
    sizes = {"impressions": 10_000, "conversions": conversions, "users": 900}
    metric = {"mean": 0.95, "per_seed": [0.95, 0.95]}
    own = {"normalized_entropy": metric, "log_loss": metric, "auc": metric, "calibration_ratio": metric}
    segments = dict.fromkeys(SEGMENTS[:2], own)
    segments["naturally_cold"] = segments["cold"] = {name: {"mean": None, "per_seed": [None, None]} for name in own}
    arms = ("real_only", "shuffled_users", "scalr")
    stated = {"raw": [0.01, 0.2], "analytic": [0.02, 0.3], "isotonic": [0.0, 0.1]}
    return {
        "protocol": {"seeds": [0, 1], "test": dict.fromkeys(SEGMENTS, sizes)},
        "choice": {
            "chosen": {arm: {"mass": 1.0 * (arm != "real_only"), "l2": 3.0} for arm in arms},
            "validation_log_loss": {"real_only": losses[0], "shuffled_users": 0.1, "scalr": losses[1]},
        },
        "segments": dict.fromkeys(arms, segments),
        "comparisons": list(comparisons),
        "calibration": {
            "segments": {arm: dict.fromkeys(stated, segments) for arm in arms},
            "reliability": {"impressions": [5, 5], "observed": [0.0, 0.1], "stated": stated, "arm": "scalr"},
        },
    }


LOW, HIGH, ACROSS = [-0.03, -0.01], [0.01, 0.03], [-0.02, 0.01]


@pytest.mark.parametrize(
    ("interval", "users", "shuffled", "tone", "words"),
    [
        (LOW, LOW, LOW, "helped", "improve conversion prediction"),
        (None, LOW, LOW, "helped", "improve conversion prediction"),
        (LOW, LOW, ACROSS, "unclear", "shuffled users may help as much"),
        (LOW, LOW, HIGH, "unclear", "shuffled users may help as much"),
        (LOW, ACROSS, LOW, "unclear", "500 conversions are too few to decide"),
        (ACROSS, LOW, LOW, "unclear", "500 conversions are too few to decide"),
        (LOW, None, LOW, "unclear", "500 conversions are too few to decide"),
        (HIGH, HIGH, HIGH, "harmed", "worsen conversion prediction"),
        (HIGH, ACROSS, HIGH, "unclear", "500 conversions are too few to decide"),
    ],
)
def test_a_gain_needs_both_intervals_and_must_beat_shuffled_users(interval, users, shuffled, tone, words):
    found = impression_finding(
        study(change("scalr", "real_only", interval, users), change("scalr", "shuffled_users", LOW, shuffled))
    )
    assert found.tone == tone
    assert words in found.headline


def test_without_scalr_nothing_was_compared():
    found = impression_finding(study())
    assert found.tone == "none"
    assert "500 conversions" in found.headline


def test_sentences_tell_segments_validation_and_few_conversions():
    given = study(
        change("scalr", "real_only", ACROSS, ACROSS),
        change("scalr", "real_only", LOW, None, "warm"),
        conversions=20,
        losses=(0.1, 0.101),
    )
    text = " ".join(impression_finding(given).sentences)
    assert "Warm users: normalized entropy −2.00 % ([−3.00, −1.00] over seeds)." in text
    assert "would not have chosen synthetic events: log loss +1.00 % there" in text
    assert "With 20 conversions" in text


@pytest.mark.parametrize("charts", [True, False])
def test_the_page_has_tables_with_and_without_charts(charts, tmp_path, monkeypatch):
    if not charts:
        monkeypatch.setitem(sys.modules, "altair", None)
    given = study(change("scalr", "real_only", LOW, LOW))
    write_conversions_page(tmp_path / "page.html", given, title="<b>a</b> → b", warnings=["Weak & thin."])
    text = (tmp_path / "page.html").read_text()
    assert "&lt;b&gt;a&lt;/b&gt;" in text
    assert "Weak &amp; thin." in text
    assert ("no-charts" in text) == (not charts)
    assert ('<figure class="chart">' in text) == charts
    assert "Shuffled users" in text
    assert "<h3>Naturally cold users: 10,000 impressions" in text


def test_the_page_shows_no_segment_without_users(tmp_path):
    given = study(change("scalr", "real_only", LOW, LOW))
    nobody = {"impressions": 0, "conversions": 0, "users": 0}
    given["protocol"]["test"] |= {"cold": nobody, "naturally_cold": nobody}
    write_conversions_page(tmp_path / "page.html", given, title="a → b")
    text = (tmp_path / "page.html").read_text()
    assert "<h3>Warm users" in text
    assert "Naturally cold" not in text
    assert "<h3>Cold users" not in text
