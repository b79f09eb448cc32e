"""Differentially private co-occurrence: bounded contributions, enough noise, an attack that stays in its bound."""

import math

import numpy as np
import pytest
from scipy import stats
from tests.synthesis.translators.test_privacy import latest
from tests.worlds import small_tables

from scalr.engines.generation import generate
from scalr.engines.local.writing import write_events
from scalr.foundation.checkpoints import Checkpoints
from scalr.foundation.config import PrivacySettings, SampleSettings, Steps, TranslateSettings
from scalr.foundation.errors import ConfigError
from scalr.logs.log_request import LogRequest
from scalr.logs.reading import read_logs, read_pair
from scalr.logs.stored import StoredPair
from scalr.synthesis.checks.audit import audit
from scalr.synthesis.checks.reading_back import read_released
from scalr.synthesis.sampling import sample
from scalr.synthesis.translators import fit, private
from scalr.synthesis.translators.private import Noise, contributions, noise_for, noised

pytest.importorskip("opendp", reason="noise needs the extra 'privacy'")
LOUD = {"epsilon": 50.0, "delta": 0.01, "pairs_per_user": 4}


def by_user(pair, most: int, cap: int = 10_000) -> list[tuple[str, str]]:
    """Return the pairs that all users testify for, by their ids."""
    n_target = len(pair.target.items)
    keys = contributions(StoredPair.from_pair(pair), cap, most)
    sources, targets = pair.source.items.ids.to_pylist(), pair.target.items.ids.to_pylist()
    return sorted((sources[key // n_target], targets[key % n_target]) for key in keys.tolist())


@pytest.mark.parametrize("cap", [2, 10_000])
@pytest.mark.parametrize("most", [1, 3, 16, 10_000])
def test_a_user_adds_at_most_so_many_true_pairs_and_changes_nobody_elses(most, cap):
    """The logs with and without each user: the difference is what the user adds, at most `most` true distinct pairs."""
    source, target = small_tables(seed=3, users=9, events=(60, 50))
    whole = by_user(read_pair(source, target), most, cap)
    for user in range(9):
        others = [table.filter(np.array(table["user"]) != user) for table in (source, target)]
        left = by_user(read_pair(*others), most, cap)
        added = list(whole)
        for one in left:
            added.remove(one)  # fails where somebody else's pair is gone
        mine = [latest(table.filter(np.array(table["user"]) == user), cap)[user] for table in (source, target)]
        possible = {(j, i) for j in mine[0] for i in mine[1]}
        assert len(added) == len(set(added))
        assert set(added) <= possible
        assert len(added) == len(possible) if most >= len(possible) else 0 < len(added) <= most


def test_noise_is_enough_and_not_much_more():
    for epsilon in (0.5, 1.0, 4.0):
        privacy = PrivacySettings(epsilon=epsilon, delta=1e-6, pairs_per_user=16)
        noise = noise_for(privacy)
        assert 0.99 * epsilon < noise.epsilon <= epsilon
        assert noise.delta <= 1e-6
        passes = 16 * stats.norm.sf((noise.threshold - 1.5) / noise.scale)  # a count of 1, noise of half a step more
        assert passes <= 1e-6 / 2
        sigma = 4 / noise.scale  # Euclidean distance of neighbours over the noise: Balle and Wang 2018, theorem 8
        spent = stats.norm.cdf(sigma / 2 - epsilon / sigma) - math.exp(epsilon) * stats.norm.cdf(
            -sigma / 2 - epsilon / sigma
        )
        assert spent <= 1e-6


def statistics(counts: np.ndarray, noise: Noise, runs: int) -> np.ndarray:
    """Return, for many releases of the counts, what the best attack on the first pairs looks at: their noisy sum."""
    pairs, sums = np.flatnonzero(counts), np.zeros(runs)
    for run in range(runs):
        kept, noisy = noised(pairs, counts[pairs], noise, 4)
        sums[run] = noisy[kept < 4].sum()
    return sums


def broken(inside: np.ndarray, outside: np.ndarray, epsilon: float, delta: float) -> bool:
    """Say whether P(in) > e^eps P(out) + delta, or the reverse, is shown of any threshold chosen on the first half.

    One-sided intervals (Clopper and Pearson) at 1e-5 each for 2 directions of 2 probabilities: a false alarm has a
    chance below 1e-4.
    """
    half = len(inside) // 2
    for one, other in ((inside, outside), (-inside, -outside)):
        thresholds = np.unique(np.concatenate([one[:half], other[:half]]))
        gains = [(one[:half] >= t).mean() - math.exp(epsilon) * (other[:half] >= t).mean() for t in thresholds]
        t = thresholds[int(np.argmax(gains))]
        hits, misses = int((one[half:] >= t).sum()), int((other[half:] >= t).sum())
        low = stats.beta.ppf(1e-5, hits, half - hits + 1) if hits else 0.0
        high = stats.beta.ppf(1 - 1e-5, misses + 1, half - misses) if misses < half else 1.0
        if low > math.exp(epsilon) * high + delta:
            return True
    return False


@pytest.mark.parametrize("epsilon", [0.5, 1.0])
def test_a_distinguishing_attack_stays_within_the_bound(epsilon):
    """Neighbours that differ by a user with 4 pairs, one of them nobody else's. A tenth of the noise breaks it."""
    with_user = np.array([61, 61, 61, 1, 60, 60])
    without = np.array([60, 60, 60, 0, 60, 60])
    noise = noise_for(PrivacySettings(epsilon=epsilon, delta=0.01, pairs_per_user=4))
    assert not broken(statistics(with_user, noise, 1500), statistics(without, noise, 1500), epsilon, 0.01)
    less = Noise(noise.scale / 10, noise.threshold, epsilon, 0.01)
    assert broken(statistics(with_user, less, 1500), statistics(without, less, 1500), epsilon, 0.01)


def test_draws_follow_the_noisy_counts_for_any_threads():
    source, target = small_tables(seed=6, events=(500, 500))
    translation = fit(read_pair(source, target), settings=TranslateSettings(privacy=LOUD))
    pair, totals = translation.pair, translation.totals()
    events = sample(translation, SampleSettings(draws_per_event=50), seed=1, threads=1)
    again = sample(translation, SampleSettings(draws_per_event=50), seed=1, threads=3, chunk_rows=200)
    np.testing.assert_array_equal(events.item, again.item)
    item_of = pair.source.item[events.source_row]
    statistic, degrees = 0.0, 0
    for j in np.unique(item_of):
        some = slice(translation.start[j], translation.start[j + 1])
        seen = np.bincount(events.item[item_of == j], minlength=len(pair.target.items))[translation.item[some]]
        assert seen.sum() == (item_of == j).sum()
        expected = translation.count[some] / totals[j] * seen.sum()
        statistic += ((seen - expected) ** 2 / expected).sum()
        degrees += len(seen) - 1
    assert degrees > 20
    assert stats.chi2.sf(statistic, degrees) > 1e-4
    top = sample(translation, SampleSettings(draws_per_event=3, strategy="topk"), seed=1, threads=1)
    firsts = top.draw == 0
    for row, item in zip(top.source_row[firsts], top.item[firsts], strict=True):
        j = pair.source.item[row]
        some = slice(translation.start[j], translation.start[j + 1])
        assert item == translation.item[some][np.argmax(translation.count[some])]


def test_probability_is_the_share_of_the_noisy_counts():
    source, target = small_tables(seed=6, users=12)
    translation = fit(read_pair(source, target), settings=TranslateSettings(privacy=LOUD))
    pair, totals = translation.pair, translation.totals()
    n_items = len(pair.target.items)
    for user in range(3):
        found = translation.probability(np.full(n_items, user, np.int32), np.arange(n_items, dtype=np.int32))
        wanted, mine = np.zeros(n_items), pair.source.item[pair.source.user == user]
        for j in mine:
            some = slice(translation.start[j], translation.start[j + 1])
            wanted[translation.item[some]] += translation.count[some] / max(totals[j], 1) / len(mine)
        np.testing.assert_allclose(found, wanted)


def test_two_fits_differ_and_the_guarantee_is_in_the_receipt():
    source, target = small_tables(seed=6, events=(500, 500))
    steps = Steps.parse({"translate": {"privacy": {**LOUD, "epsilon": 8.0}}, "refine": {"align": None}})
    one, other = (generate(source, target, steps=steps) for _ in range(2))
    assert one.table()["support"].to_pylist() != other.table()["support"].to_pylist()
    guarantee = one.receipts[1].details["privacy"]
    assert (guarantee["unit"], guarantee["pairs_per_user"]) == ("user", 4)
    assert guarantee["epsilon"] <= 8
    found = audit(read_released(one.table(), one.stored), one.stored, steps)
    assert found.findings == ()
    assert {check.name for check in found.checks if not check.examined} >= {"support-differs", "confidence-differs"}


def test_parts_with_another_noise_are_not_gone_on_from(tmp_path):
    stored = read_logs(LogRequest(*small_tables(seed=6, events=(500, 500))))
    steps = Steps.parse({"translate": {"privacy": LOUD}, "refine": {"align": None}})
    (tmp_path / "kept").mkdir()
    write_events(stored, steps, tmp_path, pieces=Checkpoints(tmp_path / "kept"))
    assert not list((tmp_path / "kept").iterdir())
    with pytest.raises(ConfigError, match="noise cannot be drawn again"):
        write_events(stored, steps, tmp_path, pieces=Checkpoints(tmp_path / "kept"))


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("translate", {"backoff": 1.0}), ("translate", {"window_days": 3.0}), ("translate", {"translator": "factor"}),
        ("refine", {"align": {"by": ["value"]}}), ("refine", {"align": None, "max_per_item": 3}),
    ],
)  # fmt: skip
def test_what_looks_at_others_without_noise_is_refused(section, values, monkeypatch):
    monkeypatch.setattr(private, "noised", None)  # refused before any noise is spent
    source, target = small_tables(seed=6)
    given = {"translate": {"privacy": LOUD}, "refine": {"align": None}}
    steps = Steps.parse({**given, section: {**given[section], **values}})
    with pytest.raises(ConfigError, match=r"privacy\.epsilon is 50"):
        generate(source, target, steps=steps)
