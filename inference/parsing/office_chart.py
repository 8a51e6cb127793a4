"""The data behind a chart of an office file (DrawingML), as a table."""

from __future__ import annotations

from typing import Any

from inference.parsing.blocks import flat

_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"


def chart_title(chart_space: Any) -> str:
    """Return the chart's title and the titles of its axes, joined by `` - ``."""
    titles = (
        flat("".join(text.text or "" for text in title.iter(f"{_A}t"))) for title in chart_space.iter(f"{_C}title")
    )
    return " - ".join(title for title in titles if title)


def chart_rows(chart_space: Any) -> list[list[str]]:
    """Return the cached values: a header with the names of the series, then one row per category."""
    series = list(chart_space.iter(f"{_C}ser"))
    if not series:
        return []
    names = [_cached(one.find(f"{_C}tx")) for one in series]
    columns = [_cached(_first(one, "val", "yVal")) for one in series]
    categories = _cached(_first(series[0], "cat", "xVal"))
    points = sorted(set(categories).union(*columns))
    header = ["", *(name.get(0, f"Series {number}") for number, name in enumerate(names, 1))]
    return [header, *([categories.get(point, ""), *(column.get(point, "") for column in columns)] for point in points)]


def _first(element: Any, *names: str) -> Any:
    return next((found for name in names if (found := element.find(f"{_C}{name}")) is not None), None)


def _cached(element: Any) -> dict[int, str]:
    if element is None:
        return {}
    values = {
        int(point.get("idx", "0")): _number(flat(point.findtext(f"{_C}v") or "")) for point in element.iter(f"{_C}pt")
    }
    literal = element.findtext(f"{_C}v")
    return values or ({0: flat(literal)} if literal else {})


def _number(shown: str) -> str:
    try:
        return f"{float(shown):.10g}" if "." in shown or "E" in shown else shown
    except ValueError:
        return shown
