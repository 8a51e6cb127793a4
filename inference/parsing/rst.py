"""reStructuredText by way of the HTML that docutils writes; no file is included, no raw markup passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.core import publish_doctree, publish_from_doctree
from docutils.utils import SystemMessage

from inference.errors import DamagedFile, EmptyInput
from inference.parsing.base import Parsed, ParseRequest
from inference.parsing.blocks import Assembly, flat
from inference.parsing.encoding import decoded
from inference.parsing.html import add_markup, data_picture, html_root
from inference.parsing.package import read_bytes
from inference.parsing.registry import source_info
from inference.values import SourceInfo

_SETTINGS: dict[str, Any] = {
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "_disable_config": True,
    "report_level": 2,
    "halt_level": 5,
    "warning_stream": False,
    "input_encoding": "unicode",
    "output_encoding": "unicode",
    "embed_stylesheet": False,
    "stylesheet_path": "",
    "math_output": "LaTeX",
    "syntax_highlight": "none",
    "smart_quotes": False,
    "image_loading": "link",
    "line_length_limit": 100_000,
}


def probe(path: Path, hint: str) -> SourceInfo:
    """Read the title."""
    title = next(iter(_document(path).findall(nodes.title)), None)
    return source_info(hint, title=flat(title.astext()) if title is not None else None)


def parse(path: Path, info: SourceInfo, request: ParseRequest) -> Parsed:  # noqa: ARG001
    """Read the whole file."""
    document = _document(path)
    assembly = Assembly(path.name, request.limits)
    page = publish_from_doctree(document, writer="html5", settings_overrides=_SETTINGS)
    add_markup(assembly, html_root(page, path.name).find("body"), data_picture)
    if assembly.is_empty:
        raise EmptyInput(f"'{path.name}' holds no text")
    return assembly.parsed()


def _document(path: Path) -> nodes.document:
    text = decoded(read_bytes(path))
    try:
        document = publish_doctree(text, settings_overrides=_SETTINGS)
    except (SystemMessage, RecursionError) as error:
        raise DamagedFile(f"'{path.name}' cannot be read as reStructuredText: {error}") from error
    # What docutils does not know (directives of Sphinx, say) is kept as the source that the message quotes.
    for message in list(document.findall(nodes.system_message)):
        message.parent.replace(message, list(message.findall(nodes.literal_block)))
    return document
