import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.lines import Key, find_places

DOCUMENT = '''\
# a comment with [a.table] and key = 1
title = "x # no comment"     # "quotes" = 2
a.b."c d".'e' = 1
text = """
[not.a.table]
key = "no"
\\""" still \\\\"""
long = \'\'\'
x = [
\'\'\'\'
list = [ # here ]
  1, [2,
  3], { x = 1, y.z = 2 },
  "a]b", 'c,d',
]
point = { x = 1, "y" = { z = [1, 2] } }
when = 1979-05-27 07:32:00

[ servers . "al pha" ]
ip = "10.0.0.1"
[[jobs]]
name = "one"
[jobs.detail]
size = 1
[[jobs]]
name = "two"
[[jobs.steps]]
do = 1
[[jobs.steps]]
do = 2
[[jobs]]

[late.deep]
x = 1
[late]
y = 1
"sp\\u0065cial" = true
'''


@pytest.mark.parametrize(("key", "line"), [
    (("title",), 2), (("a",), 3), (("a", "b"), 3), (("a", "b", "c d", "e"), 3), (("text",), 4), (("long",), 8),
    (("list",), 11), (("list", 0), 12), (("list", 1), 12), (("list", 1, 0), 12), (("list", 1, 1), 13),
    (("list", 2), 13), (("list", 2, "x"), 13), (("list", 2, "y", "z"), 13), (("list", 4), 14),
    (("point", "y", "z", 1), 16), (("when",), 17), (("servers",), 19), (("servers", "al pha"), 19),
    (("servers", "al pha", "ip"), 20), (("jobs",), 21), (("jobs", 0), 21), (("jobs", 0, "detail", "size"), 24),
    (("jobs", 1, "name"), 26), (("jobs", 1, "steps", 0, "do"), 28), (("jobs", 1, "steps", 1), 29),
    (("jobs", 1, "steps", 1, "do"), 30), (("jobs", 2), 31), (("late", "deep", "x"), 34), (("late",), 35),
    (("late", "y"), 36), (("late", "special"), 37),
])
def test_every_key_is_found_on_its_line(key: Key, line: int) -> None:
    assert find_places(DOCUMENT).lines[key] == line


def test_windows_line_ends_count_once() -> None:
    assert find_places(DOCUMENT.replace("\n", "\r\n")).lines == find_places(DOCUMENT).lines


def every_key(value: Any, key: Key = ()) -> list[Key]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for name, item in inner for found in ((*key, name), *every_key(item, (*key, name)))]


def test_no_key_is_missed_and_none_is_made_up() -> None:
    assert sorted(map(repr, find_places(DOCUMENT).lines)) == sorted(map(repr, every_key(tomllib.loads(DOCUMENT))))


KEYS = (st.text(st.characters(codec="utf-8", exclude_categories=("Cc",)), max_size=6)
        | st.sampled_from(["a", "b-c", "1"]))
TEXTS = st.text(st.sampled_from("ab\"'\\\n[]{}=#,. é\t"), max_size=12)


def quoted(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\x7f": "\\u007f"}
    return '"' + "".join(escapes.get(character, character) for character in text) + '"'


def long_quoted(text: str) -> str:
    return '"""\n' + text.replace("\\", "\\\\").replace('"', '\\"') + '"""'


def long_literal(text: str) -> str:
    return "'''" + text.replace("'", "") + "'''"


SCALARS = (st.integers(-9, 9).map(str) | st.booleans().map(lambda value: str(value).lower()) | TEXTS.map(quoted)
           | TEXTS.map(long_quoted) | TEXTS.map(long_literal))
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


class Rendering:
    """A document written out piece by piece, with the line that each key was written on."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.text, self.lines, self.draw = "", {}, draw

    def mark(self, key: Key) -> None:
        self.lines[key] = self.text.count("\n") + 1

    def gap(self) -> None:
        self.text += self.draw(st.sampled_from(["", " ", "\n", ' # note ] } "\n\t']))

    def value(self, tree: Any, key: Key) -> None:
        if isinstance(tree, str):
            self.text += tree
        elif isinstance(tree, list):
            self.text += "["
            for place, item in enumerate(tree):
                self.gap()
                self.mark((*key, place))
                self.value(item, (*key, place))
                self.gap()
                self.text += ","
            self.gap()
            self.text += "]"
        else:
            self.text += "{"
            for place, (name, item) in enumerate(tree.items()):
                self.text += ", " if place else " "
                self.mark((*key, name))
                self.text += f"{quoted(name)} = "
                self.value(item, (*key, name))
            self.text += " }"

    def table(self, tree: dict[str, Any], key: Key) -> None:
        plain = {name: item for name, item in tree.items() if not isinstance(item, dict)}
        for name, item in plain.items():
            self.gap()
            self.mark((*key, name))
            self.text += f"{quoted(name)} ="
            self.value(item, (*key, name))
            self.text += "\n"
        for name, item in tree.items():
            if name not in plain:
                self.mark((*key, name))
                self.text += "[" + " . ".join(quoted(str(part)) for part in (*key, name)) + "]\n"
                self.table(item, (*key, name))


@st.composite
def documents(draw: st.DrawFn) -> Rendering:
    rendering = Rendering(draw)
    rendering.table(draw(st.dictionaries(KEYS, TREES, max_size=4)), ())
    return rendering


@given(documents())
def test_every_key_of_any_document_is_found_on_its_line(rendering: Rendering) -> None:
    tomllib.loads(rendering.text)
    assert find_places(rendering.text).lines == rendering.lines


@given(st.text(st.sampled_from("ab=.[]{}\"'\\#,\n 1"), max_size=60))
def test_a_broken_text_ends_the_search_and_nothing_else(text: str) -> None:
    lines = find_places(text).lines
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())


@pytest.mark.parametrize(("text", "repeated"), [
    ("a = 1\nb = 2\na = 3\n", [(("a",), 1, 3)]),
    ("[t]\nx = 1\n[t]\ny = 1\n", [(("t",), 1, 3)]),
    ("[t]\nx.y = 1\nx.y = 2\n", [(("t", "x", "y"), 2, 3)]),
    ("a = { b = 1, b = 2 }\n", [(("a", "b"), 1, 1)]),
    ("[[t]]\nx = 1\n[[t]]\nx = 1\n", []),
])
def test_a_key_written_twice_is_noticed(text: str, repeated: list[tuple[Key, int, int]]) -> None:
    assert find_places(text).repeated == repeated


@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize("more", [0, 1, 2])
def test_a_long_text_may_end_in_quotes_of_its_own(quote: str, more: int) -> None:
    text = f"a = {quote * 3}x\n{quote * more}{quote * 3}\nb = 1\n"
    assert tomllib.loads(text) == {"a": "x\n" + quote * more, "b": 1}
    assert find_places(text).lines == {("a",): 1, ("b",): 3}
