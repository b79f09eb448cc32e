import json
from dataclasses import replace

import numpy as np
import pytest
from tests.learning import grouped_pair

from scalr.evaluation.folds import split
from scalr.foundation.config import Steps
from scalr.foundation.errors import ConfigError
from scalr.foundation.progress import SilentBoard
from scalr.logs.simulation import simulate
from scalr.studies.choosing.choice import Choice
from scalr.studies.events import study
from scalr.studies.findings.comparisons import Change
from scalr.studies.sweeps.claims import RULE, is_monotone, measured_segments
from scalr.studies.sweeps.points import LINKED, NAMES, checked_names, linked_fold, points_of
from scalr.studies.sweeps.sweeping import sweep

STEPS = Steps.parse(
    {
        "split": {"hide_overlap": 0.3},
        "sample": {"draws_per_event": 2},
        "train": {"max_epochs": 3},
        "study": {"seeds": 2, "baseline_trials": 2, "arms": ["scalr", "top1"]},
    }
)


class Counter(SilentBoard):
    """Remembers what each stage promised and what was done."""

    def __init__(self):
        self.promised, self.done = {}, {}

    def stage(self, name, total=None, unit="events"):
        self.promised[name], self.done[name] = total, 0

        def advance(done):
            self.done[name] += done

        return advance


@pytest.fixture(scope="module")
def pair():
    return simulate(n_users=150, n_source_items=40, n_target_items=40, seed=1).pair


@pytest.fixture(scope="module")
def board():
    return Counter()


@pytest.fixture(scope="module")
def content(pair, board):
    return sweep(pair, STEPS, ["all"], threads=2, board=board).to_json()


def points(content, name):
    return {point["label"]: point for point in content["sweeps"][name]["points"]}


def test_every_sweep_has_points_claim_and_finding(content):
    assert content["schema"] == "scalr.sweeps/1"
    assert content["protocol"]["finding"] == RULE
    assert tuple(content["sweeps"]) == NAMES
    for name, one in content["sweeps"].items():
        assert len(one["points"]) == len(points(content, name)) >= 2
        assert one["finding"].lower().startswith(one["outcome"] + ":")
        assert one["claim"]
        for point in one["points"]:
            assert {"setting", "synthetic_events", "item_coverage", "synthetic_weight"} <= set(point)
            assert len(point["metrics"]["all"]["normalized_entropy"]["per_seed"]) == 2
            assert {"relative_change", "interval", "p_value"} <= set(point["comparison"]["all"]["normalized_entropy"])
    json.dumps(content, allow_nan=False)


def test_progress_counts_every_fit_of_both_folds(content, board):
    distinct = {
        json.dumps([point[key] for key in ("setting", "metrics", "synthetic_weight")])
        for one in content["sweeps"].values()
        for point in one["points"]
    }
    shares = len(points(content, "hide_overlap"))
    assert board.done["sweeping"] == board.promised["sweeping"]
    assert 4 < board.promised["sweeping"] / (2 * 2) <= len(distinct) + shares


def test_weight_zero_is_real_events_alone_bit_for_bit(content):
    assert points(content, "weight")["λ 0"]["metrics"] == content["real_only"]
    assert points(content, "weight")["λ 3"]["metrics"] != content["real_only"]


@pytest.mark.parametrize("objective", ["joint", "thinned"])
def test_weight_zero_is_real_events_alone_with_every_objective(pair, objective):
    steps = STEPS.changed({"train.objective": objective, "study.seeds": 1})
    content = sweep(pair, steps, ["weight"]).to_json()
    assert points(content, "weight")["λ 0"]["metrics"] == content["real_only"]
    assert points(content, "weight")["λ 3"]["metrics"] != content["real_only"]


def test_base_and_real_only_are_what_a_study_finds(pair, content):
    found = study(pair, STEPS).to_json()
    assert found["arms"]["real_only"] == content["real_only"]["all"]
    for name, label in (
        ("volume", "2 draws"),
        ("overlap", "100 % linked"),
        ("shrinkage", "κ 4"),
        ("hide_overlap", "30 % hidden"),
    ):
        point = points(content, name)[label]
        assert point["base"]
        assert point["metrics"]["all"] == found["arms"]["scalr"]
        assert point["synthetic_events"] == np.mean(found["synthetic_events"]["scalr"])


