"""Types that Spark and Arrow share."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from scalr.foundation import SchemaError


def spark_schema(schema: pa.Schema) -> tuple[pa.Schema, Any]:
    """Return columns in types that Spark has, as Arrow types and as Spark types.

    Dictionaries become their values, all kinds of text become strings, times become microseconds.

    Raises:
        SchemaError: If Spark has no type for the values of a column.
    """
    from pyspark.errors import PySparkException
    from pyspark.sql.pandas.types import from_arrow_schema

    plain = pa.schema([one.with_type(_plain(one.type)) for one in schema])
    for one in plain:
        try:
            from_arrow_schema(pa.schema([one]))
        except PySparkException as error:
            raise SchemaError(
                f"column '{one.name}' of the target log has the type {one.type}, which Spark does not have",
                expected="types that Spark has, such as bigint, double, string, date, timestamp",
                fix="cast the column, or omit --engine spark",
            ) from error
    return plain, from_arrow_schema(plain, True)


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", tz=kind.tz)
    if pa.types.is_date64(kind):
        return pa.date32()
    return kind
