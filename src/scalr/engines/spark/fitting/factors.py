"""Factors of all source users, bit for bit those of the local engine.

The driver fits them from the keys of (user, item) pairs, of a bounded sample of users where there are many. Tasks then
compute the factors of all users.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scalr.engines.spark.cluster.broadcast import BroadcastValue
from scalr.engines.spark.cluster.layout import by_number, in_arrow, range_of
from scalr.engines.spark.cluster.part import PartPair, TargetSide, grouped_rows, parts_of
from scalr.engines.spark.cluster.session import no_pandas_warning
from scalr.engines.spark.fitting.counting import FitInputs
from scalr.foundation import LANES, Codes, ConfigError, Int64, Keys, Mask, Singles, TranslateSettings
from scalr.synthesis import (
    FitSample,
    Shortlists,
    SourceMatrix,
    Subspace,
    UserAffinity,
    regressed,
    shortlists_of,
)

BY_FACTORS = ("conditioned", "factor")
"""Translators that fit factors."""

MOST_BYTES = 1 << 30  # of factors or lists on every machine
BUCKET_PAIRS = 1 << 21  # pairs of the users who are projected together, on average
PAIR_BYTES = 8 + 3 * 8  # of a pair in the shuffle by user
_PAIRS = "user bigint, item bigint"
_KEYED = "user bigint, item bigint, bucket int"
_ROWS = "user bigint, factors binary"


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Emits the keys of the distinct positive (user, source item) of each part; no two parts share a pair."""

    side: BroadcastValue[TargetSide]
    sample: FitSample
    has_target: BroadcastValue[Mask]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for part in parts_of(batches, self.side.open()):
            has_target = (part.place >= 0) & self.has_target.open()[np.maximum(part.place, 0)]
            keys = part.pair.source.users.keys
            user, item = _distinct(part, None if self.sample.is_whole else self.sample.takes(keys, has_target))
            yield pa.RecordBatch.from_arrays([pa.array(user), pa.array(item)], names=["user", "item"])


@dataclass(frozen=True, slots=True)
class _Keyed:
    """Emits the pairs of all users, with a bucket per user."""

    side: BroadcastValue[TargetSide]
    buckets: int

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for part in parts_of(batches, self.side.open()):
            user, item = _distinct(part, None)
            bucket = range_of(user.view(np.uint64), np.full(len(user), self.buckets, np.int32)).astype(np.int32)
            arrays = [pa.array(one) for one in (user, item, bucket)]
            yield pa.RecordBatch.from_arrays(arrays, names=["user", "item", "bucket"])


@dataclass(frozen=True, slots=True)
class _Project:
    """Emits the projection of users on the subspace, from all their pairs."""

    subspace: BroadcastValue[Subspace]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        subspace = self.subspace.open()
        for _, rows in grouped_rows(batches, "bucket"):
            user_keys, item_keys = _keys(rows)
            item = np.minimum(np.searchsorted(subspace.item_keys, item_keys), len(subspace.item_keys) - 1)
            keys, user = np.unique(user_keys, return_inverse=True)
            is_known = subspace.item_keys[item] == item_keys
            matrix = _matrix(user[is_known].astype(np.int32), item[is_known], len(keys), len(subspace.item_keys))
            factors = subspace.rows(matrix)
            packed = pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(factors[:1].nbytes), len(keys), [None, pa.py_buffer(factors)]
            )
            arrays = [pa.array(keys.view(np.int64)), packed.cast(pa.binary())]
            yield pa.RecordBatch.from_arrays(arrays, names=["user", "factors"])


def _distinct(part: PartPair, chosen: Mask | None) -> tuple[Int64, Int64]:
    """Return keys of the distinct positive (user, item) of a part, as signed numbers; of all users if None."""
    log = part.own().positives()
    new = log.starts_interaction()
    if chosen is not None:
        new &= chosen[log.user]
    user, item = log.users.keys[log.user[new]], log.items.keys[log.item[new]]
    return user.view(np.int64), item.view(np.int64)


def _keys(rows: Any) -> tuple[Keys, Keys]:
    user, item = (rows[name].to_numpy().view(np.uint64) for name in ("user", "item"))
    return user, item


def _matrix(user: Codes, item: Int64, n_users: int, n_items: int) -> SourceMatrix:
    """Return pairs as a matrix, in canonical order, so that every sum equals that of the local engine."""
    order = np.lexsort((user, item))
    return SourceMatrix.from_pairs(_starts(item, n_items), user[order], n_users)


@dataclass(frozen=True, slots=True, eq=False)
class SourceFactors:
    """Factors of all users, source users and target users together.

    Attributes:
        keys: Shape (n_users,), ascending.
        has_source: Shape (n_users,), whether each user has positive source events.
        affinity: Affinity by these users.
        target_start: Shape (n_users + 1,), where each user's target items start.
        target_item: The target items.
    """

    keys: Keys
    has_source: npt.NDArray[np.bool_]
    affinity: UserAffinity
    target_start: Int64
    target_item: Codes

    @property
    def source_keys(self) -> Keys:
        """Return the keys of users with positive source events, ascending."""
        return self.keys[self.has_source]

    def of_source_users(self) -> UserAffinity:
        """Return the affinity of users with positive source events; other users draw nothing."""
        whole, rows = self.affinity, self.has_source
        return UserAffinity(whole.user_factors[rows], whole.item_factors, whole.own_share[rows], whole.rank)

    def lists(self, length: int) -> Shortlists:
        """Return the nearest items of users with positive source events; its `of_user` is not used."""
        return shortlists_of(self.affinity, self.has_source, self.target_start, self.target_item, length)


