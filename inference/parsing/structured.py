"""JSON and XML as lines of ``path: value``, so that a fact is found together with where it stands.

JSON gives lines such as ``orders[0].customer.name: Ines``, XML such as ``book[2]/title: Emma`` below the root's name.
Lines that share their first step form a block, large ones are cut every few lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from inference.errors import DamagedFile
from inference.parsing.base import Parsed, ParseRequest
from inference.parsing.blocks import Assembly, flat
from inference.parsing.encoding import decoded
from inference.parsing.package import read_bytes, xml_root
from inference.parsing.registry import source_info
from inference.values import SourceInfo

_BLOCK_LINES = 24


def probe(path: Path, hint: str) -> SourceInfo:
    """Check that it is well-formed."""
    data = read_bytes(path)
    if hint == "xml":
        xml_root(data, path.name)
    else:
        _json(data, path.name)
    return source_info(hint)


def parse(path: Path, info: SourceInfo, request: ParseRequest) -> Parsed:
    """Read all values of the whole file."""
    data = read_bytes(path)
    assembly = Assembly(path.name, request.limits)
    if info.extension == "xml":
        root = xml_root(data, path.name)
        assembly.enter(_local(root), 0)
        lines = _xml_lines(root)
    else:
        lines = _json_lines(_json(data, path.name))
    for block in _blocks(lines):
        assembly.add(block)
    return assembly.parsed()


def _json(data: bytes, name: str) -> Any:
    text = decoded(data)
    try:
        return _loaded(text)
    except RecursionError as error:
        raise DamagedFile(f"'{name}' nests its values too deep to be read") from error
    except ValueError as error:
        try:
            return [_loaded(line) for line in text.split("\n") if line.strip()]
        except (ValueError, RecursionError):
            raise DamagedFile(f"'{name}' cannot be read as JSON: {error}") from error


def _loaded(text: str) -> Any:
    # Numbers stay as they are written.
    return json.loads(text, parse_float=str, parse_int=str, parse_constant=str)


def _json_lines(document: Any) -> Iterator[tuple[str, str]]:
    waiting: list[tuple[str, str, Any]] = [("", "", document)]
    while waiting:
        group, path, value = waiting.pop()
        inner: list[tuple[str, Any]] = []
        if isinstance(value, dict):
            inner = [(f"{path}.{key}" if path else key, child) for key, child in value.items()]
        elif isinstance(value, list):
            inner = [(f"{path}[{index}]", child) for index, child in enumerate(value)]
        elif shown := _shown(value):
            yield group, f"{path}: {shown}" if path else shown
        single = not path and len(inner) == 1
        waiting += reversed([("" if single else group or step, step, child) for step, child in inner])


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else flat(str(value))


def _xml_lines(root: Any) -> Iterator[tuple[str, str]]:
    waiting: list[tuple[str, str, Any]] = [("", "", root)]
    while waiting:
        group, path, element = waiting.pop()
        for key, value in element.attrib.items():
            yield group, f"{path}/@{_name(key)}: {flat(value)}" if path else f"@{_name(key)}: {flat(value)}"
        if shown := _own_text(element):
            yield group, f"{path}: {shown}" if path else shown
        inner = list(_steps(path, element))
        waiting += reversed([(group or step, step, child) for step, child in inner])


def _own_text(element: Any) -> str:
    pieces = [element.text or "", *((child.tail or "") for child in element)]
    return flat(" ".join(pieces))


def _steps(path: str, element: Any) -> Iterator[tuple[str, Any]]:
    children = [child for child in element if isinstance(child.tag, str)]
    names = [_local(child) for child in children]
    seen: dict[str, int] = {}
    repeated = {name for name in names if names.count(name) > 1} if len(names) < 50 else set(names)
    for name, child in zip(names, children, strict=True):
        seen[name] = seen.get(name, 0) + 1
        step = f"{name}[{seen[name]}]" if name in repeated else name
        yield f"{path}/{step}" if path else step, child


def _local(element: Any) -> str:
    return _name(element.tag)


def _name(tag: str) -> str:
    return tag.rpartition("}")[2]


def _blocks(lines: Iterator[tuple[str, str]]) -> Iterator[str]:
    current: list[str] = []
    current_group: str | None = None
    for group, line in lines:
        if current and (group != current_group or len(current) >= _BLOCK_LINES) and not _small(current, group):
            yield "\n".join(current)
            current = []
        current.append(line)
        current_group = group
    if current:
        yield "\n".join(current)


def _small(current: list[str], group: str) -> bool:
    # Single values side by side at the top belong together; elements of a list of records do not.
    return len(current) < _BLOCK_LINES and not group.endswith("]")
