"""Every page and command says which split is not a split by time."""

import pytest

from scalr.studies.findings.splitting import split_warnings
from scalr.studies.findings.verdict import verdict


def of(by, *, declared, own_order):
    return {"protocol": {"split_rule": {"by": by, "declared": declared, "own_order": own_order}}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (of("per_user", declared=False, own_order=True), "per user, before each user's own last events, because the"),
        (of("per_user", declared=True, own_order=True), "last events (--split per_user), because the time column"),
        (of("per_user", declared=True, own_order=False), "last events (--split per_user). This is not a split by time"),
        (of("time", declared=True, own_order=True), "at one number for all users (--split time), although"),
    ],
)
def test_what_is_no_split_by_time_is_said(content, words):
    (sentence,) = split_warnings(content)
    assert words in sentence
    assert "This is not a split by time" in sentence
    closed = {"segment": "warm", "open": False}
    row = {"arm": "scalr", "baseline": "real_only", "segment": "all", "metric": "normalized_entropy"}
    study = content | {"comparisons": [row | {"relative_change": 0.0, "interval": [0.0, 0.0]}]}
    assert verdict(study).warnings[0] == sentence
    assert sentence in verdict(study | {"choice": {"gate": [closed, closed | {"segment": "cold"}]}}).warnings


@pytest.mark.parametrize(
    "content",
    [
        of("time", declared=False, own_order=False),
        of("time", declared=True, own_order=False),
        of("random", declared=True, own_order=False),
        {"protocol": {"seeds": [0]}},
        {"protocol": None},
        {},
    ],
)
def test_other_splits_need_no_warning(content):
    assert split_warnings(content) == ()
