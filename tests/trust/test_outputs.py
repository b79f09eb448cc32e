"""What is written is safe: nothing in it runs, names no file that is opened, and needs a network."""

import ast
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.trust.battery import SECONDS, Desk, at_most, digests, is_refusal, mapped, unprintable

import scalr
from scalr.adapters import export
from scalr.cli.console import escaped
from scalr.foundation.errors import ScalrError, printable
from scalr.report import drawing

pytestmark = pytest.mark.trust

PACKAGE = Path(scalr.__file__).parent
PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
BETWEEN_PROCESSES = ("engines/spark/cluster/broadcast.py",)  # to tasks, in nothing that outlives a session
OWNED = "document.documentElement.setAttribute('data-owned','1')"
SCRIPTS = (
    f"<script>{OWNED}</script>",
    f'<img src=x onerror="{OWNED}">',
    f'</title></style></svg><svg onload="{OWNED}">',
    f'"\'><iframe srcdoc="<script>parent.{OWNED}</script>">',
    f"&lt;script&gt;{OWNED}&lt;/script&gt;",
    f"javascript:{OWNED}",
    "\x1b]0;owned\x07\x1b[2J",
    "=cmd|' /C calc'!A0",
)
TAIL = f"</script><!--><script>\u2028\u202e{OWNED}</script>]]>"
CHARTS_AVAILABLE = drawing.charts_available
BROWSER = next((found for name in ("chromium", "google-chrome", "chrome") if (found := shutil.which(name))), None)


def calls(nodes):
    """Give each call: the name before the dot, the name, its named arguments, and all of it."""
    for node in nodes:
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            owner = getattr(getattr(node.func, "value", None), "id", "")
            if isinstance(node.func, ast.Attribute) and not owner:
                owner = "?"
            yield owner, name, {one.arg: ast.unparse(one.value) for one in node.keywords}, ast.unparse(node)


