"""Column names of a log: settings and JSON become `Columns`."""

from scalr.foundation.config import ColumnSettings
from scalr.logs.schema import COMMON_NAMES, Columns


def test_settings_and_columns_have_the_same_fields() -> None:
    roles = [role for role, _ in Columns().roles()]
    assert list(ColumnSettings.model_fields) == roles == list(COMMON_NAMES)


def test_columns_come_from_settings_and_from_json() -> None:
    settings = ColumnSettings(user="who", label="")
    assert Columns.from_settings(settings) == Columns(user="who", label="")
    assert Columns.from_settings(settings.model_dump()) == Columns(user="who", label="")
    assert Columns.from_settings({"user": "who"}) == Columns(user="who")
    assert Columns.from_settings(None) == Columns()
