"""Differentially private co-occurrence: counts of pairs from bounded contributions, with noise added once.

Every user contributes to at most m pairs (source item, target item), chosen by a hash of its own events, and once to
each: adding or removing a user changes at most m counts by one, which has the Euclidean norm sqrt(m). Discrete Gaussian
noise is added to the counts above 0, and noisy counts below a threshold are dropped (OpenDP's
`make_gaussian_threshold`). Draws from the noisy counts are (epsilon, delta)-differentially private with respect to the
other users: the rows of a user are a function of the noisy counts and of its own events (Hsu et al. 2014, billboard
lemma).

The noise comes from the operating system. It is not reproducible by a seed, because then it could be removed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np

from scalr.foundation import (
    Codes,
    ConfigError,
    Floats,
    Int64,
    PrivacySettings,
    Receipt,
    SampleSettings,
    Stopwatch,
    TranslateSettings,
    hashing,
    require_extra,
    rng,
)
from scalr.logs import EventLog, Pair, StoredPair
from scalr.synthesis.translators.cooccurrence import cutoff_of_source, horizon, target_histories
from scalr.synthesis.translators.history_caps import HISTORY_BOUND
from scalr.synthesis.translators.protocol import NO_ITEM, Drawing, Draws, supported
from scalr.synthesis.translators.queries import Queries, source_events

EXTRA = "privacy"
BISECTIONS = 40  # of the noise scale, down to negligible differences


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise of the counts, and the threshold for noisy counts.

    Attributes:
        scale: Scale of the discrete Gaussian.
        threshold: Least noisy count to keep.
        epsilon: Guarantee by OpenDP's accounting, at most `PrivacySettings.epsilon`.
        delta: Likewise.
    """

    scale: float
    threshold: int
    epsilon: float
    delta: float


@dataclass(frozen=True, slots=True, eq=False)
class PrivateTranslation:
    """Noisy counts by source item; no other data of users remain.

    Attributes:
        pair: The logs of the fit.
        start: Shape (n_source + 1,), start of each source item's pairs.
        item: Shape (pairs,), target items, ascending for a source item.
        count: Shape (pairs,), noisy counts, at least 1.
        noise: The noise of the counts.
        fitted_until: Latest time of all events of the fit; None without time.
        receipt: The receipt of the fit, with the guarantee.
        least: Least count of drawn pairs.
    """

    pair: Pair | StoredPair
    start: Int64
    item: Codes
    count: Int64
    noise: Noise
    fitted_until: int | None
    receipt: Receipt
    least: int = 1

    def drawing(self, source: EventLog, settings: SampleSettings, *, seed: int, most: int) -> Drawing:
        """Prepare draws by noisy counts, including the user's own pairs; see `Translation.drawing`."""
        return PrivateDrawing(
            source.positives(), self, supported(settings, self.least), rng.stream(seed, rng.Purpose.DRAW)
        )

    def totals(self) -> Int64:
        """Return the sum of counts of each source item, shape (n_source,)."""
        below = np.concatenate([[0], np.cumsum(self.count)])
        sums: Int64 = below[self.start[1:]] - below[self.start[:-1]]
        return sums

    def probability(self, user: Codes, item: Codes) -> Floats:
        """Return the share of the item in the noisy counts; see `Translation.probability`."""
        stored = StoredPair.from_pair(self.pair)
        queries, total = Queries.from_pairs(user, item, len(stored.target.users)), np.zeros(len(item))
        n_target, totals = len(stored.target.items), self.totals()
        source_item = np.repeat(np.arange(len(totals)), np.diff(self.start))
        known = np.append(source_item * n_target + self.item, np.iinfo(np.int64).max)

        def event_probability(log: EventLog) -> Callable[[Int64, Codes], Floats]:
            def probability(event: Int64, item: Codes) -> Floats:
                key = log.item[event].astype(np.int64) * n_target + item
                place = np.searchsorted(known, key)
                count = np.append(self.count, 0)[place]
                is_drawn = (known[place] == key) & (count >= self.least)
                return np.where(is_drawn, count, 0) / np.maximum(totals[log.item[event]], 1)

            return probability

        for part in stored.source.parts():
            log = part.positives()
            queries.add_events(log, event_probability(log), total)
        return queries.means(total, source_events(stored))


