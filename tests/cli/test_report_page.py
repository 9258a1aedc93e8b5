"""The report as a page: complete in itself, quiet, readable in the light and in the dark; in a real browser."""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from support.browser import tab
from support.reports import MADE_AT, storm

from dispatcher.cli import report_charts
from dispatcher.cli.report_figures import Bars
from dispatcher.cli.report_page import page

MINUTE = 60_000
EVIL = '<script>fetch("https://evil.example")</script><img src=x onerror=alert(1)>'


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import time  # noqa: PLC0415 -- nobody else needs the zone

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class Parts(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def evil() -> dict[str, Any]:
    """A storm in which every text that comes from outside is markup."""
    told = storm()
    told |= {"campaign": EVIL, "summary": f"It was held: {EVIL}", "blocked": [EVIL]}
    lane = EVIL
    for batch in (*told["promise"]["batches"], *told["batches"]):
        batch |= {"lane": lane}
    for one in told["lanes"]:
        one |= {"lane": lane, "why": EVIL}
        for state in one["states"]:
            state["why"] = EVIL
    for slip in told["slips"]:
        slip |= {"why": EVIL, "lane": lane}
    for segment in told["segments"]:
        segment |= {"segment": EVIL}
    return told


def test_the_page_refers_to_nothing_outside_and_holds_no_script() -> None:
    text = page([storm()], MADE_AT)
    parts = Parts(text)
    assert not {"script", "iframe", "object", "embed", "form", "img", "base"} & set(parts.tags)
    assert [value for name, value in parts.attributes if name in {"src", "action", "xlink:href", "srcset"}] == []
    assert {value for name, value in parts.attributes if name == "href"} == {"data:,"}
    assert not re.search(r"(?:https?:)?//|@import|url\(", text)
    assert not [name for name, _ in parts.attributes if name.startswith("on")]
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'; img-src data:") in parts.attributes


def test_what_came_from_outside_is_text_wherever_it_stands() -> None:
    parts = Parts(page([evil()], MADE_AT))
    assert not {"script", "img"} & set(parts.tags)
    assert not [name for name, _ in parts.attributes if name.startswith("on")]


def test_thousands_of_batches_make_a_small_page() -> None:
    few, many = page([storm()], MADE_AT), page([storm(days=60, every=5)], MADE_AT)
    assert len(storm(days=60, every=5)["promise"]["batches"]) > 8_000
    assert len(many) < 3 * len(few)
    assert len(many) < 700_000


def test_what_was_pruned_is_said() -> None:
    assert "were pruned" not in page([storm()], MADE_AT)
    assert "The details of 1,200 attempts were pruned" in page([storm() | {"pruned": 1_200}], MADE_AT)


def test_a_campaign_that_has_not_started_has_a_page_too() -> None:
    told = storm() | {"promise": None, "promise_kept": None, "batches": [], "lanes": [], "slips": [], "segments": [],
                      "skipped": {}, "first_at": None, "last_at": None, "started_at": None}
    text = page([told], MADE_AT)
    assert "Nothing was promised that could slip." in text
    assert "Nobody." in text


def test_several_reports_are_one_page_with_a_way_to_each() -> None:
    parts = Parts(page([storm(), storm() | {"campaign": "news"}], MADE_AT, "Both"))
    assert [value for name, value in parts.attributes if name == "href"] == ["data:,", "#campaign-1", "#campaign-2"]
    assert parts.tags.count("article") == 2


@pytest.mark.asyncio
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_a_browser_shows_it_without_asking_for_anything(tmp_path: Path, *, dark: bool) -> None:
    file = tmp_path / "report.html"
    file.write_text(page([storm()], MADE_AT), encoding="utf-8")
    async with tab(tmp_path) as one:
        await one.open(file, dark=dark)
        seen = await one.screenshot(tmp_path / "report.png")
        charts = await one.evaluate("document.querySelectorAll('svg.chart[role=img] > title').length")
        wide = await one.evaluate("document.documentElement.scrollWidth")
        paper = await one.evaluate("getComputedStyle(document.body).backgroundColor")
        drawn = await one.evaluate("""[...document.querySelectorAll('svg.chart')].every(
            chart => chart.getBoundingClientRect().height > 10 && chart.querySelector('.reactive'))""")
        assert (one.requests, one.complaints) == ([file.as_uri(), "data:,"][:len(one.requests)], [])
    assert (charts, wide, drawn) == (5, 1180, True)
    assert paper == ("rgb(20, 23, 27)" if dark else "rgb(251, 251, 249)")
    assert (tmp_path / "report.png").stat().st_size > 50_000
    assert len(set(seen)) > 100


@pytest.mark.asyncio
async def test_a_telephone_shows_it_without_moving_sideways_and_markup_stays_text(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page([evil()], MADE_AT), encoding="utf-8")
    async with tab(tmp_path) as one:
        await one.open(file, width=390)
        assert await one.evaluate("document.documentElement.scrollWidth") == 390
        assert await one.evaluate("document.querySelector('h1').textContent") == EVIL
        assert await one.evaluate("document.scripts.length + document.images.length") == 0
        assert [address for address in one.requests if not address.startswith(("file:", "data:"))] == []
        assert one.complaints == []


def test_only_the_spans_in_which_a_lane_was_held_are_shaded() -> None:
    counts = {name: [0] * 4 for name in ("deferred", "rejected", "in_doubt", "slow", "held", "stopped")}
    counts |= {"accepted": [5, 5, 5, 5], "held": [0, 1, 0, 0]}
    drawn = report_charts.answers(Bars(MINUTE, [MINUTE * number for number in range(4)], counts), "answers")
    shaded = re.findall(r'<rect class="reactive" [^>]*width="([0-9.]+)"[^>]*><title>([^<]*)', str(drawn))
    assert [words for _, words in shaded] == ["the lane was held"]
    assert float(shaded[0][0]) < report_charts.WIDTH / 3


def test_drawing_leaves_no_finder_of_modules_behind() -> None:
    report_charts.outcomes([("accepted", 3)], "outcomes")
    assert [finder for finder in sys.meta_path if type(finder).__module__ == "pygal"] == []
