"""SCALR against other methods, in words."""

import re

import pytest

from scalr.foundation.config import RIVALS
from scalr.studies.findings.comparisons import read_changes
from scalr.studies.findings.methods import method_comparisons
from scalr.studies.findings.verdict import verdict
from scalr.studies.findings.wording import ARM_NAMES, ARM_ORDER, METHODS

NEUTRAL = [
    {"arm": arm, "baseline": "real_only", "segment": "all", "metric": "normalized_entropy", "level": 0.95}
    | {"relative_change": 0.0, "interval": (-0.002, 0.002), "p_value": 0.5}
    for arm in ("random_items", "popular_items", "shuffled_users", "oversampled_real")
]


def row(baseline, change, segment="all", metric="normalized_entropy"):
    names = {"arm": "scalr", "baseline": baseline, "segment": segment, "metric": metric, "level": 0.95}
    return {**names, "relative_change": change, "interval": (change - 0.002, change + 0.002), "p_value": 0.01}


def told(*rows):
    rows = [row("real_only", -0.01), *NEUTRAL, *rows]
    return verdict({"protocol": {"seeds": list(range(5))}, "comparisons": rows})


def test_every_method_has_a_name_in_words_and_a_place():
    assert set(METHODS) == set(RIVALS) <= set(ARM_NAMES)
    assert set(METHODS) <= set(ARM_ORDER)


def test_methods_that_scalr_beats_are_findings():
    found = told(row("pooled", -0.02), row("emcdr", -0.03))
    assert "SCALR predicts better than these other methods: Pooled training and EMCDR." in found.findings
    assert not any("better than SCALR" in text for text in found.warnings)
    assert (found.tone, found.headline) == ("helped", "Synthetic events helped: prediction error fell by 1.00 %")


def test_a_method_that_wins_is_told_with_place_and_size():
    found = told(
        row("item_knn", 0.02),
        row("item_knn", 0.05, segment="cold"),
        row("item_knn", -0.1, metric="ndcg@20"),
        row("item_knn", 0.1, segment="warm", metric="ndcg@20"),
    )
    (warning,) = [text for text in found.warnings if "Item-kNN" in text]
    assert warning == (
        "Item-kNN across domains does better than SCALR: Normalized entropy of all users (SCALR 2.00 % higher); "
        "Normalized entropy of cold users (SCALR 5.00 % higher); NDCG@20 of all users (SCALR 10.0 % lower)."
    )
    assert any("consider Item-kNN across domains" in step for step in found.next_steps)
    assert found.tone == "helped"


def test_a_method_that_wins_for_some_users_only_is_no_advice_for_all():
    found = told(row("pooled", -0.02), row("pooled", 0.05, segment="cold"))
    assert any(text.startswith("Pooled training does better") for text in found.warnings)
    assert not any("consider Pooled" in step for step in found.next_steps)


@pytest.mark.parametrize(("change", "winner"), [(-0.01, "scalr"), (0.0, "nobody"), (0.01, "method")])
def test_the_interval_of_the_direct_comparison_decides(change, winner):
    (comparison,) = method_comparisons(read_changes({"comparisons": [row("collective", change)]}))
    assert comparison.winner == winner


def test_methods_are_no_controls():
    """A method that wins does not make a gain less of a transfer: it may be transfer of another kind."""
    found = told(row("pooled", 0.05))
    assert not re.search("control", " ".join(found.warnings + found.next_steps))
    assert {standing.arm for standing in found.standings} & set(METHODS) == set()


@pytest.mark.parametrize(
    ("real", "ours", "named"),
    [
        (0.03, 0.05, ["Real events only (0.0300)"]),
        (0.05, 0.06, []),
        (0.02, 0.03, ["Real events only (0.0200)", "SCALR (0.0300)"]),
    ],
)
def test_lists_that_popularity_beats_are_told(real, ours, named):
    means = {"real_only": {"ndcg@20": {"mean": real}}, "scalr": {"ndcg@20": {"mean": ours}}}
    study = {
        "protocol": {"seeds": [0, 1, 2, 3, 4]},
        "comparisons": [row("real_only", -0.01), *NEUTRAL],
        "arms": means,
        "references": {"popularity": {"ndcg@20": {"mean": 0.04}}},
    }
    warnings = [text for text in verdict(study).warnings if "popularity alone" in text]
    assert len(warnings) == bool(named)
    for name in named:
        assert name in warnings[0]
