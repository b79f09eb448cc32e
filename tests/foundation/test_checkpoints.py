"""What is kept comes back bit for bit, or not at all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from scalr.foundation.checkpoints import Pieces

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
def test_values_come_back_bit_for_bit(value, tmp_path_factory):
    pieces = Pieces(tmp_path_factory.mktemp("pieces"))
    pieces.put("a", {"it": value})
    assert same(pieces.get("a"), {"it": value})


def test_what_is_not_there_or_damaged_counts_as_missing(tmp_path):
    pieces = Pieces(tmp_path)
    assert pieces.get("a") is None
    pieces.put("a", {"x": np.arange(100)})
    whole = (tmp_path / "a.npz").read_bytes()
    for damaged in (b"", whole[:60], whole[:-30], whole.replace(b"\x07\x00\x00", b"\x08\x00\x00")):
        (tmp_path / "a.npz").write_bytes(damaged)
        assert damaged != whole
        assert pieces.get("a") is None
    (tmp_path / "a.npz").write_bytes(whole)
    assert pieces.get("a")["x"].tolist() == list(range(100))


def test_no_code_is_kept(tmp_path):
    pieces = Pieces(tmp_path)
    with pytest.raises(TypeError):
        pieces.put("a", {"x": np.array([object()])})
    np.savez(tmp_path / "b.npz", shape=np.array([{}], object))
    assert pieces.get("b") is None


def test_nothing_is_kept_without_a_folder():
    pieces = Pieces()
    pieces.put("a", 1)
    assert pieces.get("a") is None
