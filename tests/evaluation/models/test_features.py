"""Item features: what groups or measures items, and nothing that names them."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from scalr.evaluation.models.features import item_features
from scalr.logs.event_log import ItemTable
from scalr.logs.simulation import simulate


@pytest.fixture(scope="module")
def pair():
    return simulate(n_users=50, seed=1).pair


def with_columns(pair, **columns):
    table = pa.table(columns)
    return replace(pair, items=ItemTable(target=table, source=table.slice(0, 0), item_column="item_id"))


def test_columns_become_sorted_codes_or_numbers_with_unknown_ones_told_apart(pair):
    found = item_features(
        with_columns(
            pair,
            category=["b", None, "a", "b"],
            size=pa.array([2, 1, 2, None], pa.int32()),
            price=[1.5, None, 2.5, 1.5],
        )
    )
    np.testing.assert_array_equal(found.categories["category"].codes, [2, 0, 1, 2])
    np.testing.assert_array_equal(found.categories["size"].codes, [2, 1, 2, 0])
    assert {name: one.size for name, one in found.categories.items()} == {"category": 3, "size": 3}
    np.testing.assert_array_equal(found.numbers["price"], [1.5, np.nan, 2.5, 1.5])


def test_what_names_items_or_says_nothing_is_left_out(pair):
    found = item_features(
        with_columns(pair, title=["a", "b", "c", "d"], domain=["x"] * 4, zero=[0.0] * 4, tags=[["x"], ["y"], [], ["x"]])
    )
    assert not found.categories
    assert not found.numbers


def test_no_item_table_gives_no_features(pair):
    found = item_features(replace(pair, items=None))
    assert not found.categories
    assert not found.numbers
