"""Translations judged by themselves: against dense laws, in worlds with transfer and without."""

import itertools
import json

import numpy as np
import pytest
from tests.worlds import CountTable, small_pair

from scalr.evaluation.folds import split
from scalr.evaluation.metrics.translation import SMOOTHING
from scalr.foundation.config import SplitSettings, TranslateSettings
from scalr.logs.event_log import catalogue_of
from scalr.logs.simulation import simulate
from scalr.studies.translations import translation_quality
from scalr.synthesis.translators import translator_names

WORLD = {"n_users": 600, "events_per_user": (30, 8)}


def test_log_likelihood_is_that_of_dense_counts():
    fold = split(small_pair(), SplitSettings(hide_overlap=0.3), 0).test
    tables, source = CountTable(fold.pair), fold.pair.source
    n_catalogue, found = len(catalogue_of(fold.pair.target)), []
    for u, i in zip(fold.user, fold.item, strict=True):
        laws = [tables.law(u, j)[i] for j in source.item[source.user == u]]
        if laws:
            found.append(np.log((1 - SMOOTHING) * np.mean(laws) + SMOOTHING / n_catalogue))
    judged = translation_quality(fold, translators=["cooccurrence"])["cooccurrence"].segments["all"]
    assert judged.pairs == len(found)
    assert judged.log_likelihood.value == pytest.approx(np.mean(found))
    assert judged.perplexity.value == pytest.approx(np.exp(-np.mean(found)))
    assert judged.gain is None


@pytest.fixture(scope="module")
def related():
    fold = split(simulate(**WORLD, seed=1).pair, SplitSettings(hide_overlap=0.5), 0).test
    return fold, translation_quality(fold, TranslateSettings(window_days=None), seed=4)


def test_with_transfer_the_translators_beat_popularity_and_random_does_not(related):
    _, found = related
    assert tuple(found) == translator_names()
    for name in ("cooccurrence", "conditioned", "factor"):
        assert found[name].segments["all"].gain.interval[0] > 0.1
        assert found[name].segments["cold"].gain.interval[0] > 0
    assert found["popularity"].segments["all"].gain.value == 0
    assert found["random"].segments["all"].gain.interval[1] < 0
    fold, _ = related
    assert found["random"].segments["all"].perplexity.value == pytest.approx(len(catalogue_of(fold.pair.target)))


@pytest.mark.parametrize("seed", range(4))
def test_in_a_null_world_nobody_beats_popularity(seed):
    """Unrelated domains. An interval of 95 % lies above a true gain of 0 or less with a chance of 2.5 % at most.

    The four translators that could, in four worlds of fixed seeds: a chance of 33 % at most for any of the 16.
    """
    fold = split(simulate(**WORLD, relatedness=0.0, seed=10 + seed).pair, SplitSettings(hide_overlap=0.5), 0).test
    for name, quality in translation_quality(fold).items():
        gain = quality.segments["cold"].gain
        assert not gain.interval[0] > 0, name
        assert quality.segments["cold"].users > 50


def test_what_is_mixed_in_counts_for_what_it_knows_not_for_smoothing(related):
    """The uniform law adds nothing over itself; knowledge of users does, and more than itself unmixed loses."""
    _, found = related
    random = found["random"].segments["all"].mixed_gain
    assert random.value == pytest.approx(0.0, abs=1e-9)
    for name in ("cooccurrence", "conditioned", "factor"):
        assert found[name].segments["all"].mixed_gain.interval[0] > 0, name


def test_warm_and_cold_users_are_all_users(related):
    fold, found = related
    for quality in found.values():
        parts = [quality.segments[name] for name in ("warm", "cold")]
        assert sum(part.pairs for part in parts) == quality.segments["all"].pairs == len(fold.user)
        mean = sum(part.pairs * part.log_likelihood.value for part in parts) / len(fold.user)
        assert mean == pytest.approx(quality.segments["all"].log_likelihood.value)


def test_calibration_counts_what_happened(related):
    """Popularity and uniform draws state what happens up to the drop of known pairs; outcomes are shares of pairs."""
    _, found = related
    for name, quality in found.items():
        buckets = quality.calibration.buckets
        assert 1 <= len(buckets) <= 10
        assert all(low.stated < high.stated for low, high in itertools.pairwise(buckets))
        assert all(0 <= one.observed.value <= 1 for one in buckets), name
    assert len(found["random"].calibration.buckets) == 1
    assert 0.5 < found["random"].calibration.ratio < 2
    assert found["cooccurrence"].calibration.buckets[-1].observed.value > 0


def test_the_users_are_chosen_by_the_seed_and_threads_change_nothing(related):
    fold, _ = related
    names = ["popularity", "conditioned"]
    few = [
        translation_quality(fold, translators=names, seed=seed, most_users=50, threads=threads)
        for seed, threads in ((1, 1), (1, 3), (2, 1))
    ]
    contents = [{name: one.to_json() for name, one in found.items()} for found in few]
    assert contents[0] == contents[1] != contents[2]
    assert contents[0]["popularity"]["users"] == 50


def test_the_json_has_what_the_report_reads(related):
    _, found = related
    content = json.loads(json.dumps({name: one.to_json() for name, one in found.items()}, allow_nan=False))
    wanted = {"log_likelihood", "interval", "perplexity", "pairs", "users", "gain_over_popularity", "calibration"}
    assert all(wanted <= set(one) for one in content.values())


def test_a_back_off_or_a_window_breaks_no_translator():
    fold = split(small_pair(), SplitSettings(), 0).test
    found = translation_quality(fold, TranslateSettings(backoff=3.0, window_days=5.0))
    assert tuple(found) == translator_names()
    assert found["conditioned"].settings.backoff == 0
    assert found["cooccurrence"].settings.backoff == 3
