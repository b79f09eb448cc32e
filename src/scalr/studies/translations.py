"""Evaluate translations directly: do they predict users' held-out target events, and is confidence calibrated?

No model is trained, which separates the quality of a translator from the use that a model makes of its events.
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
MIXED = 0.1  # share of a translation in a mixture with popularity, to test whether it adds information


@dataclass(frozen=True, slots=True)
class SegmentQuality:
    """How well a translation predicts the judged pairs of some users.

    Attributes:
        log_likelihood: Mean per judged pair in nats; higher is better.
        perplexity: exp(-log-likelihood); lower is better.
        gain: Log-likelihood minus that of popularity, pair by pair; above 0 is better. None unless popularity was
            evaluated.
        mixed_gain: Gain of popularity mixed with a tenth of the translation over popularity mixed with a tenth of the
            uniform distribution. Above 0 the translation has information that neither popularity nor smoothing has.
        reached: Share of the judged pairs with a positive probability, in [0, 1]; the others have the smoothing
            probability alone and dominate the mean if they are many.
        pairs: Number of judged pairs.
        users: Number of their users.
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
    """How well one translator predicts on one fold.

    Attributes:
        segments: By "all", "warm" and "cold"; segments without a judged pair are missing.
        calibration: Confidence of draws against outcomes.
        settings: Settings of the translator.
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
    """Evaluate translators on a fold's new pairs of users with source events.

    The log-likelihood of a judged pair is ln((1 - 0.05) · P(item | user) + 0.05 / catalogue). Items that a user has
    already keep their probability, in every translation alike. Intervals are bootstraps over users.

    For calibration each source event of a judged user draws one item; pairs that are real before the period, hidden
    pairs too, are dropped. The outcome of a draw is the share of the user's judged pairs that are the drawn item.

    Args:
        fold: Its visible logs are fitted, its new pairs judge.
        settings: Settings of every translator; the name in it is ignored. `conditioned` is fitted without back-off,
            since it has no probabilities with it. Defaults if None.
        translators: Names; all registered translators if None.
        seed: Selects the users, and fixes the draws.
        most_users: Upper bound on the judged users.
        threads: Threads to draw with; the results do not depend on it.

    Returns:
        By name; empty if no judged pair belongs to a user with source events.

    Raises:
        ConfigError: If a name is unknown.

    Example:
        >>> import scalr
        >>> fold = scalr.split(scalr.simulate(n_users=300, seed=1).pair, scalr.SplitSettings()).test
        >>> quality = scalr.translation_quality(fold, translators=["cooccurrence", "popularity"])
        >>> quality["cooccurrence"].segments["all"].gain.interval[0] > 0
        True
    """
    settings = settings or TranslateSettings()
    judged = _judged(fold, seed, most_users)
    if not len(judged.item):
        return {}
    probabilities: dict[str, Floats] = {}
    calibrations: dict[str, tuple[ConfidenceCalibration, TranslateSettings]] = {}
    for name in translators or _available(settings):
        fitted, used = _fitted(fold, name, settings)
        probabilities[name] = fitted.probability(judged.users[judged.place], judged.item)
        calibrations[name] = _calibration(fitted, fold, judged, seed, threads), used
    n_catalogue = len(catalogue_of(fold.pair.target))
    popularity = probabilities.get(BASELINE)
    return {
        name: TranslationQuality(_segments(judged, probability, popularity, n_catalogue, seed), *calibrations[name])
        for name, probability in probabilities.items()
    }


def _available(settings: TranslateSettings) -> tuple[str, ...]:
    """Return the registered translators; with differential privacy, those that support it."""
    return translator_names() if settings.privacy.epsilon is None else ("cooccurrence", "popularity", "random")


def _fitted(fold: Fold, name: str, settings: TranslateSettings) -> tuple[Translation, TranslateSettings]:
    """Return a translation of a fold's visible logs, and the settings that it was fitted with."""
    backoff = 0.0 if name == "conditioned" else settings.backoff
    used = settings.model_copy(update={"translator": name, "backoff": backoff})
    fitted = fit(fold.pair, settings=used)
    fold.guard(fitted.fitted_until, "the translation")
    return fitted, used


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """Judged pairs of the selected users; `place` is the position of the pair's user in `users`."""

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
    selected = np.isin(fold.user, users) & has_source
    place = np.searchsorted(users, fold.user[selected])
    return _Judged(users, keys[users], fold.is_cold(users), place, fold.item[selected])


def _segments(
    judged: _Judged, probability: Floats, popularity: Floats | None, n_catalogue: int, seed: int
) -> dict[str, SegmentQuality]:
    numbers = _pair_numbers(probability, popularity, n_catalogue)
    is_any = np.ones(len(judged.users), np.bool_)
    masks = {"all": is_any, "warm": ~judged.is_cold, "cold": judged.is_cold}
    return {
        segment: _segment(judged, probability, numbers, is_member, seed)
        for segment, is_member in masks.items()
        if is_member.any()
    }


def _pair_numbers(probability: Floats, popularity: Floats | None, n_catalogue: int) -> dict[str, Floats]:
    """Return log-likelihood, gain and mixed gain of each judged pair, shape (n,); gains only beside popularity."""
    likelihood = log_likelihoods(probability, n_catalogue)
    if popularity is None:
        return {"likelihood": likelihood}
    smoothed = log_likelihoods((1 - MIXED) * popularity + MIXED / n_catalogue, n_catalogue)
    mixed = log_likelihoods((1 - MIXED) * popularity + MIXED * probability, n_catalogue)
    gain = likelihood - log_likelihoods(popularity, n_catalogue)
    return {"likelihood": likelihood, "gain": gain, "mixed_gain": mixed - smoothed}


def _segment(
    judged: _Judged, probability: Floats, numbers: Mapping[str, Floats], is_member: Mask, seed: int
) -> SegmentQuality:
    """Return the quality for the users of a segment, given by a mask of shape (n_users,)."""
    n_users = len(judged.users)
    pairs = np.bincount(judged.place, minlength=n_users).astype(np.float64)[is_member]
    means: dict[str, Estimate] = {}
    for name, values in numbers.items():
        sums = np.bincount(judged.place, values, n_users).astype(np.float64)
        means[name] = mean_over_pairs(sums[is_member], pairs, judged.keys[is_member], seed=seed)
    return SegmentQuality(
        log_likelihood=means["likelihood"],
        perplexity=perplexity(means["likelihood"]),
        gain=means.get("gain"),
        mixed_gain=means.get("mixed_gain"),
        reached=float((probability > 0)[is_member[judged.place]].mean()),
        pairs=int(pairs.sum()),
        users=int(np.count_nonzero(is_member)),
    )


def _calibration(
    fitted: Translation, fold: Fold, judged: _Judged, seed: int, threads: int | None
) -> ConfidenceCalibration:
    """Draw one item for each source event and compare the confidence of draws for judged users with outcomes."""
    events = sample(fitted, SampleSettings(draws_per_event=1), seed=seed, threads=threads)
    is_judged = np.isin(events.user, judged.users)
    user, item = events.user[is_judged], events.item[is_judged]
    stated = events.confidence[is_judged].astype(np.float64)
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
