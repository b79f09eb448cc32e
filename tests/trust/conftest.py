"""Figures of the battery: every case reports what became of it, and the end of the run shows them as a table."""

from typing import Any

import pytest
from tests.trust.battery import Run
from tests.trust.figures import FIGURE

from scalr.cli import main


@pytest.fixture
def scalr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in this process, without charts, which take long and are tested elsewhere."""
    monkeypatch.setattr("scalr.report.drawing.charts_available", lambda: False)

    def run(arguments: Any) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(one) for one in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print inputs tried by kind, correct results, refusals, faults, and the slowest."""
    kinds: dict[str, list[tuple[str, float, int]]] = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for name, value in getattr(report, "user_properties", ()):
                if name == FIGURE and report.when == "call":
                    kind, what, seconds, tried = value
                    kinds.setdefault(kind, []).append((what, seconds, tried))
    if not kinds:
        return
    terminalreporter.section("trust: hostile input")
    line = "{:<28}{:>8}{:>10}{:>10}{:>8}{:>12}"
    terminalreporter.line(line.format("kind", "tried", "correct", "refused", "faults", "slowest s"))
    rows = [(kind, *_counts(tries)) for kind, tries in kinds.items()]
    total = ("all", *(sum(row[place] for row in rows) for place in range(1, 5)), max(row[5] for row in rows))
    for row in (*rows, total):
        terminalreporter.line(line.format(*row[:5], f"{row[5]:.1f}"))


def _counts(tries: list[tuple[str, float, int]]) -> tuple[int, int, int, int, float]:
    by = {what: sum(tried for found, _, tried in tries if found == what) for what in ("correct", "refused", "fault")}
    return sum(by.values()), by["correct"], by["refused"], by["fault"], max(seconds for _, seconds, _ in tries)
