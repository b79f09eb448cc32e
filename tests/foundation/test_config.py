"""Settings: unknown names and values out of range are refused, with the way out; digests tell settings apart."""

from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalr.foundation import config
from scalr.foundation.config import (
    AlignSettings,
    LogSettings,
    RefineSettings,
    RunSettings,
    SampleSettings,
    Settings,
    SplitSettings,
    TrainSettings,
)
from scalr.foundation.errors import ConfigError

ALL = [
    kind
    for kind in vars(config).values()
    if isinstance(kind, type) and issubclass(kind, Settings) and kind is not Settings
]


LOGS = {"source": "source.parquet", "target": "target.parquet"}
REQUIRED: dict[type[Settings], dict[str, Any]] = {LogSettings: LOGS, RunSettings: LOGS}
"""Settings without a default; everything else has one."""


@pytest.mark.parametrize("kind", ALL)
def test_every_setting_has_a_default_and_a_sentence_of_its_own(kind: type[Settings]) -> None:
    assert {name for name, known in kind.model_fields.items() if known.is_required()} == set(REQUIRED.get(kind, {}))
    assert [name for name, known in kind.model_fields.items() if not known.description] == []


@pytest.mark.parametrize("kind", ALL)
def test_settings_survive_their_own_plain_form(kind: type[Settings]) -> None:
    settings = kind.parse(REQUIRED.get(kind, {}))
    assert kind.parse(settings.model_dump(mode="json")) == settings


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        RunSettings.parse({"source": "source.parquet"}, "run.yaml")
    assert (caught.value.what, caught.value.fix) == (
        "setting 'target' of run.yaml is missing",
        "add 'target:' with a value",
    )


@pytest.mark.parametrize(
    ("kind", "values", "what", "fix"),
    [
        (
            TrainSettings,
            {"synthetic_weigth": 1},
            "unknown setting 'synthetic_weigth'",
            "did you mean 'synthetic_weight'?",
        ),
        (TrainSettings, {"zzz": 1}, "unknown setting 'zzz'", "remove it, or see `scalr init` for all settings"),
        (RefineSettings, {"align": {"bukets": 9}}, "unknown setting 'align.bukets'", "did you mean 'align.buckets'?"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(
    kind: type[Settings], values: dict[str, Any], what: str, fix: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        kind.parse(values)
    assert (caught.value.what, caught.value.fix) == (what, fix)


def test_an_unknown_nested_name_is_answered_with_the_names_at_its_place() -> None:
    with pytest.raises(ConfigError) as caught:
        RefineSettings.parse({"align": {"zzz": 1}})
    assert caught.value.expected == "one of by, buckets, keep_share"


@pytest.mark.parametrize(
    ("kind", "values", "what", "expected"),
    [
        (SplitSettings, {"test_share": 1.0}, "setting 'test_share' is 1.0", "less than 1"),
        (SplitSettings, {"test_share": 0}, "setting 'test_share' is 0", "greater than 0"),
        (SplitSettings, {"hide_overlap": -0.1}, "setting 'hide_overlap' is -0.1", "greater than or equal to 0"),
        (SplitSettings, {"by": "day"}, "setting 'by' is 'day'", "'auto', 'time', 'per_user' or 'random'"),
        (SampleSettings, {"draws_per_event": 0}, "setting 'draws_per_event' is 0", "greater than or equal to 1"),
        (SampleSettings, {"temperature": float("nan")}, "setting 'temperature' is nan", "a finite number"),
        (TrainSettings, {"synthetic_weight": float("inf")}, "setting 'synthetic_weight' is inf", "a finite number"),
        (RefineSettings, {"align": {"buckets": 1}}, "setting 'align.buckets' is 1", "greater than or equal to 2"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_bound(
    kind: type[Settings], values: dict[str, Any], what: str, expected: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        kind.parse(values)
    assert (caught.value.what, caught.value.expected) == (what, expected)
    assert caught.value.fix.startswith("set '")


def test_the_place_of_a_wrong_value_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^ConfigError: setting 'test_share' of run\.yaml is 2\n"):
        SplitSettings.parse({"test_share": 2}, "run.yaml")


def test_nested_settings_and_null() -> None:
    assert RefineSettings.parse({"align": {"by": ["time"]}}).align == AlignSettings(by=("time",))
    assert RefineSettings.parse({"align": None}).align is None
    assert RefineSettings().align == AlignSettings()


def test_settings_are_frozen() -> None:
    settings = SampleSettings()
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        settings.draws_per_event = 2


@given(st.integers(1, 10**6), st.floats(0.05, 100), st.integers(1, 10**6), st.floats(0.05, 100))
def test_digests_are_equal_exactly_where_settings_are(draws: int, heat: float, other: int, other_heat: float) -> None:
    one = SampleSettings(draws_per_event=draws, temperature=heat)
    two = SampleSettings(draws_per_event=other, temperature=other_heat)
    assert (one.digest() == two.digest()) == (one == two)


def test_digest_does_not_depend_on_the_order_of_the_names() -> None:
    values = {"draws_per_event": 2, "strategy": "topk", "min_support": 3}
    assert SampleSettings.parse(values).digest() == SampleSettings.parse(dict(reversed(values.items()))).digest()
    assert len(SampleSettings().digest()) == 16
    assert int(SampleSettings().digest(), 16) >= 0


def test_digest_changes_with_a_nested_setting() -> None:
    assert RefineSettings().digest() != RefineSettings(align=AlignSettings(buckets=21)).digest()
    assert RefineSettings().digest() != RefineSettings(align=None).digest()