def test_the_source_reads_no_code():
    """No pickle and nothing like it; checkpoints of torch as weights only; YAML by the plain loader only."""
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 100
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        nodes = list(ast.walk(tree))
        imported = {one.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for one in node.names}
        imported |= {(node.module or "").split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
        assert not imported & PICKLES or file.relative_to(PACKAGE).as_posix() in BETWEEN_PROCESSES, file
        for owner, name, given, text in calls(nodes):
            assert not (name in ("eval", "exec", "__import__") and not owner), (file, text)
            assert (owner, name) not in (("os", "system"), ("os", "popen"), ("pandas", "read_pickle")), (file, text)
            assert given.get("allow_pickle", "False") == given.get("shell", "False") == "False", (file, text)
            assert (owner, name) != ("torch", "load") or given.get("weights_only") == "True", (file, text)
            assert owner != "yaml" or name != "load" or "_PlainLoader" in text, (file, text)


@pytest.fixture(params=["tables", pytest.param("charts", marks=pytest.mark.slow)])
def hostile(request, tmp_path, scalr, monkeypatch):
    """A run whose ids, titles and names are scripts, escapes and formulas; its report without and with charts."""
    if request.param == "charts":
        pytest.importorskip("vl_convert", reason="charts need the extra 'report'")
        monkeypatch.setattr("scalr.report.drawing.charts_available", CHARTS_AVAILABLE)
    desk = Desk(tmp_path)
    desk.source, desk.target = (  # four times as many users: examples need witnesses
        pa.concat_tables([mapped("user_id", lambda x, more=more: x + more)(log) for more in (0, 12, 24, 36)])
        for log in (desk.source, desk.target)
    )
    desk.source = mapped("item_id", lambda x: SCRIPTS[x % len(SCRIPTS)] + TAIL + str(x))(desk.source)
    desk.target = mapped("item_id", lambda x: SCRIPTS[x % len(SCRIPTS)] + TAIL + str(x))(desk.target)
    desk.source, desk.target = (
        mapped("user_id", lambda x: f"=1+{x}\x1b[31m")(log) for log in (desk.source, desk.target)
    )
    target, source = (sorted(set(log["item_id"].to_pylist())) for log in (desk.target, desk.source))
    ids = list(dict.fromkeys([*target, *source]))
    items = pa.table({"item_id": ids, "title": [SCRIPTS[x % len(SCRIPTS)] + TAIL for x in range(len(ids))]})
    logs = desk.table("s.parquet", desk.source), desk.table("r.parquet", desk.source.slice(0, 60))
    names = f"{SCRIPTS[6]}<b>", "<!--<script>\u2028\u202e"
    line = [*desk.generate(f"{names[0]}={logs[0]}", None), "--source", f"{names[1]}={logs[1]}"]
    code, out, err = scalr([*line, "--items", desk.table("items.parquet", items)])
    assert code == 0, err
    assert not unprintable(out + err)
    return desk


class Loads(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.tags = [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.found += [(name, value) for name, value in attrs if name.startswith("on") or name in LOADING]


LOADING = ("src", "href", "srcset", "data", "action", "formaction", "poster", "background", "xlink:href", "srcdoc")


def test_the_report_holds_names_as_text_and_loads_nothing(hostile, request):
    page = (hostile.out / "report.html").read_text(encoding="utf-8")
    parser = Loads()
    parser.feed(page)
    assert not parser.tags & {"script", "img", "iframe", "object", "embed", "link", "base", "form"}
    assert [value for name, value in parser.found if not (value or "").startswith("#")] == []
    assert not re.search(r"@import|url\((?!#)", page)
    assert "&lt;script&gt;" in page
    assert page.count('<svg role="img"') >= 2 * ("charts" in request.node.name)
    for raw in ("</script", "<!--", "\u2028", "\u202e", "]]>"):
        assert raw not in page
    for shown_as in ("&lt;/script&gt;&lt;!--", "&lt;!--&lt;script&gt;", "\\u202e"):
        assert shown_as in page


POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
COUNTING = "document.documentElement.setAttribute('data-loads', performance.getEntriesByType('resource').length)"
COUNTED = f'<script>addEventListener("load", () => {COUNTING})</script>'


@pytest.mark.skipif(BROWSER is None, reason="no headless browser is installed (Debian: make browser)")
def test_a_browser_runs_and_loads_nothing_of_it(hostile, tmp_path):
    """The page as a browser built it, and the same without its policy, which would hide what is not escaped. A page
    that does run a script and load a picture shows that the test would see either."""
    page = (hostile.out / "report.html").read_text(encoding="utf-8")
    bare, policies = POLICY.subn(COUNTED, page)
    assert policies == 1
    bad = f'<html><head>{COUNTED}</head><body>{SCRIPTS[0]}<img src="http://127.0.0.1:54321/picture.png"></body></html>'
    assert {'data-owned="1"', 'data-loads="1"'} <= root(dom(bad, tmp_path))
    assert 'data-loads="0"' in root(dom(bare, tmp_path))
    for one in (page, bare):
        built = dom(one, tmp_path)
        assert not any(word.startswith("data-owned") for word in root(built))
        assert "&lt;script&gt;" in built


def root(built):
    """Return the words of the page's first tag, in which scripts leave their marks."""
    return set(re.search(r"<html([^>]*)>", built).group(1).split())


def dom(page, folder):
    """Return a page as a headless browser shows it, after two seconds of its time."""
    file = folder / "page.html"
    file.write_text(page, encoding="utf-8")
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--virtual-time-budget=2000",
        f"--user-data-dir={folder / 'profile'}", "--dump-dom", file.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_no_file_that_ids_or_titles_name_is_opened(tmp_path, scalr):
    """Opening a pipe that nobody writes to would never end."""
    os.mkfifo(tmp_path / "pipe.parquet")
    desk = Desk(tmp_path)
    path = str(tmp_path / "pipe.parquet")
    desk.target = mapped("item_id", lambda x: path if x == 100 else f"file://{path}?{x}")(desk.target)
    desk.source = mapped("item_id", lambda x: path if x == 10 else f"{path}/../{x}")(desk.source)
    items = pa.table({"item_id": [path], "title": [path], "category": [path]})
    with at_most(SECONDS):
        code, _, err = scalr([*desk.generate(), "--items", desk.table("items.parquet", items), "--backoff", "1"])
        assert code == 0, err
        for number, library in enumerate(("pandas", "recbole", "rectools")):
            export(desk.out, library, tmp_path / f"export{number}")


def test_an_output_that_is_a_link_to_a_folder_is_written_in_that_folder_and_nowhere_else(tmp_path, scalr):
    """The link stays; what lies beside it, or beside its folder, is left alone; full folders and logs are refused."""
    desk = Desk(tmp_path)
    line = desk.generate()
    aim = tmp_path / "elsewhere" / "empty"
    aim.mkdir(parents=True)
    desk.file("elsewhere/mine.txt", "mine")
    desk.out.symlink_to(aim)
    before = digests(tmp_path)
    assert scalr([*line, "--quiet"])[0] == 0
    after = digests(tmp_path)
    assert desk.out.is_symlink()
    assert (aim / "manifest.json").is_file()
    assert {path: digest for path, digest in after.items() if aim.relative_to(tmp_path) not in path.parents} == before
    full = digests(tmp_path)
    code, _, err = scalr(line)
    is_refusal(code, err, "is not empty")
    (tmp_path / "logs" / "empty").mkdir(parents=True)
    (tmp_path / "logs" / "source.parquet").write_bytes((tmp_path / "source.parquet").read_bytes())
    (tmp_path / "to").symlink_to(tmp_path / "logs" / "empty")
    code, _, err = scalr([*desk.generate(str(tmp_path / "logs"))[:-1], str(tmp_path / "to")])
    is_refusal(code, err, "is inside the input")
    assert full.items() <= digests(tmp_path).items()


@pytest.mark.parametrize("library", ["pandas", "implicit", "lightfm", "recbole", "libsvm"])
def test_exports_hold_ids_as_they_are_and_no_pickle(tmp_path, scalr, library):
    if library in ("implicit", "lightfm"):
        pytest.importorskip("scipy", reason="matrices need the extra 'adapters'")
    desk = Desk(tmp_path)
    for name in ("source", "target"):
        setattr(desk, name, mapped("user_id", lambda x: f"=1+{x}")(getattr(desk, name)))
    assert scalr([*desk.generate(), "--quiet"])[0] == 0
    facts = export(desk.out, library, tmp_path / "made", synthetic_weight=1.0)
    files = [file for file in (tmp_path / "made").rglob("*") if file.is_file()]
    assert {file.suffix for file in files} <= {".parquet", ".npz", ".json", ".inter", ".item", ".libsvm", ".weight"}
    for file in files:
        if file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as arrays:
                assert [arrays[name].dtype.hasobject for name in arrays] == [False] * len(arrays.files)
    assert any("begin like a formula" in note for note in facts["notes"]) == (library == "recbole")
    if library == "libsvm":  # ids are in Parquet only: what is text holds numbers, places and a colon
        text = "".join((tmp_path / "made" / name).read_text() for name in ("train.libsvm", "train.libsvm.weight"))
        assert re.fullmatch(r"[0-9.:e\- \n]+", text)
        assert {pq.read_table(tmp_path / "made" / "users.parquet")["id"][0].as_py()[:3]} == {"=1+"}
    if library == "recbole":
        lines = (tmp_path / "made" / "made.inter").read_text(encoding="utf-8").splitlines()[1:]
        assert {line.split("\t")[0] for line in lines} <= set(desk.target["user_id"].to_pylist())


def test_json_holds_names_as_they_are_in_characters_of_ascii(tmp_path, scalr):
    """No names of ours are changed for a spreadsheet: JSON is none. Nothing in it steers a terminal."""
    desk, name = Desk(tmp_path), "+1-1\x1b[31m\u202e\u2028"
    code, out, _ = scalr([*desk.generate(f"{name}=" + desk.table("s.parquet", desk.source)), "--json", "--quiet"])
    assert code == 0
    assert out.isascii()
    assert not unprintable(out)
    assert [one["name"] for one in json.loads(out)["inputs"] if one["role"] == "source"] == [name]


def test_what_is_shown_steers_no_terminal():
    everything = "".join(map(chr, (*range(0x300), 0x202E, 0x2066, 0x2028, 0xFEFF, 0xD800))) + "[bold]:smile:[/nope]"
    assert printable(everything).isprintable()
    assert escaped("[bold]") == r"\[bold]"
    error = ScalrError(everything, expected="x" * 10_000_000, fix="\x1b[2J")
    lines = str(error).split("\n")
    assert len(lines) == 3
    assert max(map(len, lines)) < 3000
    assert all(line.isprintable() for line in lines)
