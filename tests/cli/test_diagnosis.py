"""The doctor: finds what is there, names what is missing and how to get it, imports nothing heavy."""

import json
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import scalr
from scalr.cli import diagnosis as doctor
from scalr.cli.diagnosis import CORE, EXTRAS, SystemCheck, diagnose

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def found(name: str, findings: list[SystemCheck] | None = None) -> SystemCheck:
    return next(finding for finding in findings or diagnose() if finding.name == name)


def distribution_names(requirements: list[str]) -> set[str]:
    return {requirement.split(">")[0].split("[")[0].strip() for requirement in requirements}


def test_the_distributions_are_those_of_the_package() -> None:
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    assert set(CORE) == distribution_names(project["dependencies"])
    extras = {extra: distribution_names(names) for extra, names in project["optional-dependencies"].items()}
    assert {extra: set(names) for extra, names in EXTRAS.items()} == {
        extra: names for extra, names in extras.items() if extra not in ("dev", "bench")
    }


def test_every_finding_has_a_value_and_what_is_not_ok_has_advice() -> None:
    findings = diagnose()
    assert len({finding.name for finding in findings}) == len(findings)
    assert all(finding.value for finding in findings)
    assert all(finding.advice for finding in findings if finding.state != "ok")
    assert json.loads(json.dumps([finding.to_json() for finding in findings]))[0] == {
        "name": "scalr",
        "state": "ok",
        "value": scalr.__version__,
        "advice": "",
    }


def test_versions_are_those_of_the_installed_distributions() -> None:
    assert found("numpy").value == metadata.version("numpy")


def test_a_missing_distribution_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CORE", ("a-distribution-nobody-made",))
    monkeypatch.setattr(doctor, "EXTRAS", {"report": ("another-one",)})
    findings = diagnose()
    missing = ("missing", "not installed")
    core, extra = found("a-distribution-nobody-made", findings), found("another-one", findings)
    assert (core.state, core.value, core.advice) == (*missing, "pip install 'scalr-rec'")
    assert (extra.state, extra.value, extra.advice) == (*missing, "pip install 'scalr-rec[report]'")


def test_the_memory_limit_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(doctor, "_CGROUP_LIMITS", (limit,))
    limit.write_text("1073741824\n")
    assert found("memory") == SystemCheck("memory", "weak", "1.0 GiB", "keep draws low, or work on part of the events")
    limit.write_text("max\n")
    assert found("memory").value != "1.0 GiB"


def test_the_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert found("free disk", diagnose(tmp_path / "a" / "b")).value.endswith(" GiB")


def test_kernel_cache_is_cold_then_warm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    assert found("kernel cache").value.startswith("cold")
    (tmp_path / "cache" / "kernels").mkdir(parents=True)
    (tmp_path / "cache" / "kernels" / "hashing.nbi").touch()
    assert found("kernel cache").value == "warm"


def test_compiled_kernels_beside_the_source_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    assert any((doctor._PACKAGE / "synthesis" / "kernels").glob("*.py"))
    monkeypatch.setattr(doctor, "_PACKAGE", tmp_path)
    assert found("kernel cache").value.startswith("cold")
    beside = tmp_path / "synthesis" / "kernels" / "__pycache__"
    beside.mkdir(parents=True)
    (beside / "filtering.nbi").touch()
    assert found("kernel cache").value == "warm"


def test_kernel_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "a_file" / "cache"))
    assert found("kernel cache").state == "weak"


@pytest.mark.parametrize(("name", "tool"), [("java", "java"), ("gpu", "nvidia-smi")])
def test_tools_are_found_on_the_path(name: str, tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert found(name).state == "missing"
    (tmp_path / tool).touch(mode=0o755)
    assert found(name) == SystemCheck(name, "ok", str(tmp_path / tool))


def test_java_home_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").touch(mode=0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert found("java").value == str(tmp_path / "bin" / "java")


def test_nothing_heavy_is_imported() -> None:
    heavy = "{'numba', 'numpy', 'duckdb', 'pyarrow', 'pandas', 'altair'}"
    code = f"import sys; from scalr.cli.diagnosis import diagnose; diagnose(); assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