def test_points_of_the_same_total_weigh_the_same(content):
    base = points(content, "overlap")["100 % linked"]["synthetic_weight"]
    for name in ("sampling", "alignment", "volume"):
        same = [one for one in points(content, name).values() if "total_weight" in one["setting"]]
        assert len(same) >= 2
        assert [one["synthetic_weight"] for one in same] == pytest.approx([base] * len(same), rel=1e-5)
    weights = [points(content, "volume")[label]["synthetic_weight"] for label in ("1 draw", "4 draws", "16 draws")]
    assert weights[2] > 3 * weights[1] > 9 * weights[0]


def test_each_setting_does_what_it_says(content):
    reach = {label: point["item_coverage"] for label, point in points(content, "sampling").items()}
    assert reach["top-1"] < reach["sampled, temperature 0.25"] < reach["sampled, temperature 1"]
    for name in ("support", "overlap"):
        events = [point["synthetic_events"] for point in points(content, name).values()]
        assert events == sorted(events, reverse=True)
        assert events[0] > events[-1]
    on, off = points(content, "alignment").values()
    (moved,) = on["alignment"]
    assert moved["by"] == "value"
    assert moved["total_variation_after"] < moved["total_variation_before"]
    assert on["synthetic_events"] < off["synthetic_events"]
    none, *shrunk = (point["synthetic_weight"] for point in points(content, "shrinkage").values())
    assert none > shrunk[0] > shrunk[1] > shrunk[2]


def test_the_fits_residuals_belong_to_the_means(content):
    for curve, fit in content["sweeps"]["volume"]["fit"].items():
        means = [points(content, "volume")[x]["metrics"]["all"]["normalized_entropy"]["mean"] for x in fit["labels"]]
        x = np.array(fit["volumes"], float)
        a, b, c = fit["a"], fit["b"], fit["c"]
        drawn = a - b * (1 - np.exp(-x / c)) if fit["law"] == "exponential" else a + b * x**-c
        np.testing.assert_allclose(means - drawn, fit["residuals"], atol=1e-9, err_msg=curve)


def test_unlinked_users_leave_the_source_and_nothing_else(pair):
    fold = split(pair, STEPS.split, 0).test
    overlap = pair.overlap_users
    linked = {share: linked_fold(fold, overlap, share, 0) for share in LINKED}
    assert len(linked[1.0].pair.source) == len(fold.pair.source)
    users = {share: set(np.intersect1d(one.pair.source.user, overlap).tolist()) for share, one in linked.items()}
    assert users[0.2] < users[0.5] < users[0.8] < users[1.0]
    for share, one in linked.items():
        assert one.pair.target is fold.pair.target
        assert one.user is fold.user
        assert one.item is fold.item
        others = ~np.isin(fold.pair.source.user, overlap)
        expected = np.isin(fold.pair.source.user, [*users[share]]) | others
        np.testing.assert_array_equal(one.pair.source.user, fold.pair.source.user[expected])
    assert abs(len(users[0.5]) / len(users[1.0]) - 0.5) < 0.15  # 150 users: more than 3 standard deviations


@pytest.mark.parametrize("seeds", [1, 2])
def test_points_that_hide_users_are_the_studies_with_that_share(pair, seeds):
    plain = STEPS.changed({"study.baseline_trials": 0, "study.seeds": seeds, "split.hide_overlap": 0.8})
    content = sweep(pair, plain, ["hide_overlap"], threads=2).to_json()
    found = points(content, "hide_overlap")
    assert list(found) == ["0 % hidden", "10 % hidden", "25 % hidden", "50 % hidden", "80 % hidden"]
    assert [point["base"] for point in found.values()] == [False, False, False, False, True]
    for label in ("0 % hidden", "50 % hidden", "80 % hidden"):
        share, point = found[label]["setting"]["split.hide_overlap"], found[label]
        of_study = study(pair, plain.changed({"split.hide_overlap": share})).to_json()
        for name, arm in (("metrics", "scalr"), ("real_only", "real_only")):
            assert point[name] == {segment: arms[arm] for segment, arms in of_study["segments"].items()}
        assert point["judged_users"]["cold"][0] == of_study["protocol"]["judged_cold_users"]
        rows = [row for row in of_study["comparisons"] if (row["arm"], row["baseline"]) == ("scalr", "real_only")]
        changes = {(segment, metric) for segment, own in point["comparison"].items() for metric in own}
        assert changes == {(row["segment"], row["metric"]) for row in rows}
    cold = [point["judged_users"]["cold"][0] for point in found.values()]
    assert cold == sorted(cold)
    assert content["real_only"] == found["80 % hidden"]["real_only"]


