"""Errors: always three lines, also builtins, and the nearest name where one is close."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalr.foundation import errors
from scalr.foundation.errors import InputError, MissingExtraError, ScalrError, nearest_name, require_extra

LEAVES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ScalrError)]


@pytest.mark.parametrize("kind", LEAVES)
def test_message_says_what_is_wrong_what_was_expected_and_how_to_fix_it(kind: type[ScalrError]) -> None:
    error = kind("column 'user' has 3 nulls", expected="no nulls", fix="drop them")
    assert str(error).split("\n") == [
        f"{kind.__name__}: column 'user' has 3 nulls",
        "  expected: no nulls",
        "  fix: drop them",
    ]
    assert (error.what, error.expected, error.fix) == ("column 'user' has 3 nulls", "no nulls", "drop them")


@given(st.text(), st.text(), st.text())
def test_no_name_can_add_a_line(what: str, expected: str, fix: str) -> None:
    assert len(str(InputError(what, expected=expected, fix=fix)).splitlines()) == 3


@pytest.mark.parametrize("break_", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x85", "\u2028"])
def test_every_kind_of_line_break_becomes_a_space(break_: str) -> None:
    error = InputError(f"column 'a{break_}b' is missing", expected="it", fix="add it")
    assert str(error).splitlines()[0] == "InputError: column 'a b' is missing"


def test_user_errors_are_value_errors_and_missing_extras_are_import_errors() -> None:
    assert issubclass(InputError, ValueError)
    assert issubclass(MissingExtraError, ImportError)
    assert not issubclass(MissingExtraError, InputError)


def test_an_installed_module_is_returned() -> None:
    assert require_extra("json", "report").__name__ == "json"


def test_a_missing_module_names_the_extra_that_brings_it() -> None:
    with pytest.raises(MissingExtraError) as caught:
        require_extra("a_module_nobody_wrote", "report")
    assert caught.value.what == "module 'a_module_nobody_wrote' is not installed"
    assert caught.value.fix == "pip install 'scalr-rec[report]'"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("user_di", "user_id"), ("USER_ID", "user_id"), ("itm_id", "item_id"), ("zzz", None), ("", None)],
)
def test_nearest_name(name: str, nearest: str | None) -> None:
    assert nearest_name(name, ["user_id", "item_id"]) == nearest
    assert nearest_name(name, []) is None
