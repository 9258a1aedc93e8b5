"""A file in blocks, whose lines are read elsewhere: the same requests, with the same lines, as row by row."""

import io
import json
import pickle
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.endless import Endless

from dispatcher.intake import blocks
from dispatcher.intake.blocks import read_blocks
from dispatcher.intake.lines import Requested, read_requests
from dispatcher.intake.requests import SendRequest, parse_request
from dispatcher.intake.rows import ROW_BYTES, BadRow, read_rows
from dispatcher.intake.strict import RowFault

NOW = 1_800_000_000_000
GOOD = b'{"customer": "c1", "key": "k"}'
LINES = st.sampled_from([
    GOOD, b'{"customer": "c2"}', b'{"customer": {"id": "c3", "plan": "pro"}}', b"", b"  ", b"\r", GOOD + b"\r",
    b'{"customer": ""}', b'{"customer": "c1", "campaign": "other"}', b'{"customer": "c1", "campaign": "delay"}', b"[1]",
    b'{"customer": "caf\xe9"}', b"\xff\xff", b'{"customer": "c1", "customer": "c2"}', b'{"customer": "\\ud800"}',
    b'{"customer": "\xc3\xbc"}', b'{"customer": "a\xe2\x80\xa8b"}', b"\xef\xbb\xbf" + GOOD, b"x" * (ROW_BYTES + 5),
])


def by_blocks(data: bytes, size: int) -> tuple[dict[int, SendRequest], dict[int, str], int]:
    """What a file comes to, by its lines: requests, reasons, and how many rows could be read."""
    good: dict[int, SendRequest] = {}
    bad: dict[int, str] = {}
    read = 0
    for block in read_blocks(io.BytesIO(data), size):
        found = read_requests(block.text.split("\n"), block.first, "delay", NOW)
        good.update(zip(found.numbers, found.requests, strict=True))
        bad.update((*block.bad, *found.bad))
        read += found.read
    return good, bad, read


def by_rows(data: bytes) -> tuple[dict[int, SendRequest], dict[int, str], int]:
    """The same, one row after the other."""
    good: dict[int, SendRequest] = {}
    bad: dict[int, str] = {}
    read = 0
    for row in read_rows(io.BytesIO(data), "ndjson"):
        if isinstance(row, BadRow):
            bad[row.line] = row.reason
            continue
        read += 1
        try:
            if row.values.setdefault("campaign", "delay") != "delay":
                bad[row.line] = "campaign: is 'other', and this sends delay; send it by itself"
            else:
                good[row.line] = parse_request(row.values, NOW)
        except RowFault as fault:
            bad[row.line] = str(fault)
    return good, bad, read


@given(st.lists(LINES, max_size=12), st.sampled_from([b"", b"\n"]), st.integers(1, 120))
@example([GOOD] * 3, b"\n", 1)
@example([b"\xef\xbb\xbf" + GOOD, b"x" * (ROW_BYTES + 5), GOOD], b"", 40)
@example(["\ufeffx".encode("utf-16")], b"", 40)
def test_a_file_read_in_blocks_of_any_size_comes_to_the_same_as_row_by_row(
    lines: list[bytes], end: bytes, size: int,
) -> None:
    data = b"\n".join(lines) + end
    assert by_blocks(data, size) == by_rows(data)


@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes_come_to_the_same_too(data: bytes, size: int) -> None:
    assert by_blocks(data, size) == by_rows(data)


def test_a_block_holds_whole_lines_and_ends_with_the_one_that_makes_it_large_enough() -> None:
    data = b"".join(b"%d\n" % number for number in range(10, 20))
    assert [(block.first, block.text) for block in read_blocks(io.BytesIO(data), 9)] == [
        (1, "10\n11\n12\n"), (4, "13\n14\n15\n"), (7, "16\n17\n18\n"), (10, "19\n")]


def test_a_row_that_is_too_long_is_told_whoever_has_cut_the_lines() -> None:
    found = read_requests(["x" * (ROW_BYTES + 1), '{"customer": "c1"}'], 7, "delay", NOW)
    assert (found.bad, found.numbers) == ([BadRow(7, f"is longer than {ROW_BYTES} bytes")], [8])


def test_memory_is_bounded_by_a_block_and_a_row() -> None:
    tracemalloc.start()
    try:
        with io.BufferedReader(Endless(60_000_000)) as stream:
            (block,) = read_blocks(stream, 1_000_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (block.text, [bad.line for bad in block.bad]) == ("\n", [1])
    assert peak < 8_000_000


def test_what_was_read_can_travel_to_another_process() -> None:
    lines = [json.dumps({"customer": {"id": "c1", "shoe": "44", "email": "ö@bücher.example"}, "data": {"n": 1}}), "[]"]
    found = read_requests(lines, 1, "delay", NOW)
    again: Requested = pickle.loads(pickle.dumps(found))  # noqa: S301 -- our own, of just now
    assert again == found
    assert len(found.requests) == len(found.bad) == 1


@pytest.mark.parametrize("size", [1, 10_000])
def test_nothing_is_no_block(size: int) -> None:
    assert list(blocks.read_blocks(io.BytesIO(b""), size)) == []
