"""Judge translations by themselves: do they foretell the new target events of users, and is their confidence true?

Nothing is trained. That separates what a translator knows from what a model makes of its synthetic events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalr.evaluation import (
    ConfidenceCalibration,
    Estimate,
    Fold,
    calibration_curve,
    log_likelihoods,
    mean_over_pairs,
    perplexity,
)
from scalr.foundation import Codes, Floats, Int64, Keys, Mask, SampleSettings, TranslateSettings, pairs_in_log, rng
from scalr.logs import catalogue_of, has_events
from scalr.synthesis import Translation, fit, sample, translator_names

BASELINE = "popularity"
MOST_USERS = 2000
MIXED = 0.1  # share of a translation that popularity is given, to see whether it adds anything


@dataclass(frozen=True, slots=True)
class SegmentQuality:
    """How well a translation foretells the judged pairs of some users.

    Attributes:
        log_likelihood: Mean per judged pair in nats; higher is better.
        perplexity: exp(-log-likelihood); lower is better.
        gain: Log-likelihood less that of popularity, pair by pair; above 0 is better. None where popularity was not
            judged.
        mixed_gain: The gain of popularity with a tenth of the translation mixed in over popularity with a tenth of the
            uniform law mixed in. Above 0 the translation knows what neither popularity nor smoothing does.
        reached: Share of the judged pairs that the translation gives a chance, in [0, 1]; the others live on what is
            mixed in alone, and decide the mean where they are many.
        pairs: Judged pairs.
        users: Users that have them.
    """

    log_likelihood: Estimate
    perplexity: Estimate
    gain: Estimate | None
    mixed_gain: Estimate | None
    reached: float
    pairs: int
    users: int

    def to_json(self) -> dict[str, Any]:
        """Return the fields for `study.json`."""
        likelihood, perplexity = self.log_likelihood.to_json(), self.perplexity.to_json()
        return {
            "log_likelihood": likelihood["value"],
            "interval": likelihood["interval"],
            "perplexity": perplexity["value"],
            "perplexity_interval": perplexity["interval"],
            "reached": self.reached,
            "pairs": self.pairs,
            "users": self.users,
            "gain_over_popularity": None if self.gain is None else self.gain.to_json(),
            "mixed_gain_over_popularity": None if self.mixed_gain is None else self.mixed_gain.to_json(),
        }


@dataclass(frozen=True, slots=True)
class TranslationQuality:
    """What one translator is worth by itself on one fold.

    Attributes:
        segments: By "all", "warm" and "cold"; segments without a judged pair are left out.
        calibration: Stated confidence of draws against outcomes.
        settings: How it was fitted.
    """

    segments: Mapping[str, SegmentQuality]
    calibration: ConfidenceCalibration
    settings: TranslateSettings

    def to_json(self) -> dict[str, Any]:
        """Return the content of `study.json`: fields of all users, then warm and cold ones, and calibration."""
        parts = {name: part.to_json() for name, part in self.segments.items()}
        return {
            **parts["all"],
            "segments": {name: part for name, part in parts.items() if name != "all"},
            "calibration": self.calibration.to_json(),
            "backoff": self.settings.backoff,
        }


def translation_quality(
    fold: Fold,
    settings: TranslateSettings | None = None,
    *,
    translators: Sequence[str] | None = None,
    seed: int = 0,
    most_users: int = MOST_USERS,
    threads: int | None = None,
) -> dict[str, TranslationQuality]:
    """Judge translators on a fold's new pairs of users with source events.

    The log-likelihood of a judged pair is ln((1 - 0.05) · P(item | user) + 0.05 / catalogue). Items that a user has
    already keep their probability, in every translation alike. Intervals are bootstraps over users.

    For calibration each source event of a judged user draws one item; pairs that are real before the period, hidden
    ones too, are dropped. The outcome of a draw is the share of the user's judged pairs that are the drawn item.

    Args:
        fold: Its visible logs are fitted, its new pairs judge.
        settings: How to fit; the name in it does not count. `conditioned` is fitted without back-off, since it does
            not know its probabilities with it. Defaults if None.
        translators: Names; all that are registered if None.
        seed: Chooses the users, and fixes the draws.
        most_users: Judged users, at most.
        threads: Threads to draw with; the results do not depend on it.

    Returns:
        By name; empty where no judged pair belongs to a user with source events.

    Raises:
        ConfigError: If no translator has one of the names.

    Example:
        >>> import scalr
        >>> fold = scalr.split(scalr.simulate(n_users=300, seed=1).pair, scalr.SplitSettings()).test
        >>> found = scalr.translation_quality(fold, translators=["cooccurrence", "popularity"])
        >>> found["cooccurrence"].segments["all"].gain.interval[0] > 0
        True
    """
    settings = settings or TranslateSettings()
    known = translator_names() if settings.privacy.epsilon is None else ("cooccurrence", "popularity", "random")
    names = tuple(translators or known)
    judged = _judged(fold, seed, most_users)
    if not len(judged.item):
        return {}
    n_catalogue = len(catalogue_of(fold.pair.target))
    probabilities: dict[str, Floats] = {}
    calibrations: dict[str, tuple[ConfidenceCalibration, TranslateSettings]] = {}
    for name in names:
        own = settings.model_copy(
            update={"translator": name, "backoff": 0.0 if name == "conditioned" else settings.backoff}
        )
        fitted = fit(fold.pair, settings=own)
        fold.guard(fitted.fitted_until, "the translation")
        probabilities[name] = fitted.probability(judged.users[judged.place], judged.item)
        calibrations[name] = _calibration(fitted, fold, judged, seed, threads), own
    baseline = probabilities.get(BASELINE)
    return {
        name: TranslationQuality(
            _segments(judged, probabilities[name], baseline, n_catalogue, seed), *calibrations[name]
        )
        for name in names
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """Judged pairs of the chosen users; `place` says which of `users` each belongs to."""

    users: Codes
    keys: Keys
    is_cold: Mask
    place: Int64
    item: Codes


def _judged(fold: Fold, seed: int, most_users: int) -> _Judged:
    has_source = has_events(fold.pair.source.positives())[fold.user]
    users = np.unique(fold.user[has_source])
    keys = fold.pair.target.users.keys
    if len(users) > most_users:
        numbers = rng.keyed_units(seed, rng.Purpose.JUDGED_USERS, keys[users])
        users = np.sort(users[np.argsort(numbers, kind="stable")[:most_users]])
    chosen = np.isin(fold.user, users) & has_source
    place = np.searchsorted(users, fold.user[chosen])
    return _Judged(users, keys[users], fold.is_cold(users), place, fold.item[chosen])


def _segments(
    judged: _Judged, probability: Floats, baseline: Floats | None, n_catalogue: int, seed: int
) -> dict[str, SegmentQuality]:
    n_users = len(judged.users)
    likelihood = log_likelihoods(probability, n_catalogue)
    gain = mixed = None
    if baseline is not None:
        known = log_likelihoods(baseline, n_catalogue)
        gain = likelihood - known
        smoothed = log_likelihoods((1 - MIXED) * baseline + MIXED / n_catalogue, n_catalogue)
        mixed = log_likelihoods((1 - MIXED) * baseline + MIXED * probability, n_catalogue) - smoothed
    masks = {"all": np.ones(n_users, np.bool_), "warm": ~judged.is_cold, "cold": judged.is_cold}
    pairs = np.bincount(judged.place, minlength=n_users).astype(np.float64)
    found = {}
    for segment, mine in masks.items():
        if not mine.any():
            continue

        def mean(numbers: Floats, mine: Mask = mine) -> Estimate:
            sums = np.bincount(judged.place, numbers, n_users).astype(np.float64)
            return mean_over_pairs(sums[mine], pairs[mine], judged.keys[mine], seed=seed)

        own = mean(likelihood)
        found[segment] = SegmentQuality(
            log_likelihood=own,
            perplexity=perplexity(own),
            gain=None if gain is None else mean(gain),
            mixed_gain=None if mixed is None else mean(mixed),
            reached=float((probability > 0)[mine[judged.place]].mean()),
            pairs=int(pairs[mine].sum()),
            users=int(np.count_nonzero(mine)),
        )
    return found


def _calibration(
    fitted: Translation, fold: Fold, judged: _Judged, seed: int, threads: int | None
) -> ConfidenceCalibration:
    """Draw one item for each source event and compare what draws for judged users state with what happened."""
    events = sample(fitted, SampleSettings(draws_per_event=1), seed=seed, threads=threads)
    mine = np.isin(events.user, judged.users)
    user, item, stated = events.user[mine], events.item[mine], events.confidence[mine].astype(np.float64)
    n_users, seen = len(fold.seen.users), fold.seen
    is_new = ~pairs_in_log(user, item, _starts(seen.user, n_users), seen.item)
    user, item, stated = user[is_new], item[is_new], stated[is_new]
    order = np.lexsort((judged.item, judged.place))
    start = _starts(judged.users[judged.place], n_users)
    happened = pairs_in_log(user, item, start, judged.item[order])
    place = np.searchsorted(judged.users, user)
    outcome = happened / np.bincount(judged.place, minlength=len(judged.users))[place]
    return calibration_curve(stated, outcome, place, judged.keys, seed=seed)


def _starts(user: Codes, n_users: int) -> Int64:
    return np.concatenate([[0], np.cumsum(np.bincount(user, minlength=n_users))]).astype(np.int64)
