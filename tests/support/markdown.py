"""The fenced blocks, tables and links of the documentation.

The first word after the fence is the language, the second says what the block is: a file's name (`dispatcher.toml`,
`campaigns/delay/campaign.toml`), `part` for a part of a configuration, `walkthrough` for commands to run in order.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from support.commands import CHECKOUT

_FENCE = re.compile(r"^```(\S*) ?(\S*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block and where it stands."""

    place: str
    language: str
    name: str
    text: str

    def __str__(self) -> str:
        return self.place


def pages() -> list[Path]:
    """Every page of the documentation."""
    return [CHECKOUT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
        (CHECKOUT / "docs").glob("*.md"))


def blocks(*files: Path) -> list[Block]:
    """The fenced blocks of these files, or of every page."""
    found = []
    for file in files or pages():
        text = file.read_text()
        for match in _FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(f"{file.relative_to(CHECKOUT)}:{line}", match[1], match[2], match[3]))
    return found


def links(file: Path) -> list[str]:
    """The targets of a page's links."""
    return _LINK.findall(_FENCE.sub("", file.read_text()))


def anchors(file: Path) -> set[str]:
    """The anchors that a page's headings make, as GitHub makes them."""
    headings = _HEADING.findall(_FENCE.sub("", file.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table(file: Path, first_column: str) -> list[list[str]]:
    """The rows of the table whose first column is headed so."""
    lines = iter(file.read_text().splitlines())
    for line in lines:
        if line.startswith(f"| {first_column} |"):
            next(lines)
            break
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


def commands(block: Block) -> list[str]:
    """The commands of a console block: what stands after a `$ `, continued lines joined, remarks left out."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language == "console":
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return [command for line in lines if (command := re.sub(r"(^|\s+)# .*$", "", line).strip())]
