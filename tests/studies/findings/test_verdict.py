"""The verdict in plain words, for every kind of study."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from typer.main import get_command

import scalr
from scalr.cli import app
from scalr.studies.findings.comparisons import calibration_shift, classify, find, read_changes, seeds_of
from scalr.studies.findings.verdict import verdict

CONTROLS = ("random_items", "popular_items", "shuffled_users", "oversampled_real")


def row(arm="scalr", change=-0.01, interval=(-0.012, -0.008), **names):
    found = {"arm": arm, "baseline": "real_only", "segment": "all", "metric": "normalized_entropy", "level": 0.95}
    return {**found, "relative_change": change, "interval": interval, "p_value": 0.01, **names}


def study(*rows, seeds=(0, 1, 2, 3, 4), **parts):
    return {"protocol": {"seeds": list(seeds)}, "comparisons": list(rows), **parts}


def beaten():
    """Controls that change nothing, within 0.2 %."""
    return [row(arm, 0.0, (-0.002, 0.002)) for arm in CONTROLS]


def text_of(study):
    return " ".join(verdict(study).sentences)


def test_naturally_cold_users_are_shown_and_nothing_else_depends_on_them():
    harmed = {"change": 0.03, "interval": (0.02, 0.04), "segment": "naturally_cold"}
    plain = study(row(), *beaten(), row(segment="cold"))
    shown = study(*plain["comparisons"], row(**harmed), row("scalr", baseline="item_knn", **harmed))
    one, other = verdict(plain), verdict(shown)
    added = "Naturally cold users (no target event before the test period, not even a hidden one): harmed, +3.00 %"
    assert [s.startswith(added) for s in other.segment_sentences] == [False, True]
    for name in ("headline", "tone", "findings", "warnings", "next_steps", "standings"):
        assert getattr(one, name) == getattr(other, name)


@pytest.mark.parametrize(
    ("interval", "metric", "outcome"),
    [
        ((-0.012, -0.008), "normalized_entropy", "helped"),
        ((0.008, 0.012), "normalized_entropy", "harmed"),
        ((-0.012, 0.008), "normalized_entropy", "not_clear"),
        ((-0.0005, 0.008), "normalized_entropy", "no_gain"),
        ((-0.002, 0.0), "normalized_entropy", "not_clear"),
        ((0.0, 0.002), "normalized_entropy", "no_gain"),
        ((0.0, 0.0), "normalized_entropy", "no_gain"),
        ((0.008, 0.012), "ndcg@20", "helped"),
        ((-0.012, -0.008), "recall@20", "harmed"),
        ((-0.008, 0.0005), "auc", "no_gain"),
        ((0.008, 0.012), "calibration_ratio", "not_clear"),
        (None, "normalized_entropy", "not_clear"),
        ((None, 0.1), "normalized_entropy", "not_clear"),
        ((math.nan, math.nan), "normalized_entropy", "not_clear"),
    ],
)
def test_judges_by_the_interval_alone(interval, metric, outcome):
    (change,) = read_changes(study(row(interval=interval, metric=metric)))
    assert classify(change) == outcome


def test_helped_and_beats_every_control():
    told = verdict(study(row(), *beaten()))
    assert told.tone == "helped"
    assert told.headline == "Synthetic events helped: prediction error fell by 1.00 %"
    assert told.findings[0].endswith("−1.00 % (95 % interval −1.20 % to −0.80 %), 5 seeds.")
    assert "SCALR beats every control of this study" in told.findings[1]
    assert [standing.outcome for standing in told.standings] == ["beaten"] * 4
    assert told.warnings == ()
    assert "online experiment" in told.next_steps[0]


def test_harmed():
    told = verdict(study(row(change=0.02, interval=(0.01, 0.03)), *beaten()))
    assert told.tone == "harmed"
    assert told.headline == "Synthetic events did harm: prediction error rose by 2.00 %"
    assert "Do not train" in told.next_steps[0]
    assert "SCALR does worse than random items" in text_of(study(row(change=0.02, interval=(0.01, 0.03)), *beaten()))


def test_did_not_help_where_a_gain_is_ruled_out():
    told = verdict(study(row(change=0.001, interval=(-0.0004, 0.0024)), *beaten()))
    assert (told.tone, told.headline) == ("no_gain", "Synthetic events did not help")


def test_not_clear_where_the_interval_is_wide():
    told = verdict(study(row(change=-0.004, interval=(-0.011, 0.003)), *beaten()))
    assert told.tone == "unclear"
    assert "more seeds" in told.next_steps[0]


def test_shuffled_users_that_gain_as_much_are_not_transfer():
    controls = [*beaten()[:2], row("shuffled_users", -0.009, (-0.011, -0.007)), beaten()[3]]
    told = verdict(study(row(), *controls))
    assert told.tone == "caution"
    assert told.headline.endswith("this is not transfer")
    assert "What gains is not transfer" in " ".join(told.findings)
    assert "Do not credit the other domain" in told.next_steps[0]


def test_shuffled_users_that_gain_a_little_are_told_but_do_not_change_the_verdict():
    told = verdict(study(row(), *[row(arm, -0.003, (-0.004, -0.002)) for arm in CONTROLS]))
    assert told.tone == "helped"
    assert "still change it by −0.30 %: that part is not transfer." in " ".join(told.findings)


def test_a_control_within_reach_is_named_in_the_headline():
    controls = [row("random_items", -0.009, (-0.013, -0.005)), *beaten()[1:]]
    told = verdict(study(row(), *controls))
    assert told.tone == "caution"
    assert told.headline.endswith("but not clearly more than with random items")
    assert "SCALR cannot be distinguished from random items." in told.findings
    assert "controls gain too" in told.next_steps[0]


def test_controls_with_wide_intervals_need_more_seeds():
    told = verdict(study(row(), *[row(arm, 0.003, (-0.03, 0.036)) for arm in CONTROLS]))
    assert told.tone == "caution"
    assert told.headline.endswith("but not clearly more than with 4 controls")
    assert "Run more seeds" in told.next_steps[0]


def test_a_control_that_gains_more():
    told = verdict(study(row(), row("oversampled_real", -0.05, (-0.06, -0.04)), *beaten()[:3]))
    assert told.tone == "caution"
    assert "SCALR does worse than repeated real events." in told.findings
    assert "A control gains more" in told.next_steps[0]


def test_direct_comparison_goes_before_overlapping_intervals():
    """Paired differences are sharper: intervals against real events overlap, the direct one leaves out zero."""
    control = row("random_items", -0.007, (-0.010, -0.004))
    direct = row("scalr", -0.003, (-0.004, -0.002), baseline="random_items")
    assert verdict(study(row(), control)).standings[0].outcome == "level"
    assert verdict(study(row(), control, direct)).standings[0].outcome == "beaten"
    tie = row("scalr", 0.0, (0.0, 0.0), baseline="random_items")
    assert verdict(study(row(), control, tie)).standings[0].outcome == "level"


def test_without_controls_a_gain_does_not_count():
    told = verdict(study(row()))
    assert told.tone == "caution"
    assert "no controls" in told.headline
    assert (
        "Controls that this study lacks: random items, popular items, shuffled users and repeated real events"
        in (told.warnings[0])
    )


def test_top_one_that_is_better_leads_to_sharper_draws():
    told = verdict(study(row(), *beaten(), row("top1", -0.03, (-0.035, -0.025))))
    assert told.tone == "helped"
    assert (
        "Sampling is worse than always taking the likeliest item (top-1: −3.00 % against real events only)."
        in told.findings
    )
    assert any("topk" in step for step in told.next_steps)


def test_segments_are_told_apart():
    warm = row(segment="warm", change=0.02, interval=(0.01, 0.03))
    cold = row(segment="cold", change=-0.05, interval=(-0.06, -0.04))
    told = verdict(study(row(), warm, cold, *beaten()))
    assert [(segment, outcome) for segment, outcome, _ in told.segments] == [
        ("all", "helped"),
        ("warm", "harmed"),
        ("cold", "helped"),
    ]
    assert told.segment_sentences[0] == "Warm users: harmed, +2.00 % (95 % interval +1.00 % to +3.00 %)."
    assert any("Warm users were harmed (+2.00 %)" in warning for warning in told.warnings)
    assert any("for warm users" in step for step in told.next_steps)


def test_cold_users_alone_may_be_worth_it():
    told = verdict(
        study(row(change=0.02, interval=(0.01, 0.03)), row(segment="cold", change=-0.05, interval=(-0.06, -0.04)))
    )
    assert told.tone == "harmed"
    assert "Consider synthetic events for cold users only." in told.next_steps


@pytest.mark.parametrize(
    ("change", "warns"), [(0.05, False), (-0.05, False), (0.0501, True), (-0.2, True), (None, False), (math.nan, False)]
)
def test_calibration_that_moves_by_more_than_five_percent(change, warns):
    told = verdict(study(row(), *beaten(), row(metric="calibration_ratio", change=change)))
    assert any("Calibration moved" in warning for warning in told.warnings) == warns
    assert any("Recalibrate" in step for step in told.next_steps) == warns


def test_calibration_is_read_from_the_arms_where_it_is_not_compared():
    arms = {"real_only": {"calibration_ratio": {"mean": 0.8}}, "scalr": {"calibration_ratio": {"mean": 1.0}}}
    made = study(row(), *beaten(), arms=arms)
    assert calibration_shift(read_changes(made), made) == pytest.approx(0.25)
    assert "Calibration moved by +25.0 % from 0.80 to 1.00 (ideal: 1): closer to what happened" in text_of(made)
    arms["scalr"]["calibration_ratio"]["mean"] = 0.6
    assert "predictions must be recalibrated" in text_of(made)


def test_ranking_that_moves_the_other_way_is_a_warning():
    told = verdict(study(row(), *beaten(), row(metric="ndcg@20", change=-0.09, interval=(-0.12, -0.06))))
    assert "Ranked lists got worse: NDCG@20 −9.00 % (95 % interval −12.00 % to −6.00 %)." in told.warnings


def test_few_seeds_are_told():
    assert "Only 2 seeds were run" in text_of(study(row(), *beaten(), seeds=(0, 1)))
    assert "Only 1 seed was run" in text_of(study(row(), *beaten(), seeds=(0,)))


@pytest.mark.parametrize(
    ("made", "seeds"),
    [
        ({"protocol": {"seeds": 5}}, 5),
        ({"protocol": {"seeds": [1, 2]}}, 2),
        ({"arms": {"scalr": {"auc": {"per_seed": [1, 2, 3]}}}}, 3),
        ({"protocol": None, "arms": None}, None),
        (None, None),
    ],
)
def test_counts_seeds_where_they_are_told(made, seeds):
    assert seeds_of(made) == seeds


@pytest.mark.parametrize("nothing", [None, {}])
def test_without_a_study_nothing_is_claimed(nothing):
    told = verdict(nothing)
    assert told.tone == "none"
    assert "has not been measured" in told.headline
    assert "`scalr study`" in told.next_steps[0]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [row(change=None)],
        [row(change=math.nan)],
        [row("top1")],
        [row(segment="cold")],
        [row(baseline="top1")],
        [row(metric="auc")],
    ],
)
def test_a_study_without_the_main_number_gives_no_verdict(rows):
    told = verdict(study(*rows))
    assert told.tone == "none"
    assert told.headline == "The study does not say whether synthetic events help"


@pytest.mark.parametrize("interval", [None, [], [None, None], [math.nan, -0.1]])
def test_without_an_interval_nothing_is_clear(interval):
    told = verdict(study(row(interval=interval), *beaten()))
    assert told.tone == "unclear"
    assert told.findings[0].endswith("−1.00 % (no interval), 5 seeds.")
    assert "no interval" in told.warnings[0]


def test_controls_without_numbers_are_missing_controls():
    told = verdict(study(row(), *[row(arm, None, None) for arm in CONTROLS]))
    assert told.standings == ()
    assert told.tone == "caution"


def test_finds_the_first_of_equal_names():
    changes = read_changes(study(row(change=-0.01), row(change=-0.02)))
    assert find(changes, "scalr").change == -0.01
    assert find(changes, "nobody") is None


def test_a_study_without_synthetic_events_judges_nothing():
    found = verdict(study(row(), synthetic_events={"real_only": [0, 0], "scalr": [0, 0]}))
    assert found.tone == "none"
    assert "No synthetic event was made" in found.headline


def test_advice_names_options_that_exist():
    package = Path(scalr.__file__).parent
    advice = (package / "studies" / "findings" / "verdict.py").read_text()
    named = set(re.findall(r"`(--[a-z-]+)", advice))
    assert named
    commands = get_command(app).commands.values()
    assert named <= {option for command in commands for parameter in command.params for option in parameter.opts}