def bytes_per_user(settings: TranslateSettings, n_target: int) -> int:
    """Return the bytes that every machine holds per source user."""
    if settings.translator == "factor":
        return 16 + 8 * min(settings.shortlist, n_target)
    return 12 + 4 * (-(-settings.rank // LANES) * LANES)


def fit_source_factors(inputs: FitInputs) -> SourceFactors:
    """Fit the factors of `conditioned` and `factor` on about `fit_pairs` distinct positive (user, source item).

    The driver collects the keys of the pairs. Where there are more pairs, it collects those of a sample of users, and
    the factors of all users follow from the subspace that the sample fits; see `FitSample`.

    Raises:
        ConfigError: If every machine would hold the factors of more users than `MOST_BYTES` allows.
    """
    users, histories, settings = inputs.pair.target.users, inputs.histories, inputs.settings
    has_target, shared = np.diff(histories.start) > 0, inputs.counted.shared_interactions
    sample = FitSample.from_counts(shared, inputs.counted.interactions - shared, settings.fit_pairs)
    keys, matrix, subspace = _fit_subspace(inputs, sample, has_target)
    if sample.is_whole:
        rows, has_source, is_fitted = subspace.rows(matrix), matrix.user_weight > 0, None
    else:
        keys, rows, has_source = _project_all(inputs, subspace)
        is_fitted = sample.takes(keys, np.isin(keys, users.keys[has_target]))
    owner = np.repeat(np.searchsorted(keys, users.keys), np.diff(histories.start))
    start = _starts(owner, len(keys))
    affinity = regressed(rows, start, histories.item, inputs.n_target, settings.rank, settings.ridge, is_fitted)
    return SourceFactors(keys, has_source, affinity, start, histories.item)


def _fit_subspace(inputs: FitInputs, sample: FitSample, has_target: Mask) -> tuple[Keys, SourceMatrix, Subspace]:
    """Collect the pairs of a sample of users, and fit the subspace of their source items.

    Args:
        inputs: Inputs of fitting.
        sample: The sample of users.
        has_target: Shape (n_target_users,), whether each target user has target items.

    Returns:
        Keys of the sampled users and of all target users, ascending; the pairs as a matrix of these users; and the
        subspace.
    """
    users, settings = inputs.pair.target.users, inputs.settings
    pairs = _Pairs(inputs.side, sample, inputs.broadcasts.send(has_target))
    with no_pandas_warning():
        user_keys, item_keys = _keys(in_arrow(inputs.packed, pairs, _PAIRS).toArrow())
    source_users = np.unique(user_keys)
    n_shared = int(np.isin(source_users, users.keys[has_target]).sum())
    n_others = (len(source_users) - n_shared) / sample.other if sample.other else 0
    _check_users(settings, round(n_shared / sample.shared + n_others), bytes_per_user(settings, inputs.n_target))
    keys = np.union1d(source_users, users.keys)
    items, item = np.unique(item_keys, return_inverse=True)
    matrix = _matrix(np.searchsorted(keys, user_keys).astype(np.int32), item, len(keys), len(items))
    del user_keys, item_keys, item  # they may be large, and fitting takes memory
    return keys, matrix, Subspace.from_matrix(matrix, items, settings.rank)


def _project_all(inputs: FitInputs, subspace: Subspace) -> tuple[Keys, Singles, Mask]:
    """Project all users on a subspace that a sample has fitted.

    Returns:
        Keys of all source users and target users, ascending; their rows in the subspace, zeros for users without
        source events; and whether each has source events.
    """
    rank = inputs.settings.rank
    n_buckets = inputs.counted.interactions // BUCKET_PAIRS + 1
    pairs = by_number(in_arrow(inputs.packed, _Keyed(inputs.side, n_buckets), _KEYED), "bucket", n_buckets)
    sent = inputs.broadcasts.send(subspace)
    with no_pandas_warning():
        table = in_arrow(pairs, _Project(sent), _ROWS).toArrow()
    source_keys, width = table["user"].to_numpy().view(np.uint64), 4 * sent.open().basis.shape[1]
    packed = table["factors"].cast(pa.binary(width)).combine_chunks()
    factors = np.frombuffer(packed.buffers()[1], np.float32, len(source_keys) * width // 4).reshape(
        len(source_keys), -1
    )
    keys = np.union1d(source_keys, inputs.pair.target.users.keys)
    place = np.searchsorted(keys, source_keys)
    rows, has_source = np.zeros((len(keys), rank), np.float32), np.zeros(len(keys), np.bool_)
    rows[place], has_source[place] = factors, True
    return keys, rows, has_source


def _starts(group: npt.NDArray[Any], n_groups: int) -> Int64:
    return np.concatenate([[0], np.cumsum(np.bincount(group, minlength=n_groups))]).astype(np.int64)


def _check_users(settings: TranslateSettings, n_users: int, each: int) -> None:
    if n_users * each > MOST_BYTES:
        name = "shortlist" if settings.translator == "factor" else "rank"
        raise ConfigError(
            f"translator '{settings.translator}' keeps {each:,} bytes for each of {n_users:,} source users",
            expected=f"at most {MOST_BYTES:,} bytes in all with --engine spark: every machine holds them",
            fix=f"choose a smaller translate.{name}, or --translator cooccurrence",
        )
