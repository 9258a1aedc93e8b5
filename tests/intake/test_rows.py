import csv
import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.endless import Endless

from dispatcher.intake.rows import BadRow, Row, neutralise, read_rows


def read(data: bytes, kind: str = "csv") -> list[Row | BadRow]:
    return list(read_rows(io.BytesIO(data), kind))


def outline(data: bytes, kind: str = "csv") -> list[tuple[int, dict[str, object] | str]]:
    """Each row as its line and its values, or one telling piece of its reason."""
    return [(row.line, row.values if isinstance(row, Row) else "bad") for row in read(data, kind)]


def reason(data: bytes, kind: str = "csv") -> str:
    (bad,) = [row for row in read(data, kind) if isinstance(row, BadRow)]
    return f"{bad.line}: {bad.reason}"


def test_a_row_is_named_by_the_line_where_it_starts() -> None:
    data = b'\xef\xbb\xbfid,name\r\nc1,"a\r\nb"\r\n\r\nc2,x\r\nc3,"y ""z"""'
    assert outline(data) == [
        (2, {"id": "c1", "name": "a\r\nb"}),
        (5, {"id": "c2", "name": "x"}),
        (6, {"id": "c3", "name": 'y "z"'}),
    ]


def test_an_empty_cell_says_nothing() -> None:
    assert outline(b"id,name,plan\nc1,, \n") == [(2, {"id": "c1"})]


def test_spaces_around_the_names_of_columns_do_not_matter() -> None:
    assert outline(b"id, name \nc1, x\n") == [(2, {"id": "c1", "name": " x"})]


BAD_ROWS = [
    (b"id,a\nc1\nc2,x\n", "2: has 1 cell, and the header has 2"),
    (b"id,a\nc1,x,y\nc2,x\n", "2: has 3 cells, and the header has 2"),
    (b"id,a\nc1,caf\xe9\nc2,x\n",
     "2: is not UTF-8 (byte 0xe9); it looks like Windows-1252; convert it: iconv -f CP1252 -t UTF-8"),
    (b"id,a\nc1,\x81\xff\nc2,x\n", "2: is not UTF-8 (byte 0x81); convert it to UTF-8"),
    (b'id,a\nc1,"x\n\xe9"\nc2,x\n', "2: is not UTF-8 (byte 0xe9)"),
    (b'id,a\nc1,"x\nc2,x\n', "2: opens a quote that is never closed"),
    (b'id,a\nc1,"x\nc2,x\nc3,"y"\n', "2: opens a quote that is closed only in line 4"),
    (b'id,a\nc1,"x"y\nc2,x\n', "2: has text behind a closing quote"),
    (b"id,a\nc1,x\ry\nc2,x\n", "2: has a carriage return inside"),
    (b"id,a\nc1," + b"x" * 70_000 + b"\nc2,x\n", "2: has a cell of more than 65536 characters"),
    (b'id,a\nc1,"' + b"x\n" * 100_000 + b'"\nc2,x\n', "2: has a cell of more than 65536 characters"),
    (b"id,a\nc1," + b"x" * 3_000_000 + b"\nc2,x\n", "2: is longer than 1048576 bytes"),
    (b"id,a\nc1," + b",x" * 600_000 + b"\nc2,x\n", "2: is longer than 1048576 bytes"),
    (b"id,a\n" + b"," * 10_000 + b"\nc2,x\n", "2: has 10001 cells"),
]


@pytest.mark.parametrize(("data", "why"), BAD_ROWS)
def test_a_bad_row_is_reported_and_the_good_ones_stand(data: bytes, why: str) -> None:
    assert reason(data).startswith(why)
    assert any(isinstance(row, Row) and row.values == {"id": "c2", "a": "x"} for row in read(data))


