"""A report's charts: drawn by pygal, then stripped to lines and texts, so that the page's own style gives the colours.

What pygal would add for a browser with its script (tooltips, links, the script itself) is taken out. The titles of
points stay: a browser shows them without any script.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any, Final
from xml.etree import ElementTree as ET

from markupsafe import Markup

from dispatcher.cli.report_figures import Bars, Curves, labels, named, ticks
from dispatcher.core.report_words import length

_DROPPED: Final = {"style", "script", "desc", "defs"}
_LEFT_OUT: Final = {"tooltip-overlay", "text-overlay", "tooltip"}
_ANSWERS: Final = ("accepted", "deferred", "rejected", "in_doubt")
_BANDS: Final = frozenset({"serie-4", "serie-5", "serie-6"})
WIDTH: Final = 960


def _pygal() -> Any:  # noqa: ANN401 -- ships no types
    """The library, without the finder of plug-ins that it puts before every later import of the whole process."""
    import pygal  # noqa: PLC0415 -- heavy, and only a page needs it

    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != pygal.__name__]
    return pygal


def cumulative(curves: Curves, label: str) -> Markup:
    """Promised and released messages so far, over time."""
    pygal = _pygal()

    ends = [at for at, _ in (*curves.promised, *curves.released)]
    start, end = min(ends), max(ends)
    most = max(count for _, count in (*curves.promised, *curves.released))
    chart = pygal.XY(_config(pygal, height=320, show_dots=False, xrange=(start, max(end, start + 1)),
                              range=(0, max(most * 1.04, 1))))
    chart.x_labels = [{"value": at, "label": name} for at, name in ticks(start, end)]
    chart.add("released", list(curves.released), fill=True)
    chart.add("promised", list(curves.promised))
    chart.add("released", list(curves.released))
    return _drawn(chart, label)


def promised_and_released(bars: Bars, label: str) -> Markup:
    """Two bars for each span of time."""
    pygal = _pygal()

    chart = pygal.Bar(_config(pygal, height=220))
    _times(chart, bars)
    for name in ("promised", "released"):
        chart.add(name, _values(bars, name, f"{name}: {{:,}}"))
    return _drawn(chart, label)


def answers(bars: Bars, label: str) -> Markup:
    """What a provider made of a lane's attempts, with the times in which the lane was not healthy behind them."""
    pygal = _pygal()

    chart = pygal.StackedBar(_config(pygal, height=240, secondary_range=(0, 1), spacing=0,
                                       range=(0, max(_highest(bars) * 1.04, 1))))
    _times(chart, bars)
    for name in _ANSWERS:
        chart.add(name, _values(bars, name, f"{name.replace('_', ' ')}: {{:,}}"))
    for name in ("slow", "held", "stopped"):
        words = f"the lane was {name}"
        chart.add(name, [{"value": 1, "label": words} if there else None for there in bars.counts[name]],
                  secondary=True)
    return _drawn(chart, label, lambda root: _banded(root, len(bars.starts)))


def outcomes(counts: Sequence[tuple[str, int]], label: str) -> Markup:
    """One bar, cut by what became of the messages."""
    pygal = _pygal()

    chart = pygal.HorizontalStackedBar(_config(
        pygal, height=60, show_x_labels=False, show_y_labels=False, show_y_guides=False,
    ))
    total = max(sum(count for _, count in counts), 1)
    for name, count in counts:
        words = f"{name}: {count:,} ({count / total:.1%})"
        chart.add(name, [{"value": count, "label": words} if count else None])
    return _drawn(chart, label, _cropped)


def _config(pygal: Any, **more: Any) -> Any:  # noqa: ANN401 -- ships no types
    return pygal.Config(**{
        "js": [], "css": [], "no_prefix": True, "disable_xml_declaration": True, "show_legend": False,
        "width": WIDTH, "margin": 8, "margin_left": 14, "margin_right": 12, "min_scale": 3, "max_scale": 5,
        "pretty_print": False, "truncate_label": -1,
        "y_labels_major_count": 0, "value_formatter": _count, "x_value_formatter": lambda _: "",
    } | more)


def _times(chart: Any, bars: Bars) -> None:  # noqa: ANN401 -- as above
    chart.x_labels = labels(bars)


