"""Shortlists and draws from them, against dense scores."""

import numpy as np
from scipy import stats
from tests.worlds import small_pair

from scalr.foundation.config import SampleSettings, TranslateSettings
from scalr.logs.stored import StoredPair
from scalr.synthesis.sampling import sample
from scalr.synthesis.translators.affinity import fit_affinity
from scalr.synthesis.translators.cooccurrence import target_histories
from scalr.synthesis.translators.factor import fit_factor
from scalr.synthesis.translators.protocol import NO_ITEM

ALPHA = 1e-4
SETTINGS = TranslateSettings(rank=8, shortlist=7)


def scores(pair) -> np.ndarray:
    """Return what each user may draw each item with: the positive scores of items that are not its own."""
    target = target_histories(pair.target, None)
    found = fit_affinity(StoredPair.from_pair(pair), target.start, target.item, SETTINGS.rank, SETTINGS.ridge)
    dense = (found.user_factors @ found.item_factors.T).astype(np.float64)
    dense[pair.target.user, pair.target.item] = 0
    return np.maximum(dense, 0)


def test_lists_hold_the_best_new_items_best_first():
    pair = small_pair()
    lists, dense = fit_factor(pair, SETTINGS).lists, scores(pair)
    has_source = np.bincount(pair.source.user, minlength=len(dense)) > 0
    np.testing.assert_array_equal(lists.of_user >= 0, has_source)
    for user in np.flatnonzero(has_source):
        items = lists.item[lists.of_user[user]]
        mine = items[items != NO_ITEM]
        best = np.argsort(-dense[user], kind="stable")[:7]
        best = best[dense[user, best] > 0]
        np.testing.assert_allclose(dense[user, mine], dense[user, best], rtol=1e-5)
        assert (items[len(mine) :] == NO_ITEM).all()


def test_draws_follow_the_scores():
    pair = small_pair()
    for temperature in (1.0, 0.5):
        settings = SampleSettings(draws_per_event=30, temperature=temperature)
        events = sample(fit_factor(pair, SETTINGS), settings, seed=3, threads=1)
        dense, statistic, degrees = scores(pair), 0.0, 0
        for user in np.unique(events.user):
            mass = dense[user] ** (1 / temperature)
            mass[np.argsort(-mass, kind="stable")[7:]] = 0
            mine = events.user == user
            expected, seen = mass / mass.sum() * mine.sum(), np.bincount(events.item[mine], minlength=len(mass))
            kept = expected > 5
            rest = np.array([expected[~kept].sum(), seen[~kept].sum()])
            statistic += ((seen - expected)[kept] ** 2 / expected[kept]).sum()
            statistic += (rest[1] - rest[0]) ** 2 / rest[0] if rest[0] > 0 else 0
            degrees += kept.sum() + (rest[0] > 0) - 1
        assert stats.chi2.sf(statistic, degrees) > ALPHA


def test_nothing_of_the_users_own_is_drawn_and_confidence_is_the_share_of_the_list():
    pair = small_pair()
    events, dense = sample(fit_factor(pair, SETTINGS), SampleSettings(), seed=3), scores(pair)
    own = set(zip(pair.target.user.tolist(), pair.target.item.tolist(), strict=True))
    assert not own & set(zip(events.user.tolist(), events.item.tolist(), strict=True))
    listed = -np.sort(-dense, axis=1)[:, :7]
    share = dense[events.user, events.item] / listed.sum(axis=1)[events.user]
    np.testing.assert_allclose(events.confidence, share, rtol=1e-4)


def test_topk_takes_the_first_ones_that_enough_users_have():
    pair = small_pair()
    translation = fit_factor(pair, SETTINGS)
    least = int(np.median(translation.lists.item_users))
    settings = SampleSettings(draws_per_event=2, strategy="topk", min_support=least)
    events = sample(translation, settings, seed=3)
    assert (events.support >= least).all()
    for row in np.unique(events.source_row):
        user = pair.source.user[row]
        listed = translation.lists.item[translation.lists.of_user[user]]
        allowed = [i for i in listed if i != NO_ITEM and translation.lists.item_users[i] >= least]
        assert events.item[events.source_row == row].tolist() == allowed[:2]
