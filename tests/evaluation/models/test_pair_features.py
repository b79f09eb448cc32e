"""Columns of a pair: what they count, and that the row itself is left out."""

from dataclasses import replace

import numpy as np
import pytest
from tests.learning import folds, synthetic_for

from scalr.evaluation.models.features import Categories, ItemFeatures
from scalr.evaluation.models.pair_features import PairFeatures
from scalr.evaluation.training import examples_of
from scalr.foundation.config import TrainSettings

pytest.importorskip("scipy", reason="the columns need scipy, which the extra 'models' brings")
RANK = 4


@pytest.fixture(scope="module")
def examples():
    fold = folds().test
    found = examples_of(fold, synthetic_for(fold), TrainSettings(shrinkage=None, synthetic_weight=0.5))
    n_items = len(found.item_keys)
    categories = {"group": Categories(np.arange(n_items, dtype=np.int32) % 4 + np.int32(1), 5)}
    return replace(found, item_features=ItemFeatures(categories, {"price": np.arange(n_items, dtype=np.float64)}))


def without(examples, row: int):
    keep = np.ones(len(examples), np.bool_)
    keep[row] = False
    n_first = examples.n_first - (row < examples.n_first)
    names = ("user", "item", "weight", "is_synthetic", "time")
    return replace(examples, n_first=n_first, **{name: getattr(examples, name)[keep] for name in names})


def chosen_rows(examples, *, synthetic: bool):
    """Rows whose pair stands once in the examples."""
    cell = examples.user.astype(np.int64) * len(examples.item_keys) + examples.item
    distinct, count = np.unique(cell, return_counts=True)
    alone = np.isin(cell, distinct[count == 1]) & (examples.is_synthetic == synthetic)
    return np.flatnonzero(alone)[::97]


def test_a_held_real_row_looks_as_it_would_without_the_row(examples):
    features = PairFeatures.from_examples(examples, RANK, 0)
    seen = [place for place, name in enumerate(features.names) if not name.startswith("synthetic")]
    for row in chosen_rows(examples, synthetic=False):
        user, item = examples.user[[row]], examples.item[[row]]
        truth, none = (
            PairFeatures.from_examples(without(examples, row), RANK, 0),
            np.array([row_of_nobody(examples, user[0])]),
        )
        for asked in (item, (item + 1) % np.int32(len(examples.item_keys))):
            held, free = features.table(user, asked, item), truth.table(user, asked, none)
            np.testing.assert_allclose(held[:, seen], free[:, seen], rtol=2e-4, atol=1e-6)


def row_of_nobody(examples, user):
    """An item that the user has not: held, it leaves nothing out, but factors are those of training."""
    return np.setdiff1d(np.arange(len(examples.item_keys), dtype=np.int32), examples.item[examples.user == user])[0]


def test_a_held_synthetic_row_looks_as_it_would_without_the_row(examples):
    features = PairFeatures.from_examples(examples, RANK, 0)
    for row in chosen_rows(examples, synthetic=True)[:6]:
        user, item = examples.user[[row]], examples.item[[row]]
        held = features.table(user, item, item, held_is_synthetic=True)
        free = PairFeatures.from_examples(without(examples, row), RANK, 0).table(
            user, item, item, held_is_synthetic=True
        )
        np.testing.assert_allclose(held, free, rtol=2e-4, atol=1e-6)


def test_real_rows_do_not_see_what_synthetic_events_say_of_them(examples):
    features = PairFeatures.from_examples(examples, RANK, 0)
    real = ~examples.is_synthetic
    held = features.table(examples.user[real], examples.item[real], examples.item[real])
    hidden = [features.names.index(name) for name in ("synthetic popularity", "synthetic affinity")]
    assert np.isnan(held[:, hidden]).all()
    assert not np.isnan(features.table(examples.user[real], examples.item[real])[:, hidden]).any()


def test_columns_count_what_they_say(examples):
    features = PairFeatures.from_examples(examples, RANK, 0)
    user, item = examples.user[:50], (examples.item[:50] + np.int32(3)) % np.int32(len(examples.item_keys))
    table = dict(zip(features.names, features.table(user, item).T, strict=True))
    group = examples.item_features.categories["group"].codes
    for place, (u, i) in enumerate(zip(user, item, strict=True)):
        rows = ~examples.is_synthetic
        mine = rows & (examples.user == u)
        popularity, activity = examples.weight[rows & (examples.item == i)].sum(), examples.weight[mine].sum()
        of_group = examples.weight[mine & (group[examples.item] == group[i])].sum()
        usual = examples.weight[rows & (group[examples.item] == group[i])].sum() / examples.weight[rows].sum()
        assert table["real popularity"][place] == pytest.approx(np.log1p(popularity), rel=1e-5)
        assert table["real activity"][place] == pytest.approx(np.log1p(activity), rel=1e-5)
        assert table["real share of group"][place] == pytest.approx((of_group + 5 * usual) / (activity + 5), rel=1e-5)
        assert table["group"][place] == group[i]
        assert table["price"][place] == i


def test_affinity_is_that_of_the_singular_vectors(examples):
    """Held to NumPy's own decomposition, at a rank where the spectrum has a gap: everything."""
    small = without(examples, 0)
    n_users, n_items = len(small.user_keys), len(small.item_keys)
    features = PairFeatures.from_examples(small, n_items, 0)
    real, synthetic = np.zeros((n_users, n_items)), np.zeros((n_users, n_items))
    for matrix, rows in ((real, ~small.is_synthetic), (synthetic, small.is_synthetic)):
        np.add.at(matrix, (small.user[rows], small.item[rows]), small.weight[rows])
    users, items = np.flatnonzero(real.sum(1) > 0), np.flatnonzero((real + synthetic).sum(0) > 0)
    asked_user, asked_item = (users[::7].astype(np.int32), np.resize(items[::3], len(users[::7])).astype(np.int32))
    # With all vectors the projection is the identity on what rows span: the affinity is the user's own share.
    share = real[asked_user, asked_item] / real[asked_user].sum(1)
    found = features.table(asked_user, asked_item)[:, features.names.index("real affinity")]
    np.testing.assert_allclose(found, share, atol=2e-3)
