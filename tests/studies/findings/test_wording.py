"""Numbers and names as the report writes them."""

from __future__ import annotations

import math

import pytest

from scalr.studies.findings import wording


@pytest.mark.parametrize(
    ("share", "signed", "text"),
    [
        (-0.0111, True, "−1.11 %"),
        (0.0111, True, "+1.11 %"),
        (0.0111, False, "1.11 %"),
        (0.312, False, "31.2 %"),
        (1.0, False, "100 %"),
        (0.0, True, "0.00 %"),
        (-0.000001, True, "0.00 %"),
        (0.09999, False, "10.0 %"),
    ],
)
def test_percent(share, signed, text):
    assert wording.percent(share, signed=signed) == text


def test_intervals_take_the_decimals_they_are_given():
    assert wording.interval_text((-0.1304, 0.002), digits=1) == "−13.0 % to +0.2 %"
    assert wording.bracket((-0.013, 0.0), digits=2) == "[−1.30, 0.00]"


def test_ends_of_intervals_say_on_which_side_of_zero_they_are():
    assert wording.bracket((-0.00402, -0.00004), digits=2) == "[−0.40, −0.004]"
    assert wording.interval_text((-0.00402, 0.000001)) == "−0.40 % to +0.0001 %"
    assert wording.interval_text((-1e-9, 0.0)) == "0.00 % to 0.00 %"
    assert wording.bracket((-0.2, 0.0004), digits=1) == "[−20.0, +0.04]"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (999.6, "1.00k"), (1234, "1.23k"), (1.058842e6, "1.06M"), (4e10, "40.0B")],
)
def test_compact(value, text):
    assert wording.compact(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1234567, "1,234,567"), (0.5, "0.5"), (-0.25, "−0.25"), (1e-7, "1e-07"), (3.0, "3")]
)
def test_decimal(value, text):
    assert wording.decimal(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.041, "0.04 s"), (12.34, "12.3 s"), (125, "2 min 5 s"), (3780, "1 h 3 min")]
)
def test_seconds(value, text):
    assert wording.seconds(value) == text


@pytest.mark.parametrize("value", [None, math.nan, math.inf, "1", True, [1.0]])
def test_what_is_not_a_finite_number_is_none(value):
    assert wording.number(value) is None


def test_names_keep_what_they_do_not_know():
    assert wording.arm_name("pooled_training") == "pooled training"
    assert wording.metric_name("ndcg@10") == "NDCG@10"
    assert wording.in_order(["b", "scalr", "a", "b"], ("a", "scalr")) == ["a", "scalr", "b"]
    assert wording.listed(["a", "b", "c"]) == "a, b and c"
