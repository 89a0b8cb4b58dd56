"""Take the files out of a page of Markdown, so that what the docs show is what the tests run.

A block is a file when the line before it says so:

    <!-- file: templates/index.html -->
    ```jinja
    …
    ```
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

MARK = re.compile(r"<!-- file: (?P<name>.+?) -->")
FENCE = re.compile(r"(?P<indent> *)(?P<fence>```+|~~~+)(?P<language>\S*)")


class Block(NamedTuple):
    """A fenced block: what language it says it is, what file it is, if any, and its text."""

    language: str
    name: str | None
    text: str
    line: int


def write_files(page: Path, folder: Path) -> list[Path]:
    """Write every file that a page shows below a folder."""
    files = files_of(page.read_text())
    return [_write(folder / name, text) for name, text in files.items()]


def files_of(markdown: str) -> dict[str, str]:
    files: dict[str, str] = {}
    for block in blocks_of(markdown):
        if block.name is None:
            continue
        if block.name in files:
            raise ValueError(f"Line {block.line}: '{block.name}' is shown twice; which one is it?")
        files[block.name] = block.text
    return files


def blocks_of(markdown: str) -> list[Block]:
    lines = markdown.splitlines()
    blocks: list[Block] = []
    number = 0
    while number < len(lines):
        name = _name(lines[number], number)
        number += name is not None
        fence = FENCE.match(lines[number]) if number < len(lines) else None
        if fence is None:
            if name is not None:
                raise ValueError(f"Line {number}: '{name}' is followed by no block.")
            number += 1
            continue
        end = _end(lines, number, fence)
        text = _unindented(lines[number + 1 : end], fence["indent"])
        blocks.append(Block(fence["language"], name, text, number + 1))
        number = end + 1
    return blocks


def _name(line: str, number: int) -> str | None:
    mark = MARK.fullmatch(line.strip())
    if mark is None:
        return None
    path = PurePosixPath(mark["name"])
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"Line {number + 1}: '{path}' is not below the app's folder.")
    return str(path)


def _end(lines: list[str], start: int, fence: re.Match[str]) -> int:
    for number in range(start + 1, len(lines)):
        if lines[number].strip() == fence["fence"]:
            return number
    raise ValueError(f"Line {start + 1}: the block has no end.")


def _unindented(lines: list[str], indent: str) -> str:
    return "".join(line.removeprefix(indent) + "\n" for line in lines)


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
