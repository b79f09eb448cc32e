"""Checkpoints are restored bit for bit, or count as missing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from scalr.foundation.checkpoints import Checkpoints

plain = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5)
values = st.recursive(
    plain | arrays.arrays(st.sampled_from([np.int32, np.float32, np.float64, np.uint64, np.bool_]), st.integers(0, 4)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
).filter(lambda value: not (isinstance(value, dict) and value.keys() == {"array"}))


def same(one, other) -> bool:
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.tobytes() == other.tobytes()
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)


@given(value=values)
def test_values_are_restored_bit_for_bit(value, tmp_path_factory):
    checkpoints = Checkpoints(tmp_path_factory.mktemp("checkpoints"))
    checkpoints.put("a", {"it": value})
    assert same(checkpoints.get("a"), {"it": value})


def test_a_damaged_file_counts_as_missing(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.get("a") is None
    checkpoints.put("a", {"x": np.arange(100)})
    whole = (tmp_path / "a.npz").read_bytes()
    for damaged in (b"", whole[:60], whole[:-30], whole.replace(b"\x07\x00\x00", b"\x08\x00\x00")):
        (tmp_path / "a.npz").write_bytes(damaged)
        assert damaged != whole
        assert checkpoints.get("a") is None
    (tmp_path / "a.npz").write_bytes(whole)
    assert checkpoints.get("a")["x"].tolist() == list(range(100))


def test_no_code_is_stored(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(TypeError):
        checkpoints.put("a", {"x": np.array([object()])})
    np.savez(tmp_path / "b.npz", shape=np.array([{}], object))
    assert checkpoints.get("b") is None


def test_nothing_is_stored_without_a_folder():
    checkpoints = Checkpoints()
    checkpoints.put("a", 1)
    assert checkpoints.get("a") is None
