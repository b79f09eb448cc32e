"""One Spark session for all tests of a process, where PySpark and Java are installed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from scalr.engines.spark.cluster.session import find_java, no_pandas_warning

# Options for a JVM that lives for minutes: no second compiler, a garbage collector without threads, and plans that are
# interpreted instead of compiled to Java.
QUICK = {
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
WHY_NOT = "" if find_spec("pyspark") else "the extra 'spark' is not installed"
WHY_NOT = WHY_NOT or ("" if find_java() else "Spark needs Java")


@pytest.fixture(scope="session")
def session() -> Iterator[Any]:
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    with no_pandas_warning():
        from pyspark.sql import SparkSession

        made = (
            SparkSession.builder.master("local[2]")
            .config(map=QUICK)
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.sql.session.timeZone", "UTC")
            .config("spark.sql.shuffle.partitions", "3")
            .config("spark.sql.execution.arrow.pyspark.enabled", "true")
            .getOrCreate()
        )
    made.sparkContext.setLogLevel("OFF")
    yield made
    made.stop()
