"""A view as lines for a reader: aligned columns, parts indented below their whole.

On a terminal the columns are coloured; elsewhere the same characters stand without colour.
"""

from collections.abc import Iterator
from typing import Final, TextIO

from fleet.decode.view import View
from fleet.terminal import is_rich

_INDENT: Final = "  "  # for each level
_GAP: Final = "  "  # between columns
_WIDTH_MAX: Final = 40  # characters; a longer cell moves the rest of its own row only
_TITLE_STYLE: Final = "bold"
_STYLES: Final = ("", "cyan", "green", "dim")  # name, value, word, meaning


def _lines(view: View, level: int = 0) -> Iterator[tuple[str, ...]]:
    """The padded cells of each line; a title is one cell."""
    yield (_INDENT * level + view.title,)
    lengths = [[len(row[column]) for row in view.rows] for column in range(len(_STYLES))]
    widths = [max((length for length in column if length <= _WIDTH_MAX), default=0) for column in lengths]
    empty = [not any(column) for column in lengths]
    indent = _INDENT * (level + 1)
    for row in view.rows:
        cells = [
            "" if nothing else cell.ljust(width) + _GAP
            for cell, width, nothing in zip(row, widths, empty, strict=True)
        ]
        yield (indent + cells[0], *cells[1:])
    for part in view.parts:
        yield from _lines(part, level + 1)


def plain(view: View) -> str:
    """All lines, without colours and without spaces at their ends."""
    return "\n".join("".join(cells).rstrip() for cells in _lines(view))


def write(view: View, out: TextIO) -> None:
    """Write the view; coloured when ``out`` is a terminal."""
    if not is_rich(out):
        out.write(plain(view) + "\n")
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=out, highlight=False)
    for cells in _lines(view):
        styles = _STYLES if len(cells) > 1 else (_TITLE_STYLE,)
        line = Text.assemble(*zip(cells, styles, strict=True))
        line.rstrip()
        console.print(line, soft_wrap=True)
