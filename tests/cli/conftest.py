import pyarrow.parquet as pq
import pytest

from scalr.cli import main
from scalr.logs.simulation import simulate


@pytest.fixture(scope="session")
def world():
    return simulate(n_users=200, n_source_items=60, n_target_items=40, seed=1)


@pytest.fixture
def logs(tmp_path, world):
    """Write the world's logs; return the command's options for them."""
    for name in ("source", "target"):
        pq.write_table(getattr(world, name), tmp_path / f"{name}.parquet")
    return ["--source", str(tmp_path / "source.parquet"), "--target", str(tmp_path / "target.parquet")]


@pytest.fixture
def scalr(capsys):
    """Run the command; return its exit code and what it printed to stdout and stderr."""

    def run(*arguments) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(one) for one in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run
