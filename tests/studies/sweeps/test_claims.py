"""Findings on planted numbers."""

import pytest

from scalr.studies.sweeps.claims import claim_finding

BETTER, WORSE = (-0.005, -0.002), (0.001, 0.004)
NOTHING, UNCLEAR = (-0.0004, 0.0006), (-0.02, 0.02)
OUTCOMES = [(BETTER, "reproduced"), (WORSE, "not reproduced"), (NOTHING, "not reproduced"), (UNCLEAR, "undecided")]


def change(interval, p_value=None):
    low, high = interval
    p_value = p_value if p_value is not None else 0.001 if low > 0 or high < 0 else 0.5
    return {"relative_change": (low + high) / 2, "interval": [low, high], "level": 0.95, "p_value": p_value}


def point(label, setting=None, interval=UNCLEAR, coverage=0.1, p_value=None):
    comparison = {"all": {"normalized_entropy": change(interval, p_value)}}
    return {"label": label, "setting": setting or {}, "item_coverage": coverage, "comparison": comparison}


def contrast(label, against, interval, segment="all", p_value=None):
    names = {"arm": label, "baseline": against, "segment": segment, "metric": "normalized_entropy"}
    return {**names, **change(interval, p_value)}


def sampling(real, top, coverage=0.3):
    points = [
        point("top-1", coverage=0.04),
        point("sampled", {"sample.temperature": 1.0}, real, coverage),
    ]
    return {"points": points, "contrasts": [contrast("sampled", "top-1", top)]}


@pytest.mark.parametrize(("top", "outcome"), OUTCOMES)
def test_sampling_must_beat_top_1(top, outcome):
    assert claim_finding("sampling", sampling(BETTER, top))[0] == outcome


@pytest.mark.parametrize(("real", "outcome"), OUTCOMES)
def test_sampling_must_beat_real_events(real, outcome):
    assert claim_finding("sampling", sampling(real, BETTER))[0] == outcome


def test_sampling_must_reach_more_items():
    outcome, sentence = claim_finding("sampling", sampling(BETTER, BETTER, coverage=0.03))
    assert outcome == "not reproduced"
    assert "it reaches 3.0 % of the items, top-1 4.0 %." in sentence
    assert sentence.startswith("Not reproduced: sampling changes normalized entropy by −0.35 %")


@pytest.mark.parametrize(("interval", "outcome"), OUTCOMES)
def test_hiding_rests_on_the_point_without_hidden_users(interval, outcome):
    points = [point("0 % hidden", interval=interval), point("50 % hidden", interval=BETTER)]
    found, sentence = claim_finding("hide_overlap", {"points": points, "contrasts": []})
    assert found == outcome
    assert "with 0 % hidden, synthetic events change normalized entropy by" in sentence
    assert sentence.endswith("with more users hidden: 50 % hidden −0.35 %.")


@pytest.mark.parametrize(("interval", "outcome"), OUTCOMES)
def test_alignment_overlap_and_objective_rest_on_one_contrast(interval, outcome):
    for name, labels in (
        ("alignment", ("by value", "off")),
        ("overlap", ("100", "20")),
        ("objective", ("auxiliary", "joint")),
    ):
        points = [point(label) for label in labels]
        assert claim_finding(name, {"points": points, "contrasts": [contrast(*labels, interval)]})[0] == outcome


@pytest.mark.parametrize(
    ("p_values", "intervals", "outcome"),
    [
        ((0.01, 0.5), (BETTER, UNCLEAR), "reproduced"),
        ((0.04, 0.5), (BETTER, UNCLEAR), "undecided"),  # 0.04 · 2 is not below 0.05
        ((0.01, 0.5), (WORSE, NOTHING), "not reproduced"),
        ((0.01, 0.5), (WORSE, UNCLEAR), "undecided"),
    ],
)
def test_the_best_of_several_pays_for_being_chosen(p_values, intervals, outcome):
    both = list(zip("ab", intervals, p_values, strict=True))
    weights = [point(name, {"train.synthetic_weight": 1.0}, interval, p_value=p) for name, interval, p in both]
    off = point("λ 0", {"train.synthetic_weight": 0.0}, (0.0, 0.0), p_value=0.0)
    assert claim_finding("weight", {"points": [off, *weights], "contrasts": []})[0] == outcome
    for name, segment in (("support", "all"), ("shrinkage", "warm")):
        rows = [contrast(label, "first", interval, segment, p) for label, interval, p in both]
        other = contrast("a", "first", BETTER, "warm" if segment == "all" else "all", 1e-9)
        assert claim_finding(name, {"points": [], "contrasts": [other, *rows]})[0] == outcome


@pytest.mark.parametrize(
    ("monotone", "gains", "outcome"),
    [
        (True, (0.02, 0.01), "reproduced"),
        (True, (0.01, 0.02), "undecided"),
        (False, (0.02, 0.01), "not reproduced"),
        (None, (0.02, 0.01), "undecided"),
    ],
)
def test_volume_must_be_monotone_with_diminishing_returns(monotone, gains, outcome):
    fit = {
        "volumes": [1, 16],
        "labels": ["1 draw", "16 draws"],
        "monotone": monotone,
        "gains": dict(zip(("first_half", "second_half"), gains, strict=True)),
    }
    sweep = {
        "points": [],
        "contrasts": [contrast("16 draws", "1 draw", BETTER)],
        "fit": {"per_event": fit, "total": fit},
    }
    assert claim_finding("volume", sweep)[0] == outcome


def test_volume_names_the_step_that_does_harm():
    fit = {
        "volumes": [1, 2, 4],
        "labels": ["1 draw", "2 draws", "4 draws"],
        "monotone": False,
        "gains": {"first_half": 0.02, "second_half": 0.01},
    }
    rows = [
        contrast("2 draws", "1 draw", BETTER),
        contrast("4 draws", "2 draws", WORSE),
        contrast("4 draws", "1 draw", NOTHING),
    ]
    sentence = claim_finding("volume", {"points": [], "contrasts": rows, "fit": {"per_event": fit, "total": fit}})[1]
    assert sentence.endswith("; more draws do harm from 2 draws to 4 draws.")


def test_alignment_by_popularity_does_not_test_the_claim():
    points = [point("by popularity"), point("off")]
    rows = [contrast("by popularity", "off", BETTER)]
    outcome, sentence = claim_finding("alignment", {"points": points, "contrasts": rows})
    assert outcome == "undecided"
    assert "the claim itself is not tested; alignment by popularity changes normalized entropy by −0.35 %" in sentence
