"""Fit a translation: the target half on the driver, what the source decides in Spark."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalr.engines.spark.cluster.broadcast import Ship, Shipped
from scalr.engines.spark.cluster.part import TargetSide
from scalr.engines.spark.fitting.counting import SourceCount, any_longer, category_counts, source_cutoff
from scalr.engines.spark.fitting.factors import BY_FACTORS, fit_factors
from scalr.engines.spark.fitting.part_translation import Fitted, KeyedCutoff
from scalr.engines.spark.reading.logs import paths_of
from scalr.engines.spark.reading.target import CategoryTable
from scalr.foundation import Codes, ConfigError, Stopwatch, TranslateSettings, unknown_name
from scalr.logs import StoredPair
from scalr.synthesis import (
    HISTORY_BOUND,
    Backoff,
    ConditionedTranslation,
    CooccurrenceTranslation,
    FactorTranslation,
    PopularityTranslation,
    RandomTranslation,
    RealPairs,
    TargetHistories,
    laws_of,
    target_histories,
    translator_names,
    window_of,
)

ON_SPARK = ("cooccurrence", *BY_FACTORS, "popularity", "random")
"""Translators that run on Spark."""


def check_translator(settings: TranslateSettings) -> None:
    """Refuse a translator that does not run on Spark.

    Raises:
        ConfigError: If there is no such translator, or it does not run on Spark; likewise differential privacy.
    """
    if settings.privacy.epsilon is not None:
        raise ConfigError(
            f"privacy.epsilon is {settings.privacy.epsilon:g}, and noisy counts are made by the local engine only",
            expected="no epsilon beside --engine spark",
            fix="protect by --privacy k=N, or leave --engine spark out",
        )
    name = settings.translator
    if name in ON_SPARK:
        return
    if name not in (*translator_names(), "auto"):
        raise unknown_name("translator", name, ON_SPARK)
    raise ConfigError(
        f"translator '{name}' needs a validation period to choose on, which this step does not have",
        expected=f"one of {', '.join(ON_SPARK)}",
        fix="choose one with --translator, or let `scalr run --engine spark` choose",
    )


def histories_of(pair: StoredPair, settings: TranslateSettings) -> TargetHistories:
    """Return the target histories that `settings` ask for."""
    cap = None if settings.translator == "random" else settings.history_cap
    paths = paths_of(settings)
    timed = paths is not None and paths.window_days is not None
    return target_histories(pair.target.positives(), cap, timed=timed)


def fit_on_spark(
    pair: StoredPair, histories: TargetHistories, settings: TranslateSettings, packed: Any,
    side: Shipped[TargetSide], categories: CategoryTable | None, counted: SourceCount, ship: Ship,
) -> Fitted:  # fmt: skip
    """Fit a translation.

    Args:
        pair: The target log with a source without events.
        histories: Those of `histories_of`.
        settings: What to fit.
        packed: The parts.
        side: What parts need of the target log.
        categories: Categories of source items, where thin items are to back off to them.
        counted: The source in numbers.
        ship: Hands a value to Spark.

    Raises:
        ConfigError: If factors are asked for of more users than machines may hold; see `fit_factors`.
    """
    n_users, n_target = len(pair.target.users), len(pair.target.items)
    paths, factors = paths_of(settings), None
    with Stopwatch() as watch:
        popularity = np.bincount(histories.item, minlength=n_target).astype(np.int32)
        cutoff: KeyedCutoff | None = None
        backoff: Backoff | None = None
        cap = settings.history_cap or HISTORY_BOUND
        if settings.translator in BY_FACTORS:
            factors = fit_factors(packed, side, counted, pair.target.users, histories, n_target, settings, ship)
        if paths is not None and (settings.history_cap or any_longer(packed, side, counted, cap)):
            cutoff = source_cutoff(packed, side, cap, n_users)
        if paths is not None and paths.backoff > 0:
            backoff = _backoff(histories, paths.backoff, packed, side, categories, cutoff, n_target, ship)
        if settings.translator == "popularity":
            backoff = _backoff(histories, 1.0, packed, side, None, None, n_target, ship)
        lists = factors.lists(settings.shortlist) if factors and settings.translator == "factor" else None
    if settings.translator == "random":
        receipt = watch.receipt("fit", len(pair.target), int(np.count_nonzero(popularity)), translator="random")
        return Fitted(RandomTranslation(pair, histories, popularity, None, receipt, settings.privacy.k))
    if settings.translator == "popularity":
        assert backoff is not None
        receipt = watch.receipt("fit", len(pair.target), len(histories.item), translator="popularity")
        return Fitted(PopularityTranslation(pair, backoff, None, receipt, settings.privacy.k))
    rows = counted.events + len(pair.target.positives())
    details = {} if backoff is None else {"categories": backoff.n_categories}
    n_found = counted.paths if lists is None else int(np.count_nonzero(lists.score))
    receipt = watch.receipt("fit", rows, n_found, translator=settings.translator, **details)
    whole: Any = None
    if paths is not None:
        window, least = window_of(paths), settings.privacy.k
        whole = CooccurrenceTranslation(pair, histories, None, window, backoff, None, receipt, least)
    if lists is not None:
        whole = FactorTranslation(pair, lists, None, receipt, whole)
    elif factors is not None:
        whole = ConditionedTranslation(whole, factors.of_source_users(), settings.candidates, receipt)
    source_keys = None if factors is None else factors.source_keys
    return Fitted(whole, cutoff, categories if backoff is not None else None, source_keys)


def _backoff(
    histories: TargetHistories, pseudo_paths: float, packed: Any, side: Shipped[TargetSide],
    categories: CategoryTable | None, cutoff: KeyedCutoff | None, n_target: int, ship: Ship,
) -> Backoff:  # fmt: skip
    rows: list[tuple[Codes, Codes]] = []
    members: list[Codes] = []
    if categories is not None:
        rows, members = category_counts(
            packed, side, ship(categories), categories.n_categories, None if cutoff is None else ship(cutoff),
            ship(RealPairs(histories.start, histories.item)), n_target,
        )  # fmt: skip
    laws = laws_of(np.zeros(0, np.int32), rows, None if cutoff is None else members, histories.item, n_target)
    return Backoff(pseudo_paths, laws, histories.start, histories.item)