def _values(bars: Bars, name: str, words: str) -> list[Any]:
    """A series' values, each with its words; what is nothing is not drawn."""
    return [{"value": count, "label": f"{named(at, bars.grain)}, {length(bars.grain)}: {words.format(count)}"} if count
            else None for at, count in zip(bars.starts, bars.counts[name], strict=True)]


def _highest(bars: Bars) -> int:
    """The highest stack of answers."""
    return max(map(sum, zip(*(bars.counts[name] for name in _ANSWERS), strict=True)))


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _drawn(chart: Any, label: str, change: Callable[[ET.Element], None] | None = None) -> Markup:  # noqa: ANN401 -- ships no types
    root = ET.fromstring(chart.render(is_unicode=True))  # noqa: S314 -- pygal's own, of a moment ago
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        for name in [name for name in element.attrib if "}" in name]:
            del element.attrib[name]
    _titled(root)
    _strip(root)
    for title in root.findall("title"):
        root.remove(title)
    title = ET.Element("title")
    title.text = label
    root.insert(0, title)
    root.attrib.pop("id", None)
    root.set("class", "chart")
    root.set("role", "img")
    if change is not None:
        change(root)
    return Markup(ET.tostring(root, encoding="unicode", short_empty_elements=True))  # noqa: S704 -- written by ElementTree, which escapes


def _banded(root: ET.Element, spans: int) -> None:
    """Put the lane's states behind the bars: from top to bottom, and without gaps between spans of time."""
    plot = next(one for one in root.iter("g") if "plot" in one.get("class", "").split())
    width, height = float(plot[0].get("width", "0")) / max(spans, 1), plot[0].get("height", "0")
    for group in [one for one in plot if set(one.get("class", "").split()) & _BANDS]:
        ends: list[tuple[float, float]] = []
        words = ""
        for shape in group.iter("rect"):
            told = next(shape.iter("title"), None)
            if told is None:
                continue    # a span in which the lane was not so: pygal draws it with nothing in it
            middle = float(shape.get("x", "0")) + float(shape.get("width", "0")) / 2
            start, end = middle - width / 2, middle + width / 2
            words = told.text or ""
            if ends and start - ends[-1][1] < width / 2:
                start = ends.pop()[0]
            ends.append((start, end))
        plot.remove(group)
        band = ET.Element("g", {"class": group.get("class", "")})
        for start, end in ends:
            shape = ET.SubElement(band, "rect", {"class": "reactive", "x": f"{start:.1f}", "y": "0",
                                                 "width": f"{end - start:.1f}", "height": height})
            ET.SubElement(shape, "title").text = words
        plot.insert(1, band)


def _cropped(root: ET.Element) -> None:
    """Show the bars alone, over the whole width."""
    shapes = [one for one in root.iter("rect") if "reactive" in one.get("class", "")]
    if not shapes:
        return
    plot = next(one for one in root.iter("g") if "plot" in one.get("class", "").split())
    plot.attrib.pop("transform", None)
    left = min(float(one.get("x", "0")) for one in shapes)
    right = max(float(one.get("x", "0")) + float(one.get("width", "0")) for one in shapes)
    top, height = shapes[0].get("y", "0"), shapes[0].get("height", "0")
    root.set("viewBox", f"{left:.1f} {top} {right - left:.1f} {height}")
    root.set("preserveAspectRatio", "none")


def _titled(root: ET.Element) -> None:
    """What pygal's script would show at a point becomes the point's title."""
    for group in root.iter("g"):
        words = next((one.text for one in group.findall("desc") if one.get("class") == "label"), None)
        if words:
            shape = next((one for one in group if one.tag in {"rect", "circle", "path"}), None)
            if shape is not None:
                ET.SubElement(shape, "title").text = words


def _strip(element: ET.Element) -> None:
    """Take out what a page without scripts does not need."""
    for child in list(element):
        classes = set((child.get("class") or "").split())
        if child.tag in _DROPPED or classes & _LEFT_OUT:
            element.remove(child)
            continue
        for name in ("rx", "ry"):
            if child.get(name) == "0":
                del child.attrib[name]
        if "class" in child.attrib and not child.attrib["class"]:
            del child.attrib["class"]
        _rounded(child)
        _strip(child)


def _rounded(element: ET.Element) -> None:
    """Coordinates to a tenth: a page of many bars stays small."""
    for name in ("x", "y", "width", "height"):
        value = element.get(name)
        if value is not None:
            element.set(name, f"{float(value):.1f}".removesuffix(".0"))
