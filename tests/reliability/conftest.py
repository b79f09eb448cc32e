"""Amounts for the tests of reliability, and a table of the figures that they report."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.reliability.jobs import FIGURE, Job, Runner, make_jobs


@pytest.fixture(scope="session")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Job]:
    return make_jobs(tmp_path_factory.mktemp("logs"))


@pytest.fixture(scope="session")
def runner() -> Iterator[Runner]:
    runner = Runner()
    yield runner
    runner.close()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what the tests measured."""
    lines = [
        value
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, ())
        for name, value in getattr(report, "user_properties", ())
        if name == FIGURE and report.when == "call"
    ]
    if lines:
        terminalreporter.section("trust: crashes, repeating, load")
        for what, value in lines:
            terminalreporter.line(f"{what:<44}{value}")
