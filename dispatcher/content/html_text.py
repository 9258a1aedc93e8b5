"""The plain text of an HTML body, for a campaign that has none of its own: readable, links kept, scripts dropped."""

import re
from html.parser import HTMLParser
from typing import Final

_DROPPED: Final = frozenset({"script", "style", "head", "title", "template"})
_BLOCKS: Final = frozenset({
    "address", "article", "aside", "blockquote", "center", "dd", "div", "dl", "dt", "figure", "footer", "form",
    "header", "hr", "li", "main", "nav", "ol", "section", "table", "tbody", "tfoot", "thead", "tr", "ul",
})
_PARAGRAPHS: Final = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "pre"})
_SPACE: Final = re.compile(r"[ \t\r\n\f\v]+")
# Between blocks: a line's end, or an empty line where a paragraph is among them. No text holds these two characters.
_BLOCK: Final = "\v"
_PARAGRAPH: Final = "\f"
_BREAKS: Final = re.compile("[ \n]*[\v\f][ \n\v\f]*")
_LINKED: Final = ("http:", "https:", "mailto:", "tel:")


class _Reader(HTMLParser):
    """Collects pieces of text and line breaks."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._dropped = 0
        self._links: list[tuple[str, int]] = []     # address, and where its text begins in pieces

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _DROPPED:
            self._dropped += 1
            return
        given = dict(attrs)
        if tag == "br":
            self.pieces.append("\n")
        elif tag in {"td", "th"}:
            self.pieces.append(" ")
        elif tag == "img" and not self._dropped:
            self.pieces.append(_SPACE.sub(" ", given.get("alt") or ""))
        elif tag == "a":
            self._links.append((_SPACE.sub("", given.get("href") or ""), len(self.pieces)))
        self._break(tag)
        if tag == "li":
            self.pieces.append("- ")

    def handle_endtag(self, tag: str) -> None:
        if tag in _DROPPED:
            self._dropped = max(0, self._dropped - 1)
        elif tag == "a" and self._links:
            address, start = self._links.pop()
            shown = "".join(self.pieces[start:]).strip()
            if address.startswith(_LINKED) and shown not in {address, address.partition(":")[2]}:
                self.pieces.append(f" <{address}>" if shown else address)
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if not self._dropped:
            self.pieces.append(_SPACE.sub(" ", data))

    def _break(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self.pieces.append(_PARAGRAPH)
        elif tag in _BLOCKS:
            self.pieces.append(_BLOCK)


def html_to_text(html: str) -> str:
    """The text of this HTML, with at most one empty line in a row and a line end at its end."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines: list[str] = []
    for line in _BREAKS.sub(_break, "".join(reader.pieces)).split("\n"):
        stripped = re.sub(" {2,}", " ", line).strip(" ")
        if stripped or (lines and lines[-1]):
            lines.append(stripped)
    return "\n".join(lines).rstrip("\n") + "\n"


def _break(found: re.Match[str]) -> str:
    return "\n\n" if _PARAGRAPH in found[0] else "\n"
