import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.intake.strict import RowFault, canonical_json, check_id, check_text, strict_json, unknown_key

REFUSED = [
    (b'{"a": 1, "a": 2}', "twice"),
    (b'{"a": {"b": 1, "b": 1}}', "twice"),
    (b"[NaN]", "NaN"),
    (b"[Infinity]", "Infinity"),
    (b"[-Infinity]", "-Infinity"),
    (b"[1e999]", "too large"),
    (b"[-1e999]", "too large"),
    (b"[9223372036854775808]", "2^63-1"),
    (b"[-9223372036854775809]", "2^63-1"),
    (b"[" + b"1" * 5_000 + b"]", "2^63-1"),
    (rb'["\ud800"]', "surrogate"),
    (rb'["\uDFFF x"]', "surrogate"),
    (rb'{"\ud800": 1}', "surrogate"),
    ('["\ud800"]', "surrogate"),
    (b'["\xe9"]', "0xe9"),
    (b'["\xed\xa0\x80"]', "not UTF-8"),
    (b"\xef\xbb\xbf{}", "no JSON"),
    (b"[" * 65 + b"]" * 65, "64 deep"),
    (b'{"a":' * 65 + b"1" + b"}" * 65, "64 deep"),
    (b"[" * 100_000 + b"]" * 100_000, "64 deep"),
    (b"[" * 100_000, ""),
    (b'{"a": "line\nbreak"}', "no JSON"),
    (b"", "no JSON"),
    (b"{} {}", "no JSON"),
    (b"{'a': 1}", "no JSON"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_strict_json_refuses_with_a_reason_in_one_line(text: bytes | str, reason: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        strict_json(text)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


TAKEN = [
    (b"[9223372036854775807, -9223372036854775808]", [2**63 - 1, -(2**63)]),
    (rb'["\ud83d\ude00"]', ["\U0001f600"]),
    (b"[" * 64 + b"1" + b"]" * 64, None),
    (b"[" + b",".join([b"[]"] * 200) + b"]", [[]] * 200),
    (b'"[[[[["', "[[[[["),
    ('{"ä": [1.5, true, null, "x"]}', {"ä": [1.5, True, None, "x"]}),
    (b" {}\r\n", {}),
]


@pytest.mark.parametrize(("text", "value"), TAKEN)
def test_strict_json_reads_what_is_within_the_bounds(text: bytes | str, value: object) -> None:
    read = strict_json(text)
    assert read == (json.loads(text) if value is None else value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner), max_leaves=20,
)


@given(JSON)
def test_what_is_written_canonically_is_read_back(value: object) -> None:
    assert strict_json(canonical_json(value)) == value
    assert strict_json(canonical_json(value).encode()) == value


@given(st.binary() | st.text().map(lambda text: f'"{text}"'))
def test_anything_at_all_is_read_or_refused_by_value_error(text: bytes | str) -> None:
    try:
        value = strict_json(text)
    except ValueError:
        return
    canonical_json(value).encode()


@pytest.mark.parametrize("bad", [
    "a\nb", "a\rb", "a\x00b", "a\x85b", "a\u2028b", "a\u2029b", "a\ud800b", "a\n", "x" * 11, 3, None])
def test_a_text_with_controls_or_too_long_or_of_another_type_is_refused(bad: object) -> None:
    with pytest.raises(RowFault) as caught:
        check_text("name", bad, 10)
    assert caught.value.field == "name"


def test_a_text_loses_the_spaces_around_it_and_nothing_else() -> None:
    assert check_text("name", "  O'Neil \u200d{{7*7}} <script>  ", 100) == "O'Neil \u200d{{7*7}} <script>"


@pytest.mark.parametrize("bad", ["", " ", " a", "a ", "a\tb", "x" * 201, 7, None])
def test_an_id_is_kept_exactly_or_refused(bad: object) -> None:
    with pytest.raises(RowFault):
        check_id("id", bad)
    assert check_id("id", "c 1/ü") == "c 1/ü"


def test_an_unknown_key_brings_the_nearest_known_one() -> None:
    assert str(unknown_key("custommer", ("customer", "kind"))) == "'custommer': is not known; did you mean 'customer'?"
    assert "allowed are customer, kind" in str(unknown_key("zzz", ("customer", "kind")))
