"""Spark sessions: check that PySpark and Java are installed, find a session or start one."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scalr.foundation import ConfigError, MissingExtraError, require_extra

_LOG = Path(__file__).with_name("log4j2.properties")
_QUIET = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={_LOG.as_uri()}",
}


def require_spark() -> None:
    """Check that PySpark and Java are installed.

    Raises:
        MissingExtraError: If one of them is missing.
    """
    with no_pandas_warning():
        require_extra("pyspark.sql", "spark")
    if find_java() is None:
        raise MissingExtraError(
            "Spark needs Java, and no 'java' was found",
            expected="Java 17 or newer, on the PATH or below JAVA_HOME",
            fix="install a Java runtime (such as openjdk-17-jre-headless), or omit --engine spark",
        )


def find_java() -> str | None:
    """Return the `java` below JAVA_HOME or on the PATH; None for none."""
    home = os.environ.get("JAVA_HOME")
    return (shutil.which("java", path=str(Path(home) / "bin")) if home else None) or shutil.which("java")


@contextmanager
def no_pandas_warning() -> Iterator[None]:
    """Silence PySpark's warning about pandas 3, which is not used here: rows go through Arrow."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas", category=FutureWarning)
        yield


def active_session() -> Any:
    """Return the session of this thread or process.

    Raises:
        MissingExtraError: If PySpark or Java is missing.
        ConfigError: If there is no session, or it is a session of Spark Connect.
    """
    require_spark()
    from pyspark.sql import SparkSession

    return checked(SparkSession.getActiveSession())


def checked(session: Any) -> Any:
    """Return the session if it supports broadcasts.

    Raises:
        ConfigError: If it is None, or a session of Spark Connect.
    """
    if session is None:
        raise ConfigError(
            "there is no active Spark session",
            expected="a session in this process, whose frames are passed",
            fix="create one first: SparkSession.builder.getOrCreate()",
        )
    if "connect" in type(session).__module__:
        raise ConfigError(
            "the Spark session is one of Spark Connect, which cannot broadcast files to its tasks",
            expected="a classic session (its `sparkContext` works)",
            fix="run where the driver runs, such as with spark-submit",
        )
    return session


@contextmanager
def own_session(master: str | None, settings: Mapping[str, str]) -> Iterator[Any]:
    """Start a session for a command, and stop it at the end.

    Args:
        master: Such as "local[4]" or "spark://host:7077"; None for Spark's own configuration, or "local[*]".
        settings: Spark's settings by name; they override the defaults of this function.

    Raises:
        MissingExtraError: If PySpark or Java is missing.
        ConfigError: If Spark does not start with these settings.
    """
    require_spark()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("scalr")
    for name, value in {**_QUIET, **settings}.items():
        builder = builder.config(name, value)
    if master or "spark.master" not in settings:
        builder = builder.master(master or os.environ.get("MASTER", "local[*]"))
    with no_pandas_warning():
        try:
            session = builder.getOrCreate()
        except (PySparkException, Py4JError) as error:
            raise _not_started(error) from error
    try:
        session.sparkContext.setLogLevel("ERROR")
        yield session
    finally:
        session.stop()


def _not_started(error: Exception) -> ConfigError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    java = [line.removeprefix(":").strip() for line in lines if "Exception:" in line or "Error:" in line]
    reason = next(iter([*java, *lines]), type(error).__name__)
    return ConfigError(
        f"Spark did not start: {reason[:200]}",
        expected="a master that can be reached, and settings that Spark knows",
        fix="check --spark-master and --spark-conf",
    )


def spark_settings(texts: Sequence[str]) -> dict[str, str]:
    """Parse Spark's settings, each written as NAME=VALUE.

    Raises:
        ConfigError: If a text does not have that form.
    """
    settings = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ConfigError(
                f"the Spark setting '{text}' has no {'value' if name.strip() else 'name'}",
                expected="NAME=VALUE",
                fix="--spark-conf spark.executor.memory=8g",
            )
        settings[name.strip()] = value.strip()
    return settings


def is_spark_frame(value: object) -> bool:
    """Return whether a value is a DataFrame of PySpark, or a mapping with such a frame, without importing PySpark."""
    if isinstance(value, Mapping):
        return any(is_spark_frame(item) for item in value.values())
    return type(value).__module__.startswith("pyspark.sql") and type(value).__name__ == "DataFrame"
