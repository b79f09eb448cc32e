"""Every bad input: a correct result, or three lines and exit 2; no traceback, no hang, nothing changed."""

import subprocess
import sys

import pytest
from tests.trust import bad_configs, bad_files, bad_parquet, bad_runs, bad_settings, bad_special, bad_values
from tests.trust.battery import Case, Verdict, judge
from tests.trust.figures import FIGURE

pytestmark = pytest.mark.trust

KINDS: dict[str, dict[str, Case]] = {
    "Parquet files": bad_files.PARQUET,
    "claims and bombs in Parquet": bad_parquet.CLAIMS,
    "text files": bad_files.TEXT,
    "names and places": bad_files.PLACES,
    "ids": bad_values.IDS,
    "columns": bad_values.COLUMNS,
    "times": bad_values.TIMES,
    "numbers": bad_values.NUMBERS,
    "item tables": bad_settings.ITEMS,
    "configurations": bad_configs.CONFIGS,
    "command lines": bad_settings.OPTIONS,
    "output folders": bad_settings.OUTPUTS,
    "folders of runs": bad_settings.RUNS,
    "edited manifests": bad_runs.MANIFESTS,
    "damaged events": bad_runs.EVENTS,
    "pipes, sockets and links": bad_special.SPECIAL,
}
CASES = [(kind, name) for kind, cases in KINDS.items() for name in cases]


@pytest.mark.parametrize(("kind", "name"), CASES, ids=[f"{kind}: {name}" for kind, name in CASES])
def test_bad_input(kind, name, tmp_path, scalr, record_property):
    verdict = Verdict("fault", 0.0)
    try:
        verdict = judge(KINDS[kind][name], tmp_path, scalr)
    finally:
        record_property(FIGURE, (kind, verdict.outcome, round(verdict.seconds, 3), 1))


SAMPLE = (
    ("Parquet files", "cut in half"),
    ("names and places", "a name that is not UTF-8"),
    ("configurations", "a bomb of lists"),
    ("folders of runs", "JSON 100,000 deep"),
)


@pytest.mark.parametrize(("kind", "name"), SAMPLE, ids=[name for _, name in SAMPLE])
def test_bad_input_to_the_program_itself(kind, name, tmp_path, record_property):
    """The same in a process of its own, as users run it: what is printed, and the exit code."""

    def run(arguments):
        command = [sys.executable, "-m", "scalr", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, done.stdout, done.stderr

    verdict = judge(KINDS[kind][name], tmp_path, run, seconds=120)
    record_property(FIGURE, ("processes of their own", verdict.outcome, round(verdict.seconds, 3), 1))


def test_the_battery_is_large_enough():
    assert len(CASES) >= 150
