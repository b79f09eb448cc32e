import pyarrow.parquet as pq
import pytest
import yaml
from tests.worlds import small_tables

from scalr.foundation.config import LogSettings, RunSettings, TranslateSettings
from scalr.foundation.errors import ConfigError, OutputError
from scalr.logs.log_request import LogRequest
from scalr.logs.reading import read_logs
from scalr.runs.config_file import check_new, read_config, write_config


@pytest.fixture
def config(tmp_path):
    source, target = small_tables()
    files = {}
    for name, table in (("source", source), ("target", target)):
        files[name] = tmp_path / f"{name}.parquet"
        pq.write_table(table, files[name])
    file = tmp_path / "scalr.yaml"
    logs = LogSettings(source=str(files["source"]), target=str(files["target"]))
    write_config(file, read_logs(LogRequest.from_settings(logs)), logs.model_dump(mode="json"))
    return file


def test_a_written_configuration_reads_back_as_the_defaults_with_auto(config):
    settings = read_config(config, [])
    assert settings.source == str(config.parent / "source.parquet")
    assert settings.columns.user is None
    assert "# Columns found in the target log: user user, item item, time time" in config.read_text()
    written = settings.model_dump(exclude={"source", "target", "items", "columns"})
    default = RunSettings(source="s", target="t", translate=TranslateSettings(translator="auto")).model_dump(
        exclude={"source", "target", "items", "columns"}
    )
    assert written == default


def test_every_setting_is_there_and_explained(config):
    text = config.read_text()
    values = yaml.safe_load(text)

    def names(model):
        for name, field in model.model_fields.items():
            yield name
            if hasattr(field.annotation, "model_fields"):
                yield from names(field.annotation)

    assert set(RunSettings.model_fields) == set(values)
    assert all(f"{name}:" in text for name in names(RunSettings) if name not in ("source_columns", "target_columns"))
    assert "# Draws per source event." in text
    assert "60 users" in text


def test_changes_from_the_command_line_win(config):
    settings = read_config(config, ["sample.draws_per_event=8", "refine.align=null", "train.shrinkage=2.5"])
    assert settings.sample.draws_per_event == 8
    assert settings.refine.align is None
    assert settings.train.shrinkage == 2.5


@pytest.mark.parametrize("instant", ["2020-11-15", "1605000000", "'2020-11-15'"])
def test_instants_may_be_written_as_yaml_reads_them(config, instant):
    assert read_config(config, [f"split.test_from={instant}"]).split.test_from == instant.strip("'")


def test_paths_are_relative_to_the_file(config, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert read_config(config, []).target == str(tmp_path / "target.parquet")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("sample.draw_per_event=8", "did you mean 'sample.draws_per_event'"),
        ("smaple.draws_per_event=8", "did you mean 'sample'"),
        ("sample.draws_per_event=0", "greater than or equal to 1"),
        ("sample.temperature=.nan", "finite"),
        ("train.objective=auxilary", "'auxiliary'"),
        ("refine.align.by=[size]", "'value'"),
        ("sample", "name=value"),
        ("sample.draws_per_event=[", "YAML"),
    ],
)
def test_wrong_changes_say_what_to_do(config, change, message):
    with pytest.raises(ConfigError) as caught:
        read_config(config, [change])
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1, 2]", "a: [", "1: 2", "!!python/object/apply:os.getcwd []", "\x00"])
def test_files_that_are_no_settings_are_refused(tmp_path, text):
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ConfigError):
        read_config(tmp_path / "bad.yaml", [])


def test_a_missing_file_points_to_init(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        read_config(tmp_path / "none.yaml", [])


def test_a_configuration_is_never_written_over(config, tmp_path):
    with pytest.raises(OutputError, match="exists already"):
        check_new(config)
    with pytest.raises(OutputError, match="cannot be written"):
        check_new(tmp_path / "no" / "folder.yaml")