REFUSED_FILES = [
    (b"", "1: the file is empty"),
    (b"\n\n", "1: the file is empty"),
    (b"id,name,id\nc1,x,y\n", "1: the header names 'id' twice (columns 1 and 3)"),
    (b"id,,name\nc1,x,y\n", "1: column 2 of the header has no name"),
    (b"id;name\nc1;x\n", "1: the columns are separated by semicolons"),
    (b"i\x00d\nc1\n", "1: the name of column 1 holds a control character"),
    (b"id,n\xe4me\nc1,x\n", "1: is not UTF-8 (byte 0xe4)"),
    (b"id,name\n".decode().encode("utf-16"), "1: the file is UTF-16"),
    (b",".join(b"c%d" % n for n in range(10_000)) + b"\n", "1: the header has 10000 columns"),
    (b'"id\nc1\n', "1: opens a quote that is never closed"),
    (b"a@b.example\nc@d.example\n", "1: the name of column 1 is an address; the first line must name the columns"),
]


@pytest.mark.parametrize(("data", "why"), REFUSED_FILES)
def test_a_file_without_a_usable_header_is_refused_in_one_line(data: bytes, why: str) -> None:
    assert reason(data).startswith(why)
    assert len(read(data)) == 1


def test_a_quote_that_never_closes_costs_its_own_row_only() -> None:
    data = b'id,a\nc1,"x\n' + b"".join(b"r%d,y\n" % n for n in range(900))
    rows = read(data)
    assert [row.line for row in rows] == list(range(2, 903))
    assert [row.line for row in rows if isinstance(row, BadRow)] == [2]


def test_behind_a_quote_that_swallows_too_much_reading_goes_on_where_it_ends() -> None:
    data = b'id,a\nc1,"x\n' + b"r,y\n" * 400_000 + b'c2,"z\nc3,x\n'
    rows = read(data)
    assert [(row.line, type(row)) for row in rows] == [(2, BadRow), (400_004, Row)]
    assert isinstance(rows[0], BadRow)
    assert "Reading goes on in line 400004" in rows[0].reason


def test_a_text_in_quotes_is_never_taken_for_rows_however_long_it_is() -> None:
    data = b'id,a\nc1,"' + b"victim,evil\n" * 200_000 + b'"\nc2,x\n'
    assert [row.values["id"] for row in read(data) if isinstance(row, Row)] == ["c2"]


def test_a_file_of_quotes_only_is_read_in_one_go() -> None:
    rows = read(b"id,a\n" + b'x",",\n' * 3_000)
    assert rows
    assert all(isinstance(row, BadRow) for row in rows)


