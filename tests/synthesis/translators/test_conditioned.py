"""Candidates chosen by affinity, against the law written out."""

import numpy as np
from scipy import stats
from tests.worlds import CountTable, small_pair

from scalr.foundation.config import SampleSettings, TranslateSettings
from scalr.logs.simulation import simulate
from scalr.synthesis.kernels.candidate_choice import LEAST_AFFINITY
from scalr.synthesis.sampling import sample
from scalr.synthesis.translators.conditioned import fit_conditioned
from scalr.synthesis.translators.cooccurrence import fit_cooccurrence

ALPHA = 1e-4  # false-alarm rate of every goodness-of-fit test here; seeds are fixed
SHARP = TranslateSettings(rank=8, candidates=400)


def near(translation) -> np.ndarray:
    """Return the affinity of every user to every target item, own events left out."""
    found, target = translation.affinity, translation.paths.target
    scores = found.user_factors @ found.item_factors.T
    for user in range(len(scores)):
        mine = target.item[target.start[user] : target.start[user + 1]]
        scores[user, mine] -= found.own_share[user]
    return np.maximum(scores, LEAST_AFFINITY)


def chi_square(events, law) -> tuple[float, int]:
    source, statistic, degrees = events.pair.source, 0.0, 0
    place = source.user.astype(np.int64) * len(source.items) + source.item
    for cell in np.unique(place[events.source_row]):
        mine = place[events.source_row] == cell
        expected = law(*divmod(int(cell), len(source.items))) * mine.sum()
        common = expected > 5
        seen = np.bincount(events.item[mine], minlength=len(expected))
        groups = [np.append(x[common], x[~common].sum()) for x in (seen, expected)]
        kept = groups[1] > 0
        statistic += ((groups[0] - groups[1])[kept] ** 2 / groups[1][kept]).sum()
        degrees += int(kept.sum()) - 1
    return statistic, degrees


def test_with_many_candidates_draws_follow_count_times_affinity():
    """Choosing among 400 candidates is not the law itself, but closer to it than this test can tell."""
    pair = small_pair()
    translation = fit_conditioned(pair, SHARP)
    table, affinity = CountTable(pair), near(translation)
    for temperature in (1.0, 0.5):
        settings = SampleSettings(draws_per_event=20, temperature=temperature)
        events = sample(translation, settings, seed=4, threads=1)

        def law(user, item, power=1 / temperature):
            mass = (table.counts(user, item) * affinity[user]) ** power
            return mass / mass.sum()

        statistic, degrees = chi_square(events, law)
        assert stats.chi2.sf(statistic, degrees) > ALPHA


def test_the_test_above_can_fail():
    pair = small_pair()
    translation, table = fit_conditioned(pair, SHARP), CountTable(pair)
    events = sample(translation, SampleSettings(draws_per_event=20), seed=4, threads=1)
    statistic, degrees = chi_square(events, table.law)
    assert stats.chi2.sf(statistic, degrees) < ALPHA


def test_one_candidate_is_cooccurrence():
    pair, settings = small_pair(), SampleSettings(draws_per_event=3)
    one = sample(fit_conditioned(pair, TranslateSettings(candidates=1)), settings, seed=2)
    plain = sample(fit_cooccurrence(pair, TranslateSettings()), settings, seed=2)
    np.testing.assert_array_equal(one.item, plain.item)
    np.testing.assert_array_equal(one.support, plain.support)


def test_more_draws_leave_the_first_ones_as_they_are():
    translation = fit_conditioned(small_pair(), TranslateSettings())
    few, many = (sample(translation, SampleSettings(draws_per_event=n), seed=1) for n in (2, 5))
    np.testing.assert_array_equal(few.item, many.item[many.draw < 2])


def test_topk_takes_the_best_of_the_most_counted():
    pair = small_pair()
    translation = fit_conditioned(pair, TranslateSettings(rank=8, candidates=100))
    events = sample(translation, SampleSettings(draws_per_event=3, strategy="topk"), seed=0)
    table, affinity, source = CountTable(pair), near(translation), pair.source
    for row in np.unique(events.source_row)[:80]:
        user, item = source.user[row], source.item[row]
        weight = table.counts(user, item) * affinity[user].astype(np.float64)
        mine = events.item[events.source_row == row]
        np.testing.assert_allclose(np.sort(weight[mine])[::-1], np.sort(weight)[::-1][: len(mine)], rtol=1e-3)


def test_it_knows_a_user_better_than_the_source_item_alone():
    """Where most source events are noise, the user's other events tell the taste: more draws are of its group."""
    world = simulate(n_users=600, events_per_user=(25, 6), focus=0.5, seed=5)
    group = np.argmax(world.item_law, axis=0)
    items, users = (np.array(v.ids.to_pylist()) for v in (world.pair.target.items, world.pair.target.users))
    hits = {}
    for name, translation in (
        ("plain", fit_cooccurrence(world.pair, TranslateSettings())),
        ("conditioned", fit_conditioned(world.pair, TranslateSettings(rank=16))),
    ):
        events = sample(translation, SampleSettings(draws_per_event=2), seed=1)
        hits[name] = np.mean(group[items[events.item] % 1_000_000] == world.taste[users[events.user]])
    assert hits["conditioned"] > hits["plain"] + 0.03