@dataclass(slots=True, eq=False)
class PrivateDrawing:
    """Draws from noisy counts; see `Drawing`. They need no workspace."""

    events: EventLog
    fitted: PrivateTranslation
    settings: SampleSettings
    stream: np.uint64
    _below: Floats = field(init=False)
    _totals: Int64 = field(init=False)
    _ranked: Int64 = field(init=False)

    def __post_init__(self) -> None:
        fitted, settings = self.fitted, self.settings
        weight = np.where(fitted.count >= settings.min_support, fitted.count, 0) ** (1.0 / settings.temperature)
        self._below = np.concatenate([[0.0], np.cumsum(weight)])
        self._totals = fitted.totals()
        owner = np.repeat(np.arange(len(self._totals)), np.diff(fitted.start))
        self._ranked = np.lexsort((fitted.item, -fitted.count, owner))

    def fork(self) -> PrivateDrawing:
        """Return a drawing for another thread; threads may share one."""
        return self

    def draw(self, first: int, last: int) -> Draws:
        """Draw for events [first, last); see `Drawing.draw`."""
        key, k, fitted = self.events.keys(first, last), self.settings.draws_per_event, self.fitted
        source = self.events.item[first:last].astype(np.int64)
        low, high = fitted.start[source], fitted.start[source + 1]
        keys = hashing.combine_keys(np.full(len(key), self.stream), key)
        place = np.empty((last - first, k), np.int64)
        for number in range(k):
            if self.settings.strategy == "topk":
                at = np.where(low + number < high, low + number, len(self._ranked))
                place[:, number] = np.append(self._ranked, -1)[at]
                continue
            below, above = self._below[low], self._below[high]
            wanted = below + hashing.units(keys, number) * (above - below)
            found = np.clip(np.searchsorted(self._below, wanted, side="right") - 1, low, np.maximum(high - 1, low))
            place[:, number] = np.where(above > below, found, -1)
        flat = place.ravel()
        count = np.append(fitted.count, 0)[flat]
        is_drawn = (flat >= 0) & (count >= self.settings.min_support)
        item = np.where(is_drawn, np.append(fitted.item, 0)[flat], NO_ITEM).astype(np.int32)
        share = count / np.maximum(np.repeat(self._totals[source], k), 1)
        return Draws(key, item, share.astype(np.float32), count.astype(np.int32))


def fit_private(pair: Pair | StoredPair, settings: TranslateSettings) -> PrivateTranslation:
    """Count the pairs of bounded contributions and add noise. Every call spends the whole privacy budget.

    Raises:
        ConfigError: If settings have another translator, a window or back-off, for which there is no noise.
        MissingExtraError: If OpenDP is not installed.
    """
    privacy = settings.privacy
    if settings.translator not in ("cooccurrence", "auto") or settings.backoff or settings.window_days is not None:
        raise ConfigError(
            f"privacy.epsilon is {privacy.epsilon} with translator '{settings.translator}', back-off "
            f"{settings.backoff:g} and window {settings.window_days}",
            expected="plain co-occurrence: translator 'cooccurrence', no back-off, no window",
            fix="remove these settings, or use --privacy k=N",
        )
    stored = StoredPair.from_pair(pair)
    with Stopwatch() as watch:
        noise = noise_for(privacy)
        keys = contributions(stored, settings.history_cap or HISTORY_BOUND, privacy.pairs_per_user)
        pairs, counts = np.unique(keys, return_counts=True)
        remaining, noisy = noised(pairs, counts, noise, privacy.pairs_per_user)
        n_target = len(stored.target.items)
        start = np.searchsorted(remaining, np.arange(len(stored.source.items) + 1, dtype=np.int64) * n_target)
    guarantee = {
        "unit": "user",
        "epsilon": noise.epsilon,
        "delta": noise.delta,
        "pairs_per_user": privacy.pairs_per_user,
        "noise_scale": noise.scale,
        "threshold": noise.threshold,
    }
    receipt = watch.receipt("fit", len(keys), len(remaining), translator="cooccurrence", privacy=guarantee)
    item = (remaining % n_target).astype(np.int32)
    return PrivateTranslation(
        pair, start.astype(np.int64), item, noisy, noise, horizon(stored), receipt, max(privacy.k, 1)
    )