def test_a_segment_without_users_has_no_figure():
    """Every user of this world is active before the test period: without hidden users nobody is cold."""
    steps = STEPS.changed({"study.seeds": 1, "split.hide_overlap": 0.0})
    content = sweep(grouped_pair(users=80, events=1600), steps, ["hide_overlap"]).to_json()
    nothing, *_, half = points(content, "hide_overlap").values()
    assert nothing["base"]
    for segment in ("cold", "naturally_cold"):
        assert nothing["judged_users"][segment] == [0]
        assert segment not in nothing["comparison"]
        assert {one["mean"] for one in nothing["metrics"][segment].values()} == {None}
    assert half["judged_users"]["cold"][0] > 0
    assert "cold" in half["comparison"]
    assert measured_segments(content["sweeps"]["hide_overlap"]) == ["all", "warm", "cold"]
    json.dumps(content, allow_nan=False)


def test_threads_change_nothing(pair):
    steps = STEPS.changed({"study.seeds": 1, "train.max_epochs": 2})
    one, three = (sweep(pair, steps, ["weight", "overlap", "hide_overlap"], threads=n).to_json() for n in (1, 3))
    assert one == three
    assert one["protocol"]["interval"] == "bootstrap over test users"


def test_with_auto_weight_zero_is_still_the_baseline(pair):
    changes = {"translate.translator": "auto", "study.trials": 2, "study.baseline_trials": 2, "study.seeds": 1}
    content = sweep(pair, STEPS.changed(changes), ["weight"], threads=2).to_json()
    assert content["protocol"]["base"]["translate"]["translator"] != "auto"
    assert points(content, "weight")["λ 0"]["metrics"] == content["real_only"]


def test_weight_zero_trains_as_real_events_alone_chose(pair, monkeypatch):
    """With the translator `auto`, synthetic events may choose another penalty than real events alone did."""
    own = STEPS.changed({"train.l2": 0.4})
    monkeypatch.setattr("scalr.studies.events.tune", lambda *_, **__: Choice(STEPS, {"real_only": own}, {}, {}))
    content = sweep(pair, STEPS, ["weight"]).to_json()
    assert points(content, "weight")["λ 0"]["metrics"] == content["real_only"]


def test_alignment_goes_by_popularity_where_there_are_no_values(pair):
    bare = replace(pair, target=replace(pair.target, value=None), items=None)
    assert [one.label for one in points_of("alignment", STEPS, bare)] == ["by popularity", "off"]
    assert [one.label for one in points_of("alignment", STEPS, pair)] == ["by value", "off"]


def test_names_are_checked():
    assert checked_names(["weight", "all", "weight"]) == ("weight", *(name for name in NAMES if name != "weight"))
    with pytest.raises(ConfigError) as caught:
        checked_names(["volum"])
    assert str(caught.value).splitlines()[0] == "ConfigError: unknown sweep 'volum'"
    assert "did you mean 'volume'?" in str(caught.value)
    with pytest.raises(ConfigError, match="no sweep is named"):
        checked_names([])


def of(low, high, p_value=None):
    return Change("b", "a", "all", "normalized_entropy", (low + high) / 2, (low, high), 0.95, p_value)


@pytest.mark.parametrize(
    ("steps", "ends", "expected"),
    [
        ([of(-0.02, -0.01), of(-0.01, 0.01)], of(-0.03, -0.01), True),
        ([of(-0.02, -0.01), of(0.001, 0.01)], of(-0.03, -0.01), False),
        ([of(-0.02, -0.01), of(0.001, 0.01, 0.04)], of(-0.03, -0.01), True),  # 0.04 · 2 is not below 0.05
        ([of(-0.02, -0.01), of(0.001, 0.01, 0.02)], of(-0.03, -0.01), False),
        ([of(-0.02, 0.01)], of(-0.0005, 0.001), False),
        ([of(-0.02, 0.01)], of(-0.02, 0.01), None),
        ([], None, None),
    ],
)
def test_monotone_by_intervals(steps, ends, expected):
    assert is_monotone(steps, ends) is expected