def test_memory_does_not_grow_with_the_file() -> None:
    tracemalloc.start()
    try:
        with io.BufferedReader(Endless(40_000_000)) as stream:
            rows = list(read_rows(stream, "ndjson"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows == [BadRow(1, "is longer than 1048576 bytes")]
    assert peak < 8_000_000


NDJSON_BAD = [
    (b"{'id': 1}", "no JSON"), (b"[1]", "no JSON object"), (b'"x"', "no JSON object"), (b"null", "no JSON object"),
    (b'{"id": "a", "id": "b"}', "twice"), (b'{"n": NaN}', "NaN"), (b'{"n": 9223372036854775808}', "2^63-1"),
    (rb'{"n": "\ud800"}', "surrogate"), (b'{"a":' * 100_000, ""), (b'{"n": "caf\xe9"}', "CP1252"),
    (b'{"n": "' + b"x" * 2_000_000 + b'"}', "longer than"), (b'{"id": ', "no JSON"),
]


@pytest.mark.parametrize(("line", "why"), NDJSON_BAD)
def test_line_3_of_5_broken_is_reported_and_the_rest_stand(line: bytes, why: str) -> None:
    good = b'{"id": "c"}\n'
    data = good + b"  \n" + line + b"\r\n" + good + good.strip()
    assert outline(data, "ndjson") == [(1, {"id": "c"}), (3, "bad"), (4, {"id": "c"}), (5, {"id": "c"})]
    assert why in reason(data, "ndjson")


@pytest.mark.parametrize(("name", "data"), [
    ("a.csv", b"id\nc\n"), ("a.CSV", b"id\nc\n"), ("a.ndjson", b'{"id":"c"}\n'), ("a.jsonl", b'{"id":"c"}\n'),
    ("a.txt", b'\xef\xbb\xbf\n \n{"id":"c"}'), ("a", b"\nid\nc"),
])
def test_the_kind_is_told_by_the_suffix_or_by_the_first_character(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert [row.values for row in read_rows(tmp_path / name) if isinstance(row, Row)] == [{"id": "c"}]
    assert [row.values for row in read_rows(str(tmp_path / name)) if isinstance(row, Row)] == [{"id": "c"}]


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    class Standard:
        buffer = io.BytesIO(b'{"id": "c"}\n')

    monkeypatch.setattr("sys.stdin", Standard())
    assert list(read_rows("-")) == [Row(1, {"id": "c"}, 12)]


def test_a_file_that_is_not_there_is_trouble_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(read_rows(tmp_path / "none.csv"))


def test_rows_come_while_the_file_is_being_read() -> None:
    def forever() -> Iterator[bytes]:
        yield b"id\n"
        number = 0
        while True:
            number += 1
            yield b"c%d\n" % number

    class Stream(io.BytesIO):
        lines = forever()

        def readline(self, _size: int | None = -1, /) -> bytes:
            return next(self.lines)

    rows = read_rows(Stream(), "csv")
    assert [next(rows) for _ in range(2)] == [Row(2, {"id": "c1"}, 3), Row(3, {"id": "c2"}, 3)]


@given(st.binary(max_size=300), st.sampled_from(["csv", "ndjson", ""]))
def test_any_bytes_give_rows_and_reports_and_no_exception(data: bytes, kind: str) -> None:
    lines = [row.line for row in read(data, kind)]
    assert lines == sorted(set(lines))


@given(st.text(alphabet='a",\n\r;é ', max_size=200).map(lambda text: f"a,b\n{text}".encode()))
def test_any_quoting_gives_each_line_at_most_once_in_order(data: bytes) -> None:
    lines = [row.line for row in read(data)]
    assert lines == sorted(set(lines))
    assert all(2 <= line <= data.count(b"\n") + 1 for line in lines)


CELL = st.text(st.characters(codec="utf-8"), max_size=20).filter(lambda text: text.strip() != "")


@given(st.lists(st.tuples(CELL, CELL, CELL), max_size=10), st.sampled_from(["\n", "\r\n"]))
def test_what_csv_writes_is_read_back(cells: list[tuple[str, str, str]], end: str) -> None:
    file = io.StringIO()
    csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([("a", "b", "c"), *cells])
    rows = read(file.getvalue().encode())
    assert [row.values if isinstance(row, Row) else row for row in rows] == [
        dict(zip("abc", values, strict=True)) for values in cells]


TEXT = st.text(st.characters(codec="utf-8"))


@given(st.lists(st.dictionaries(TEXT, st.integers(0, 2**63 - 1) | TEXT), max_size=10))
def test_what_json_writes_is_read_back(objects: list[dict[str, object]]) -> None:
    data = b"".join(json.dumps(value).encode() + b"\n" for value in objects)
    assert [row.values for row in read(data, "ndjson") if isinstance(row, Row)] == objects


@pytest.mark.parametrize(("cell", "safe"), [
    ("=1+1", "'=1+1"), ("+49", "'+49"), ("-1", "'-1"), ("@SUM", "'@SUM"), ("\tx", "'\tx"), ("\rx", "'\rx"),
    ("a=b", "a=b"), ("", ""), ("'x", "'x"),
])
def test_exported_cells_are_no_formulas(cell: str, safe: str) -> None:
    assert neutralise(cell) == safe


def test_cells_that_start_like_formulas_are_read_as_they_are() -> None:
    assert outline(b"id,a\n=c1,+x\n") == [(2, {"id": "=c1", "a": "+x"})]
