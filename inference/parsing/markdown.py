"""Markdown (CommonMark with tables) by way of the HTML that it stands for; front matter is kept as text."""

from __future__ import annotations

import re
from pathlib import Path

from markdown_it import MarkdownIt

from inference.errors import EmptyInput
from inference.parsing.base import Parsed, ParseRequest
from inference.parsing.blocks import Assembly
from inference.parsing.encoding import decoded
from inference.parsing.html import add_markup, data_picture, html_root
from inference.parsing.package import read_bytes
from inference.parsing.registry import source_info
from inference.values import SourceInfo

_FRONT_MATTER = re.compile(r"\A---[^\S\n]*\n(.*?)\n(?:---|\.\.\.)[^\S\n]*(?:\n|\Z)", re.DOTALL)
_TITLE = re.compile(r"^(?:title:[^\S\n]*[\"']?(.+?)[\"']?|#[^\S\n]+(.+?)[^\S\n]*#*)[^\S\n]*$", re.MULTILINE)


def probe(path: Path, hint: str) -> SourceInfo:
    """Read the title: the front matter's, else the first heading's."""
    title = _TITLE.search(decoded(read_bytes(path)))
    return source_info(hint, title=(title.group(1) or title.group(2)) if title else None)


def parse(path: Path, info: SourceInfo, request: ParseRequest) -> Parsed:  # noqa: ARG001
    """Read the whole file."""
    text = decoded(read_bytes(path))
    assembly = Assembly(path.name, request.limits)
    front_matter = _FRONT_MATTER.match(text)
    if front_matter:
        assembly.add(front_matter.group(1))
        text = text[front_matter.end() :]
    rendered = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)
    if rendered.strip():
        add_markup(assembly, html_root(rendered, path.name), data_picture)
    if assembly.is_empty:
        raise EmptyInput(f"'{path.name}' holds no text")
    return assembly.parsed()
