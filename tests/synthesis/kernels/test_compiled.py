"""Whether the loops are compiled is told by the cache that Numba keeps."""

import os
from pathlib import Path

import pytest

from scalr.synthesis import kernels


def test_an_index_newer_than_its_source_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert not kernels.are_compiled()
    index = tmp_path / "some_folder" / "uniform_paths.draw_uniform_paths-1.py311.nbi"
    index.parent.mkdir()
    index.touch()
    assert kernels.are_compiled()
    os.utime(index, (0, 0))
    assert not kernels.are_compiled()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "nowhere"))
    assert not kernels.are_compiled()


def test_the_name_that_is_looked_for_is_that_of_a_kernel() -> None:
    assert (Path(kernels.__file__).parent / f"{kernels._SAMPLE}.py").is_file()
