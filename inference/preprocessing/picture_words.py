"""Words for kinds of pictures that ImageNet has no class for: prototypes of documents for a sentence model."""

from __future__ import annotations

from collections.abc import Mapping

KIND_TEXTS: Mapping[str, tuple[str, ...]] = {
    "line chart": ("a line chart", "a graph of a curve, a plot of a function", "line graph with axes"),
    "bar chart": ("a bar chart", "a histogram, a column chart", "bar graph with axes"),
    "scatter plot": ("a scatter plot", "a chart of points", "data points plotted in a graph"),
    "heat map": ("a heat map", "a matrix plot in colours", "contour plot, colour map"),
    "pie chart": ("a pie chart", "a circle chart with slices", "pie graph"),
    "other": ("a chart", "a statistical plot", "data plotted in a graph"),
    "diagram": ("a diagram", "a flow chart with boxes and arrows", "a schematic drawing of a system"),
    "map": ("a map", "a geographical map of a country or of the world", "map of a city"),
    "screenshot": ("a screenshot", "screenshot of a program, a dialog window", "user interface of software"),
    "page": ("a page of text", "a printed page of a book or report", "text document"),
    "letter": ("a letter", "a signed letter", "business letter with address and signature"),
    "form": ("a form", "a form to fill in, an application form", "questionnaire with fields"),
    "invoice": ("an invoice", "a receipt, a bill", "payment receipt with items and total"),
    "table": ("a table", "a table with rows and columns", "table of numbers, spreadsheet"),
    "slide": ("a presentation slide", "a slide of a talk", "slide with bullet points"),
    "handwriting": ("handwriting", "handwritten notes", "a note written by hand"),
    "drawing": ("a drawing", "clip art, a cartoon drawing", "a logo, a symbol, an icon, a flag"),
    "barcode": ("a barcode", "a QR code", "barcode label of a product"),
}
"""Several texts for each, whose vectors are averaged; the kinds of chart stand in for "chart"."""