def contributions(stored: StoredPair, cap: int, most: int) -> Int64:
    """Return one number, source item * n_target + target item, for every contribution of a user.

    Each user has at most `most` distinct contributions, which depend only on the user's own events and id.
    """
    target = target_histories(stored.target.positives(), cap)
    cutoff, users, items = cutoff_of_source(stored, cap), [], []
    for part in stored.source.parts():
        log = part.positives()
        new = log.starts_interaction() & (np.diff(target.start)[log.user] > 0)
        new &= True if cutoff is None else cutoff.admits(log)
        users.append(log.user[new])
        items.append(log.item[new])
    user = np.concatenate(users) if users else np.empty(0, np.int32)
    order = np.argsort(user, kind="stable")
    user, item = user[order], (np.concatenate(items) if items else user)[order]
    n_users = len(stored.target.users)
    start = np.concatenate([[0], np.cumsum(np.bincount(user, minlength=n_users))])
    targets = np.diff(target.start)
    possible = np.diff(start) * targets
    whole = possible <= most
    owner = np.repeat(np.arange(n_users), np.where(whole, possible, most))
    number = np.arange(len(owner)) - np.searchsorted(owner, owner)
    chance = rng.keyed_units(0, rng.Purpose.TESTIFY, stored.target.users.keys[owner], number.astype(np.uint64))
    place = np.where(whole[owner], number, (chance * possible[owner]).astype(np.int64))
    source_place, target_place = np.divmod(place, np.maximum(targets[owner], 1))
    pair = item[start[owner] + source_place].astype(np.int64) * len(stored.target.items)
    pair += target.item[target.start[owner] + target_place]
    distinct: Int64 = np.unique(np.stack([owner, pair]), axis=1)[1]
    return distinct


def noise_for(privacy: PrivacySettings) -> Noise:
    """Return the least noise with the required guarantee by OpenDP's accounting; the threshold spends half of delta.

    Raises:
        MissingExtraError: If OpenDP is not installed.
    """
    assert privacy.epsilon is not None
    low, high = 1e-2, 1e6
    for _ in range(BISECTIONS):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if _spent(middle, privacy)[0] <= privacy.epsilon else (middle, high)
    epsilon, delta = _spent(high, privacy)
    if epsilon > privacy.epsilon:
        raise ConfigError(
            f"privacy.epsilon is {privacy.epsilon}",
            expected="an epsilon that noise can guarantee",
            fix="use a larger epsilon",
        )
    return Noise(high, _threshold(high, privacy), epsilon, delta)


def _threshold(scale: float, privacy: PrivacySettings) -> int:
    """Return a threshold that counts from a single user exceed with a total probability below half of delta."""
    tail = privacy.delta / 2 / privacy.pairs_per_user
    return 2 + math.ceil(scale * NormalDist().inv_cdf(1 - tail))


def _spent(scale: float, privacy: PrivacySettings) -> tuple[float, float]:
    dp = require_extra("opendp.prelude", EXTRA)
    mechanism = _mechanism(dp, scale, _threshold(scale, privacy))
    fixed = dp.c.make_fix_delta(dp.c.make_zCDP_to_approxDP(mechanism), privacy.delta)
    try:
        epsilon, delta = fixed.map(_distance(privacy.pairs_per_user))
    except dp.OpenDPException:  # the threshold alone would spend more than delta
        return math.inf, 1.0
    return float(epsilon), float(delta)


def _distance(pairs_per_user: int) -> tuple[int, int, int]:
    """Return the effect of a user on the counts: their number, the Euclidean norm (rounded up) and the maximum."""
    return pairs_per_user, math.isqrt(pairs_per_user - 1) + 1, 1


def _mechanism(dp: Any, scale: float, threshold: int) -> Any:
    dp.enable_features("contrib")
    domain = dp.map_domain(dp.atom_domain(T="i64"), dp.atom_domain(T="i32"))
    metric = dp.l02inf_distance(dp.absolute_distance(T="i32"))
    return dp.m.make_gaussian_threshold(domain, metric, scale=scale, threshold=threshold)


def noised(pairs: Int64, counts: Int64, noise: Noise, pairs_per_user: int) -> tuple[Int64, Int64]:
    """Add noise to counts and keep those above the threshold.

    Args:
        pairs: Shape (n,), distinct numbers.
        counts: Shape (n,), at least 1, number of contributions.
        noise: The noise.
        pairs_per_user: Most contributions of a user, to distinct pairs.

    Returns:
        The remaining pairs, ascending, and their noisy counts.
    """
    dp = require_extra("opendp.prelude", EXTRA)
    released = _mechanism(dp, noise.scale, noise.threshold)(dict(zip(pairs.tolist(), counts.tolist(), strict=True)))
    remaining = np.array(sorted(released), np.int64)
    return remaining, np.array([released[pair] for pair in remaining.tolist()], np.int64)
