"""Factors of all source users, fitted on the driver from the keys of what they have: bit for bit the local engine's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scalr.config import TranslateSettings
from scalr.domain import Codes, Keys, Vocabulary
from scalr.errors import ConfigError
from scalr.kernels.machine import LANES
from scalr.spark.part import TargetSide, parts_of
from scalr.spark.parts import in_arrow
from scalr.spark.session import no_pandas_warning
from scalr.spark.ship import Shipped
from scalr.translators.affinity import SourceMatrix, UserAffinity, affinity_of
from scalr.translators.cooccurrence import TargetHistories
from scalr.translators.factor import Shortlists, shortlists_of

Int64 = npt.NDArray[np.int64]
BY_FACTORS = ("conditioned", "factor")
"""Translators that fit factors."""

MOST_PAIRS = 1 << 24  # distinct (user, source item) that the driver fits factors from; about 100 bytes each meanwhile
MOST_BYTES = 1 << 30  # of factors or lists that every machine holds
_PAIRS = "user bigint, item bigint"


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Gives the keys of the distinct positive (user, source item) of each part: no two parts have the same."""

    side: Shipped[TargetSide]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for part in parts_of(batches, self.side.open()):
            log = part.own().positives()
            new = log.starts_interaction()
            user, item = log.users.keys[log.user[new]], log.items.keys[log.item[new]]
            arrays = [pa.array(keys.view(np.int64)) for keys in (user, item)]
            yield pa.RecordBatch.from_arrays(arrays, names=["user", "item"])


@dataclass(frozen=True, slots=True, eq=False)
class SourceFactors:
    """Factors of all users, source users and target users together.

    Attributes:
        keys: Shape (n_users,), ascending.
        has_source: Shape (n_users,), whether they have positive source events.
        affinity: By these users.
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
        """Return the affinity of users with positive source events alone; others draw nothing."""
        whole, rows = self.affinity, self.has_source
        return UserAffinity(whole.user_factors[rows], whole.item_factors, whole.own_share[rows], whole.rank)

    def lists(self, length: int) -> Shortlists:
        """Return the nearest items of users with positive source events; their places are not used."""
        return shortlists_of(self.affinity, self.has_source, self.target_start, self.target_item, length)


def check_pairs(settings: TranslateSettings, n_pairs: int) -> None:
    """Refuse a source that has too many distinct (user, item) for the driver.

    Raises:
        ConfigError: If it has.
    """
    if n_pairs > MOST_PAIRS:
        raise ConfigError(
            f"translator '{settings.translator}' would fit factors from {n_pairs:,} distinct (user, source item)",
            expected=f"at most {MOST_PAIRS:,} with --engine spark: they are fitted on the driver",
            fix="choose --translator cooccurrence, which has no such bound, or take source items or days away",
        )


def bytes_per_user(settings: TranslateSettings, n_target: int) -> int:
    """Return what every machine holds of a source user."""
    if settings.translator == "factor":
        return 16 + 8 * min(settings.shortlist, n_target)
    return 12 + 4 * (-(-settings.rank // LANES) * LANES)


def fit_factors(
    packed: Any, side: Shipped[TargetSide], n_pairs: int, users: Vocabulary, histories: TargetHistories, n_target: int,
    settings: TranslateSettings,
) -> SourceFactors:  # fmt: skip
    """Collect the keys of distinct positive (user, source item), and fit what `conditioned` and `factor` know of users.

    Args:
        packed: The parts.
        side: What parts need of the target log.
        n_pairs: How many there are.
        users: Target users.
        histories: Their target items.
        n_target: Number of target items.
        settings: Rank and ridge.

    Raises:
        ConfigError: If there are more pairs, or users, than factors are fitted for.
    """
    check_pairs(settings, n_pairs)
    with no_pandas_warning():
        pairs = in_arrow(packed, _Pairs(side), _PAIRS).toArrow()
    user_keys, item_keys = (pairs[name].to_numpy().view(np.uint64) for name in ("user", "item"))
    del pairs
    found = np.unique(user_keys)
    _check_users(settings, len(found), bytes_per_user(settings, n_target))
    keys = np.union1d(found, users.keys)
    items, item = np.unique(item_keys, return_inverse=True)
    user = np.searchsorted(keys, user_keys).astype(np.int32)
    order = np.lexsort((user, item))  # canonical order, so that every sum is the local engine's
    matrix = SourceMatrix.of(_starts(item, len(items)), user[order], len(keys))
    owner = np.repeat(np.searchsorted(keys, users.keys), np.diff(histories.start))
    start = _starts(owner, len(keys))
    affinity = affinity_of(matrix, items, start, histories.item, n_target, settings.rank, settings.ridge)
    return SourceFactors(keys, matrix.user_weight > 0, affinity, start, histories.item)


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
