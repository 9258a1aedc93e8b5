"""Replies put together from bytes: the same however they are cut, bounded, and never an exception."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.smtp_replies import DETAIL, LONGEST, NONSENSE, Reply, ReplyReader, clean_line

REPLIES = [
    (b"250 ok\r\n", Reply(250, "ok")),
    (b"250\r\n", Reply(250, "")),
    (b"250 \r\n", Reply(250, "")),
    (b"250 ok\n", Reply(250, "ok")),
    (b"250-a\r\n250-b\r\n250 c\r\n", Reply(250, "a\nb\nc")),
    (b"250-a\r\n250\r\n", Reply(250, "a\n")),
    (b"250-a\r\n550 b\r\n", Reply(550, "a\nb")),
    (b"550 5.1.1 \xc3\xa4\xff\r\n", Reply(550, "5.1.1 ä\ufffd")),
    (b"250ok\r\n", Reply(NONSENSE, "250ok\r")),
    (b"2500 ok\r\n", Reply(NONSENSE, "2500 ok\r")),
    (b"25 ok\r\n", Reply(NONSENSE, "25 ok\r")),
    (b"199 ok\r\n", Reply(NONSENSE, "199 ok\r")),
    (b"650 ok\r\n", Reply(NONSENSE, "650 ok\r")),
    (b" 250 ok\r\n", Reply(NONSENSE, " 250 ok\r")),
    (b"+25 ok\r\n", Reply(NONSENSE, "+25 ok\r")),
    (b"\r\n", Reply(NONSENSE, "\r")),
    (b"250-a\r\nwhat\r\n", Reply(NONSENSE, "what\r")),
]


def read(pieces: list[bytes]) -> Reply | None:
    """The first reply in these pieces."""
    reader = ReplyReader()
    return next((reply for piece in pieces if (reply := reader.feed(piece)) is not None), None)


@pytest.mark.parametrize(("data", "reply"), REPLIES)
def test_a_reply_reads_the_same_at_once_and_byte_by_byte(data: bytes, reply: Reply) -> None:
    assert read([data]) == reply
    assert read([data[i:i + 1] for i in range(len(data))]) == reply


@pytest.mark.parametrize("data", [b"", b"2", b"250 ok", b"250 ok\r", b"250-a\r\n", b"250-a\r\n250"])
def test_half_a_reply_is_none_yet(data: bytes) -> None:
    assert read([data]) is None


@given(st.binary(max_size=200) | st.sampled_from([data for data, _ in REPLIES]), st.lists(st.integers(0, 200)))
def test_any_bytes_read_the_same_however_they_are_cut_and_never_raise(data: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    whole = read([data])
    assert read([data[a:b] for a, b in pairwise(places)]) == whole
    assert (whole is None) or whole.code == NONSENSE or 200 <= whole.code <= 599


@pytest.mark.parametrize(("data", "ahead"), [
    (b"250 ok\r\n", False), (b"250 ok\r\n2", True), (b"250 ok\r\n250 again\r\n", True), (b"250-a\r\n250 b\r\n", False),
])
def test_bytes_beyond_a_reply_are_noticed(data: bytes, ahead: bool) -> None:  # noqa: FBT001 -- a table's column
    reader = ReplyReader()
    assert reader.feed(data) is not None
    assert reader.ahead == ahead


@pytest.mark.parametrize("piece", [b"x" * 1_000, b"250-more\r\n"])
def test_a_reply_without_end_is_nonsense_and_takes_bounded_memory(piece: bytes) -> None:
    pieces = [piece] * (LONGEST // len(piece) + 1)
    assert read(pieces) == Reply(NONSENSE, "a reply without end")


@given(st.text(max_size=1_000) | st.text("\r\n\0\x1b\u2028\u202e\ud800 a", max_size=700))
def test_a_detail_is_one_short_line_that_can_be_stored_and_shown(text: str) -> None:
    line = clean_line(text)
    assert len(line) <= DETAIL
    assert not set(line) & set("\r\n\0\x1b\x85\u2028\u2029\u202e\u200b")
    assert line.encode().decode() == line


def test_a_detail_keeps_what_a_person_can_read() -> None:
    assert clean_line("550 Größe\r\n\tüber  30 MB \ud800!") == "550 Größe über 30 MB \ufffd!"
