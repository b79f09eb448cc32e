"""Fit a translation: the target side on the driver, statistics of the source in Spark."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalr.engines.spark.fitting.counting import FitInputs, any_longer, category_counts, fit_source_cutoff
from scalr.engines.spark.fitting.factors import BY_FACTORS, fit_source_factors
from scalr.engines.spark.fitting.part_translation import FittedTranslation, KeyedCutoff
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
        ConfigError: If the translator is unknown or does not run on Spark, or differential privacy is set.
    """
    if settings.privacy.epsilon is not None:
        raise ConfigError(
            f"privacy.epsilon is {settings.privacy.epsilon:g}, and noisy counts are made by the local engine only",
            expected="no epsilon with --engine spark",
            fix="use --privacy k=N, or omit --engine spark",
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
    """Return the target histories that a translator with these settings needs."""
    cap = None if settings.translator == "random" else settings.history_cap
    paths = paths_of(settings)
    timed = paths is not None and paths.window_days is not None
    return target_histories(pair.target.positives(), cap, timed=timed)


def fit_on_spark(inputs: FitInputs) -> FittedTranslation:
    """Fit a translation.

    Raises:
        ConfigError: If every machine would hold the factors of too many users; see `fit_source_factors`.
    """
    settings, target = inputs.settings, inputs.pair.target
    with Stopwatch() as watch:
        popularity = np.bincount(inputs.histories.item, minlength=inputs.n_target).astype(np.int32)
        paths = paths_of(settings)
        factors = fit_source_factors(inputs) if settings.translator in BY_FACTORS else None
        cutoff = None if paths is None else _cutoff(inputs)
        backoff = _backoff_of(inputs, paths, cutoff)
        lists = factors.lists(settings.shortlist) if factors and settings.translator == "factor" else None
    least = settings.privacy.k
    if settings.translator == "random":
        receipt = watch.receipt("fit", len(target), int(np.count_nonzero(popularity)), translator="random")
        return FittedTranslation(RandomTranslation(inputs.pair, inputs.histories, popularity, None, receipt, least))
    if settings.translator == "popularity":
        assert backoff is not None
        receipt = watch.receipt("fit", len(target), len(inputs.histories.item), translator="popularity")
        return FittedTranslation(PopularityTranslation(inputs.pair, backoff, None, receipt, least))
    details = {} if backoff is None else {"categories": backoff.n_categories}
    n_entries = inputs.counted.paths if lists is None else int(np.count_nonzero(lists.score))
    n_rows = inputs.counted.events + len(target.positives())
    receipt = watch.receipt("fit", n_rows, n_entries, translator=settings.translator, **details)
    whole: Any = None
    if paths is not None:
        window = window_of(paths)
        whole = CooccurrenceTranslation(inputs.pair, inputs.histories, None, window, backoff, None, receipt, least)
    if lists is not None:
        whole = FactorTranslation(inputs.pair, lists, None, receipt, whole)
    elif factors is not None:
        whole = ConditionedTranslation(whole, factors.of_source_users(), settings.candidates, receipt)
    source_keys = None if factors is None else factors.source_keys
    return FittedTranslation(whole, cutoff, inputs.categories if backoff is not None else None, source_keys)


def _cutoff(inputs: FitInputs) -> KeyedCutoff | None:
    """Return the cutoffs of source histories; None where no history exceeds the bound and no cap is set."""
    cap = inputs.settings.history_cap or HISTORY_BOUND
    return fit_source_cutoff(inputs, cap) if inputs.settings.history_cap or any_longer(inputs, cap) else None


def _backoff_of(inputs: FitInputs, paths: TranslateSettings | None, cutoff: KeyedCutoff | None) -> Backoff | None:
    """Return the back-off distributions of a translator; None if it has none."""
    if inputs.settings.translator == "popularity":
        return _backoff(inputs, 1.0, None, None)
    if paths is not None and paths.backoff > 0:
        return _backoff(inputs, paths.backoff, inputs.categories, cutoff)
    return None


def _backoff(
    inputs: FitInputs, pseudo_paths: float, categories: CategoryTable | None, cutoff: KeyedCutoff | None
) -> Backoff:
    histories = inputs.histories
    rows: list[tuple[Codes, Codes]] = []
    members: list[Codes] = []
    if categories is not None:
        rows, members = category_counts(inputs, categories, cutoff)
    no_items = np.zeros(0, np.int32)
    laws = laws_of(no_items, rows, None if cutoff is None else members, histories.item, inputs.n_target)
    return Backoff(pseudo_paths, laws, histories.start, histories.item)
