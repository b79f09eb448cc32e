"""Studies of impressions: worlds whose conversion law is known, a null world, and what may never be looked at."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from scalr.evaluation.folds import DAY, impression_folds
from scalr.evaluation.judging import judge
from scalr.evaluation.metrics import predictive
from scalr.evaluation.models.logistic import Design, LabelledRows, fit_logistic, item_columns
from scalr.foundation.config import SampleSettings, Steps
from scalr.foundation.errors import ConfigError, DivergenceError, LeakError, SchemaError
from scalr.logs.event_log import Pair
from scalr.logs.reading import read_pair
from scalr.logs.simulation import FIRST_INSTANT, simulate
from scalr.studies import impressions as conversions
from scalr.studies.findings.impressions import impression_finding
from scalr.studies.impression_rows import FoldRows
from scalr.studies.impressions import ConversionStudy, conversion_study
from scalr.synthesis.sampling import sample
from scalr.synthesis.translators import fit

pytest.importorskip("sklearn", reason="the model is scikit-learn's logistic regression")

GROUPS = 6
QUICK = {
    "sample": {"draws_per_event": 1},
    "refine": {"align": None},
    "study": {"seeds": 2, "choosing_seeds": 1},
    "conversions": {"masses": [0.3, 1.0], "penalties": [1.0, 3.0], "most_events": 4000},
    "translate": {"translator": "cooccurrence"},
}


def impression_world(relatedness: float = 1.0, seed: int = 0, impressions: int = 12_000) -> tuple[Pair, np.ndarray]:
    """Return logs of impressions and P(conversion) of each (user, item).

    Anybody is shown anything; an item of the user's own group converts with 6 %, another one with 0.6 %. The group is
    that of the user's source events with probability `relatedness`; the item table tells an item's group.
    """
    world = simulate(
        n_users=300, n_source_items=60, n_target_items=48, events_per_user=(20.0, 1.0), n_groups=GROUPS, focus=0.9,
        relatedness=relatedness, seed=seed,
    )  # fmt: skip
    random = np.random.default_rng(seed)
    truth = np.where(world.target_taste[:, None] == np.arange(48)[None, :] % GROUPS, 0.06, 0.006)
    user, item = random.integers(0, 300, impressions), random.integers(0, 48, impressions)
    label = (random.random(impressions) < truth[user, item]).astype(np.int8)
    time = FIRST_INSTANT + random.integers(0, 86_400 * 100, impressions)
    target = pa.table({"user": user, "item": item + 1_000_000, "time": time, "label": label})
    items = pa.table({"item": np.arange(48) + 1_000_000, "category": [f"group {i % GROUPS}" for i in range(48)]})
    pair = read_pair(world.source, target, items=items)
    rows = np.array(pair.target.users.ids.to_pylist())
    columns = np.array(pair.target.items.ids.to_pylist()) - 1_000_000
    return pair, truth[rows][:, columns]


@pytest.fixture(scope="module")
def related() -> ConversionStudy:
    return conversion_study(impression_world()[0], Steps.parse(QUICK), threads=2)


def change_of(study: ConversionStudy, arm: str, baseline: str = "real_only", segment: str = "all") -> dict:
    return next(
        one
        for one in study.to_json()["comparisons"]
        if (one["arm"], one["baseline"], one["segment"], one["metric"])
        == (
            arm,
            baseline,
            segment,
            "normalized_entropy",
        )
    )


def test_where_tastes_are_shared_synthetic_rows_improve_conversion_prediction(related: ConversionStudy) -> None:
    """Intervals over users at 95 %: by chance alone each would lie below zero in one of 40 worlds."""
    assert change_of(related, "scalr")["interval_users"][1] < 0
    assert change_of(related, "scalr", "shuffled_users")["interval_users"][1] < 0
    assert change_of(related, "scalr", segment="cold")["relative_change"] < 0
    found = impression_finding(related.to_json())
    assert found.tone == "helped"
    assert "improve conversion prediction" in found.headline


def test_in_a_null_world_nothing_helps() -> None:
    study = conversion_study(impression_world(relatedness=0.0)[0], Steps.parse(QUICK), threads=2)
    assert change_of(study, "scalr")["interval_users"][1] > 0
    assert impression_finding(study.to_json()).tone != "helped"


def test_threads_do_not_change_a_study() -> None:
    pair, steps = impression_world(impressions=4000)[0], Steps.parse(QUICK)
    assert conversion_study(pair, steps, threads=1).to_json() == conversion_study(pair, steps, threads=3).to_json()


def test_a_model_of_the_truth_is_judged_as_such() -> None:
    pair, truth = impression_world()
    test = impression_folds(pair, Steps().split)[1]
    stated = truth[test.user, test.item]
    done = judge(test, stated)
    assert done.segments["all"]["normalized_entropy"] == predictive.normalized_entropy(test.label, stated)
    assert sum(done.loss["warm"]) + sum(done.loss["cold"]) == pytest.approx(sum(done.loss["all"]))
    error = 5 * np.sqrt((stated * (1 - stated)).sum()) / test.label.sum()
    assert abs(done.segments["all"]["calibration_ratio"] - 1) < error


def test_judged_are_the_real_impressions_of_the_period() -> None:
    pair, _ = impression_world()
    validation, test = impression_folds(pair, Steps().split)
    assert pair.target.time is not None
    for judged, later in ((validation, test.fold.until), (test, None)):
        inside = pair.target.time >= judged.fold.until
        if later is not None:
            inside &= pair.target.time < later
        np.testing.assert_array_equal(judged.user, pair.target.user[inside])
        np.testing.assert_array_equal(judged.label, pair.target.label[inside])
        fitted = judged.fold.pair.target
        assert fitted.time.max() < judged.fold.until
        warm = np.isin(judged.user, fitted.user[fitted.label == 1])
        np.testing.assert_array_equal(judged.is_warm, warm)
        assert 0 < warm.mean() < 1


def test_labels_that_are_not_known_yet_are_not_fitted() -> None:
    pair, _ = impression_world()
    now, late = (impression_folds(pair, Steps().split, label_delay_days=days)[1] for days in (0, 10))
    assert late.fold.pair.target.time.max() < late.fold.until - 10 * DAY <= now.fold.pair.target.time.max()
    np.testing.assert_array_equal(late.user, now.user)


def test_synthetic_rows_keep_the_base_rate_and_weigh_one() -> None:
    pair, _ = impression_world()
    test = impression_folds(pair, Steps().split)[1]
    fold = FoldRows(test, Steps.parse(QUICK), 0, item_columns(pair.items, len(pair.target.items)))
    real = fold.rows("real_only", 0.0)
    for arm in ("shuffled_users", "scalr"):
        rows = fold.rows(arm, 0.5)
        mine = rows.is_synthetic
        assert rows.weight[mine & (rows.label == 1)].sum() == pytest.approx(0.5 * real.weight[real.label == 1].sum())
        rate = rows.weight[mine & (rows.label == 1)].sum() / rows.weight[mine].sum()
        assert rate == pytest.approx(real.base_rate(), rel=1e-4)
    assert not np.array_equal(fold.rows("scalr", 1.0).user, fold.rows("shuffled_users", 1.0).user)


def test_a_calibrator_that_is_given_synthetic_rows_stops_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    pair, _ = impression_world(impressions=4000)
    fitted = conversions.fit_isotonic

    def mutated(labels, probabilities, *, is_synthetic):
        more = np.concatenate([labels, [1]]).astype(np.int8)
        return fitted(more, np.append(probabilities, 0.5), is_synthetic=np.append(is_synthetic, True))

    monkeypatch.setattr(conversions, "fit_isotonic", mutated)
    with pytest.raises(LeakError, match="synthetic"):
        conversion_study(pair, Steps.parse(QUICK))


def test_synthetic_events_that_saw_the_judged_period_are_refused() -> None:
    pair, _ = impression_world(impressions=4000)
    validation, test = impression_folds(pair, Steps().split)
    columns = item_columns(pair.items, len(pair.target.items))
    fold = FoldRows(validation, Steps.parse(QUICK), 0, columns)
    events = sample(fit(validation.fold.pair), SampleSettings(draws_per_event=1))
    assert fold.synthetic_rows(events) is not None
    with pytest.raises(LeakError, match="inside the validation period"):
        fold.synthetic_rows(replace(events, fitted_until=validation.fold.until))
    later = sample(fit(test.fold.pair), SampleSettings(draws_per_event=1))
    with pytest.raises(LeakError, match="other target events"):
        fold.synthetic_rows(replace(later, fitted_until=0))


def test_the_model_is_the_one_it_says_it_is() -> None:
    """Against plain Newton steps on the dense penalised likelihood of the same columns."""
    random = np.random.default_rng(0)
    n = 400
    columns = item_columns(
        read_pair(
            pa.table({"user": [0], "item": [99], "time": [0]}),
            pa.table({"user": [0] * 6, "item": range(6), "time": range(6)}),
            items=pa.table({"item": range(6), "kind": list("aabbcc")}),
        ).items,
        6,
    )
    rows = LabelledRows(
        random.integers(0, 5, n).astype(np.int32), random.integers(0, 6, n).astype(np.int32),
        random.integers(0, 2, n).astype(np.int8), random.random(n) + 0.1, random.random(n) < 0.3,
    )  # fmt: skip
    design = Design(rows, columns, 5, 6, auxiliary=True)
    dense = np.asarray(design.matrix.todense())
    assert set(dense.sum(axis=1)[rows.is_synthetic]) == {5.0}  # intercept; item, its cross; kind, its cross
    assert set(dense.sum(axis=1)[~rows.is_synthetic]) == {5.0}  # user; item, its cross; kind, its cross
    model = fit_logistic(rows, design, 2.0, auxiliary=True)
    x, w = np.hstack([dense, np.ones((n, 1))]), np.zeros(dense.shape[1] + 1)
    penalty = np.append(np.full(dense.shape[1], 2.0), 0.0)
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ w))
        gradient = x.T @ (rows.weight * (p - rows.label)) + penalty * w
        w -= np.linalg.solve((x * (rows.weight * p * (1 - p))[:, None]).T @ x + np.diag(penalty), gradient)
    np.testing.assert_allclose(np.append(model.coefficients, model.intercept), w, atol=2e-3)
    real = ~rows.is_synthetic
    fitted = 1 / (1 + np.exp(-x[real] @ w))
    np.testing.assert_allclose(model.score(rows.user[real], rows.item[real]), fitted, atol=1e-3)
    assert model.trained_rate == pytest.approx(rows.weight[real & (rows.label == 1)].sum() / rows.weight[real].sum())


def test_columns_of_items_become_categories() -> None:
    table = pa.table(
        {
            "item": range(40),
            "name": [f"name {i}" for i in range(40)],
            "same": ["x"] * 40,
            "price": [float(i) for i in range(39)] + [None],
            "size": [i % 3 for i in range(40)],
            "tags": [["a"]] * 40,
        }
    )
    pair = read_pair(
        pa.table({"user": [0], "item": [99], "time": [0]}),
        pa.table({"user": [0] * 40, "item": range(40), "time": range(40)}),
        items=table,
    )
    found = item_columns(pair.items, 40)
    assert found.names == ("price", "size")
    assert sorted(np.bincount(found.code[0][found.code[0] >= 0]).tolist()) == [3, *[4] * 9]
    assert (found.code[0] == -1).sum() == 1


def test_what_cannot_be_studied_is_refused() -> None:
    pair, _ = impression_world(impressions=4000)
    with pytest.raises(ConfigError, match="thinned"):
        conversion_study(pair, Steps.parse({"train": {"objective": "thinned"}}))
    with pytest.raises(SchemaError, match="no label column"):
        conversion_study(replace(pair, target=replace(pair.target, label=None)))
    with pytest.raises(SchemaError, match="one label only"):
        impression_folds(pair, Steps().split, label_delay_days=1000)


def test_a_solver_that_does_not_settle_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scalr.evaluation.models.logistic.MAX_ITERATIONS", 1)
    with pytest.raises(DivergenceError, match="did not converge"):
        conversion_study(impression_world(impressions=4000)[0], Steps.parse(QUICK))
