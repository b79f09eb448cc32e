"""Files that are damaged, disguised, endless or not there."""

import gzip
import io
import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tests.trust.battery import Case, Desk, column, with_both, with_bytes

HEADER = "user_id,item_id,timestamp\n"
ROW = "1,10,1600000000\n"


def parquet(table: pa.Table, **options: object) -> bytes:
    """Return a table as the bytes of a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def damaged(change: Callable[[bytes], bytes], says: str | None = "source.parquet cannot be read as Parquet") -> Case:
    """Return a case whose source is a Parquet file with changed bytes."""
    return with_bytes("source.parquet", lambda desk: change(parquet(desk.source)), says)


def footer_start(whole: bytes) -> int:
    return len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")


def flipped(place: Callable[[bytes], int]) -> Callable[[bytes], bytes]:
    def change(whole: bytes) -> bytes:
        at = place(whole)
        return whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]

    return change


def bomb(repeated: bytes, times: int, head: bytes = b"") -> bytes:
    """Return gzip members that unpack to `head` and then `repeated`, `times` over."""
    return gzip.compress(head) + gzip.compress(repeated) * times


def placed(lay: Callable[[Desk], str], says: str) -> Case:
    """Return a case whose source is what `lay` returns the path of."""
    return Case(lambda desk: desk.generate(lay(desk)), says)


def _loop(desk: Desk) -> str:
    (desk.folder / "a.parquet").symlink_to("b.parquet")
    (desk.folder / "b.parquet").symlink_to("a.parquet")
    return str(desk.folder / "a.parquet")


def _dangling(desk: Desk) -> str:
    (desk.folder / "gone.parquet").symlink_to("nowhere.parquet")
    return str(desk.folder / "gone.parquet")


def _folder_loop(desk: Desk) -> list[str]:
    desk.table("logs/part.parquet", desk.source)
    (desk.folder / "logs" / "again").symlink_to("..")
    return desk.generate(str(desk.folder / "logs"))


def _linked(desk: Desk) -> str:
    (desk.folder / "t.parquet").symlink_to("s.parquet")
    return str(desk.folder / "t.parquet")


def _with_an_empty_part(desk: Desk) -> list[str]:
    desk.table("logs/2.parquet", desk.source.schema.empty_table())
    return desk.generate(_folder(desk, "1.parquet"))


def _pipe(desk: Desk) -> str:
    os.mkfifo(desk.folder / "pipe.parquet")
    return str(desk.folder / "pipe.parquet")


def _folder_with_pipe(desk: Desk) -> list[str]:
    desk.table("logs/part.parquet", desk.source)
    os.mkfifo(desk.folder / "logs" / "pipe.parquet")
    return desk.generate(str(desk.folder / "logs"))


def _folder(desk: Desk, *names: str) -> str:
    for name in names:
        desk.table(f"logs/{name}", desk.source)
    (desk.folder / "logs").mkdir(exist_ok=True)
    return str(desk.folder / "logs")


def _folder_called_like_a_file(desk: Desk) -> str:
    (desk.folder / "source.parquet").mkdir()
    return str(desk.folder / "source.parquet")


def _differing(desk: Desk, change: Callable[[pa.Table], pa.Table]) -> str:
    desk.table("logs/1.parquet", desk.source)
    desk.table("logs/2.parquet", change(desk.source))
    return str(desk.folder / "logs")


def _bytes_name(desk: Desk) -> list[str]:
    name = os.fsdecode(os.fsencode(desk.folder) + b"/s\xff\xfe.parquet")
    Path(name).write_bytes(parquet(desk.source))
    return desk.generate(name)


def _odd_name(name: str) -> Case:
    return Case(lambda desk: desk.generate(desk.table(name, desk.source)))


def _two_groups(desk: Desk) -> bytes:
    """Return a file whose second row group is overwritten: the first can be read, the second cannot."""
    whole = bytearray(parquet(pa.concat_tables([desk.source] * 40), row_group_size=600, compression="snappy"))
    group = pq.read_metadata(io.BytesIO(bytes(whole))).row_group(2)
    start = group.column(0).dictionary_page_offset or group.column(0).data_page_offset
    whole[start : start + 40] = b"\xff" * 40
    return bytes(whole)


def _json_lines(*extra: str) -> str:
    rows = [{"user_id": user, "item_id": 10, "timestamp": 1_600_000_000} for user in range(1, 13)]
    return "\n".join([*(json.dumps(row) for row in rows), *extra]) + "\n"


PARQUET = {
    "cut in half": damaged(lambda whole: whole[: len(whole) // 2]),
    "cut after the first page": damaged(lambda whole: whole[:64]),
    "cut one byte short": damaged(lambda whole: whole[:-1]),
    "magic number only": damaged(lambda whole: b"PAR1"),
    "two magic numbers, nothing between": damaged(lambda whole: b"PAR1PAR1"),
    "no first magic number": damaged(lambda whole: b"XXXX" + whole[4:], None),
    "footer of length 0": damaged(lambda whole: whole[:-8] + bytes(4) + b"PAR1"),
    "footer longer than the file": damaged(lambda whole: whole[:-8] + b"\xff\xff\xff\x7f" + b"PAR1"),
    "footer of zeros": damaged(lambda whole: whole[: footer_start(whole)] + bytes(200) + whole[-8:]),
    "footer with its first byte flipped": damaged(flipped(footer_start)),
    "pages of zeros": damaged(lambda whole: whole[:4] + bytes(footer_start(whole) - 4) + whole[footer_start(whole) :]),
    "page header flipped": damaged(flipped(lambda whole: 4)),
    "second row group overwritten": with_bytes("source.parquet", _two_groups, "source.parquet cannot be read"),
    "encrypted footer": damaged(lambda whole: whole[:-4] + b"PARE"),
    "a CSV called Parquet": with_bytes("source.parquet", HEADER + ROW, "cannot be read as Parquet"),
    "a Parquet file called CSV": with_bytes("source.csv", lambda desk: parquet(desk.source), "source.csv"),
    "a Parquet file called JSON": with_bytes("source.jsonl", lambda desk: parquet(desk.source), "source.jsonl"),
    "a packed Parquet file": with_bytes("source.parquet.gz", b"PAR1", "unknown suffix '.parquet.gz'"),
    "no columns": with_bytes("source.parquet", lambda desk: parquet(pa.table({})), "no user column"),
    "no row groups": with_bytes("source.parquet", lambda desk: parquet(desk.source.schema.empty_table()), "no rows"),
    "text that is not UTF-8": with_both(
        lambda table: table.set_column(
            0, "user_id", pa.array([b"u\xff%d" % x for x in table["user_id"].to_pylist()]).view(pa.string())
        ),
        "not UTF-8",
    ),
}

TEXT = {
    "nothing": with_bytes("source.csv", b"", "is empty"),
    "a header and nothing else": with_bytes("source.csv", HEADER, "has no rows"),
    "line breaks only": with_bytes("source.csv", "\n\n\n", "source.csv"),
    "a byte order mark only": with_bytes("source.csv", b"\xef\xbb\xbf", "source.csv"),
    "UTF-16": with_bytes("source.csv", (HEADER + ROW * 20).encode("utf-16"), "source.csv"),
    "Latin-1 in the header": with_bytes("source.csv", "användare,item_id\n1,2\n".encode("latin-1"), "source.csv"),
    "Latin-1 in a row": with_bytes(
        "source.csv", (HEADER + ROW).encode() + "é,10,1600000000\n".encode("latin-1"), "utf-8"
    ),
    "UTF-8 and Latin-1 mixed": with_bytes(
        "source.csv", HEADER.encode() + "é,10,1600000000\n".encode() + "é,10,1600000000\n".encode("latin-1"), "utf-8"
    ),
    "zero bytes": with_bytes("source.csv", HEADER.encode() + b"1\x00,10,1600000000\n" * 3, "source.csv"),
    "noise": with_bytes("source.csv", bytes(range(256)) * 40, "source.csv"),
    "a quote that never ends": with_bytes("source.csv", HEADER + '"1,10,1600000000\n' + ROW * 50, "source.csv"),
    "a quote in the middle of a field": with_bytes(
        "source.csv", HEADER + 'a"b,10,1600000000\n"c"d,10,1600000000\n', "source.csv"
    ),
    "rows too long": with_bytes("source.csv", HEADER + ROW + "1,10,1600000000,9\n", "source.csv"),
    "rows too short": with_bytes("source.csv", HEADER + ROW + "1,10\n", "source.csv"),
    "an empty row in the middle": with_bytes("source.csv", HEADER + ROW + ",,\n" + ROW, "1 null"),
    "a header with a name twice": with_bytes("source.csv", "user_id,user_id,item_id\n1,1,10\n", "'user_id' twice"),
    "a header with an empty name": with_bytes("source.csv", "user_id,,item_id\n1,1,10\n", "source.csv"),
    "no header": with_bytes("source.csv", ROW * 20, "no user column"),
    "a header of 10 MB": with_bytes("source.csv", "x" * 10_000_000 + ",item_id\n1,2\n", "source.csv"),
    "a field of 10 MB": with_bytes("source.csv", HEADER + "y" * 10_000_000 + ",10,1600000000\n", "source.csv"),
    "one line of 10 MB": with_bytes("source.csv", "1," * 5_000_000, "source.csv"),
    "20,000 columns": with_bytes("source.csv", ",".join(f"c{x}" for x in range(20_000)) + "\n", "20,000 columns"),
    "a thousand spreadsheets' formulas": with_bytes(
        "source.csv", HEADER + "=cmd|' /C calc'!A0,10,1600000000\n" * 1000, "user ids are text"
    ),
    "packed, cut short": with_bytes(
        "source.csv.gz", gzip.compress((HEADER + ROW * 5000).encode())[:-20], "source.csv.gz"
    ),
    "called packed, but plain": with_bytes("source.csv.gz", HEADER + ROW, "source.csv.gz"),
    "packed with another packer": with_bytes("source.csv.gz", zlib.compress((HEADER + ROW).encode()), "source.csv.gz"),
    "a bomb without a line break": with_bytes("source.csv.gz", bomb(bytes(1 << 24), 64), "source.csv.gz"),
    "a bomb behind a header": with_bytes("source.csv.gz", bomb(b"9" * (1 << 24), 16, HEADER.encode()), "source.csv.gz"),
    "JSON: nothing but a brace": with_bytes("source.jsonl", "{", "source.jsonl"),
    "JSON: lists": with_bytes("source.jsonl", "[1, 2]\n[3, 4]\n", "source.jsonl"),
    "JSON: numbers": with_bytes("source.jsonl", "1\n2\n", "source.jsonl"),
    "JSON: cut short": with_bytes("source.jsonl", _json_lines('{"user_id": 1, "it'), "source.jsonl"),
    "JSON: ids of two types": with_bytes("source.jsonl", _json_lines('{"user_id": "a", "item_id": 10}'), "mixes types"),
    "JSON: ids that are lists": with_bytes("source.jsonl", '{"user_id": [1], "item_id": 10}\n', "user_id"),
    "JSON: ids that are objects": with_bytes("source.jsonl", '{"user_id": {"a": 1}, "item_id": 10}\n', "user_id"),
    "JSON: NaN": with_bytes("source.jsonl", '{"user_id": NaN, "item_id": 10}\n', "source.jsonl"),
    "JSON: a key twice": with_bytes("source.jsonl", '{"user_id": 1, "user_id": 2, "item_id": 10}\n', "source.jsonl"),
    "JSON: keys that differ in case": with_bytes(
        "source.jsonl", '{"user_id": 1, "USER_ID": 2, "item_id": 1}\n', "source.jsonl"
    ),
    "JSON: a lone surrogate": with_bytes("source.jsonl", '{"user_id": "\\ud83d", "item_id": 10}\n', "source.jsonl"),
    "JSON: 20,000 lists within each other": with_bytes("source.jsonl", "[" * 20_000, "source.jsonl"),
    "JSON: objects within each other": with_bytes("source.jsonl", '{"a":' * 5_000 + "1" + "}" * 5_000, "source.jsonl"),
    "JSON: a field of 20 MB": with_bytes("source.jsonl", '{"user_id": "' + "x" * 20_000_000 + '"}', "source.jsonl"),
    "JSON: keys that are SQL": with_bytes("source.jsonl", '{"a\\"); SELECT 1; --": 1}\n', "no user column"),
    "JSON: types that are SQL": with_bytes(
        "source.jsonl", '{"user_id": {"a\\") AS b; --": 1}, "item_id": 1}\n', "user_id"
    ),
    "JSON: a line of 10 MB of blanks": with_bytes("source.jsonl", " " * 10_000_000, "source.jsonl"),
}

PLACES = {
    "a file that is not there": placed(lambda desk: str(desk.folder / "none.parquet"), "there is no file"),
    "a file below a file": placed(lambda desk: desk.file("a.csv", HEADER) + "/b.csv", "there is no file"),
    "a glob that matches nothing": placed(lambda desk: str(desk.folder / "none-*.csv"), "matches no file"),
    "a glob that never ends": placed(lambda desk: str(desk.folder / "[a.csv"), "matches no file"),
    "an empty folder": placed(_folder, "matches no file"),
    "a folder of hidden files": placed(
        lambda desk: _folder(desk, "_part.parquet", ".x/part.parquet"), "matches no file"
    ),
    "a folder of two formats": placed(lambda desk: _folder(desk, "a.parquet", "b.csv"), "several formats"),
    "a folder called like a file": placed(_folder_called_like_a_file, "matches no file"),
    "links in a circle": placed(_loop, "there is no file"),
    "a link to nowhere": placed(_dangling, "there is no file"),
    "a folder with a link to its parent": Case(_folder_loop),
    "a pipe": placed(_pipe, "there is no file"),
    "a folder with a pipe in it": Case(_folder_with_pipe),
    "a device that never ends": placed(lambda desk: "/dev/zero", "there is no file"),
    "an unknown suffix": placed(lambda desk: desk.file("source.xlsx", b"PK\x03\x04"), "unknown suffix '.xlsx'"),
    "a pickle": placed(lambda desk: desk.file("source.pkl", b"\x80\x04N."), "unknown suffix '.pkl'"),
    "no name": placed(lambda desk: "", "is named ''"),
    "a name with a zero byte": placed(lambda desk: str(desk.folder / "a\0b.parquet"), "there is no file"),
    "a name that is too long": placed(lambda desk: str(desk.folder / ("x" * 5000)), "too long"),
    "an address": placed(lambda desk: "https://example.org/source.parquet", "there is no file"),
    "an address of a bucket": placed(lambda desk: "s3://bucket/*.parquet", "matches no file"),
    "a name that is SQL": placed(lambda desk: desk.file("a'); DROP TABLE x; --.csv", HEADER), "has no rows"),
    "a name that is not UTF-8": Case(_bytes_name, "is not UTF-8"),
    "a name with a line break": _odd_name("a\nb.parquet"),
    "a name with escapes": _odd_name("\x1b[31mred\x1b[0m.parquet"),
    "a name with markup": _odd_name("[bold]x[/nope].parquet"),
    "a name with glob letters": _odd_name("s[1]*?.parquet"),
    "a name with glob letters, as CSV": _odd_name("s[1]*?.csv"),
    "a name with quotes": _odd_name('it\'s "x".csv'),
    "parts whose columns differ": placed(
        lambda desk: _differing(desk, lambda table: table.drop_columns(["timestamp"])), "in only one of"
    ),
    "parts whose types differ": placed(
        lambda desk: _differing(desk, column("user_id", lambda old: old.cast(pa.string()))), "but text in"
    ),
    "parts of which one is damaged": placed(
        lambda desk: str(Path(desk.file("logs/2.parquet", b"PAR1PAR1")).parent), "2.parquet"
    ),
    "an empty part beside a full one": Case(_with_an_empty_part),
    "the same file twice": Case(
        lambda desk: [*desk.generate("a=" + desk.table("s.parquet", desk.source)), "-s", f"b={desk.folder}/s.parquet"],
        "the same file",
    ),
    "a link to the same file": Case(
        lambda desk: [*desk.generate("a=" + desk.table("s.parquet", desk.source)), "-s", "b=" + _linked(desk)],
        "the same file",
    ),
    "source and target the same": Case(
        lambda desk: desk.generate(desk.table("s.parquet", desk.source), str(desk.folder / "s.parquet")),
        "the same file",
    ),
}
