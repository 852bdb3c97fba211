"""What a second error does to a record that is already valid: the overwrite tables.

Rows: what the record holds; columns: the new error. The cells stand as the document has them and are compiled
into actions when the module loads. Where the architecture leaves a choice, ours is named at the cell.

Sources: IHI0100 A.c tables 2-2 (v1) and 2-3 (v1p1), 2.4.3.
"""

from typing import Final, NamedTuple

from nodes.spec.err import RecordFormat
from nodes.spec.severity import ErrorState

COLUMNS: Final = (ErrorState.CE, ErrorState.DE, ErrorState.UEO, ErrorState.UER, ErrorState.UEU, ErrorState.UC)

V1P1: Final = """
        CE   DE   UEO  UER  UEU  UC
NONE    CW   W    W    W    W    W
CE      CWO  WO   WO   WO   WO   WO
DE      CO   O    WO   WO   WO   WO
UEO     CO   O    O    WO   WO   WO
UER     CO   O    O    O    WO   WO
UEU     CO   O    O    O    O    WO
UC      CO   O    O    O    O    O
"""

V1: Final = """
        CE   DE   UEO  UER  UEU  UC
NONE    CW   W    W    W    W    W
CE      CWK  W    W    W    W    W
DE      CK   O    W    W    W    W
UEO     CK   K    O    WO   WO   WO
UER     CK   K    O    O    WO   WO
UEU     CK   K    O    O    O    WO
UC      CK   K    O    O    O    O
"""


class Cell(NamedTuple):
    """One cell as an action."""

    overwrite: bool = False  # the new syndrome replaces the old one
    overflow: bool = False  # STATUS.OF := 1
    counts: bool = False  # the corrected error counter counts it; STATUS.OF := 1 when it wraps
    overwrite_by_ceo: bool = False  # FR.CEO decides: 0 keep, 1 overwrite unless OF was already 1


CELLS: Final[dict[str, Cell]] = {
    "W": Cell(overwrite=True),  # v1: OF unchanged, our choice
    "O": Cell(overflow=True),
    "WO": Cell(overwrite=True, overflow=True),
    "K": Cell(),  # v1: OF unchanged, our choice
    "CW": Cell(overwrite=True, counts=True),  # v1: OF set on wrap, our choice
    "CWO": Cell(counts=True, overwrite_by_ceo=True),
    "CO": Cell(counts=True),
    "CWK": Cell(counts=True, overwrite_by_ceo=True),
    "CK": Cell(counts=True),  # v1: OF set on wrap, our choice
}
# What stands in for these cells where the RAS node has no counter; v1: OF set, our choice.
WITHOUT_COUNTER: Final = {"CW": "W", "CWO": "O", "CO": "O", "CWK": "O", "CK": "O"}

Table = tuple[tuple[Cell, ...], ...]  # [held][new - 1]


def _compiled(text: str) -> tuple[Table, Table]:
    """The table for a RAS node without a counter, and for one with."""
    lines = [line.split() for line in text.split("\n") if line.strip()]
    assert lines[0] == [state.name for state in COLUMNS], "columns of the table"
    assert [row[0] for row in lines[1:]] == [state.name for state in ErrorState], "rows of the table"
    rows = [row[1:] for row in lines[1:]]
    without = tuple(tuple(CELLS[WITHOUT_COUNTER.get(name, name)] for name in row) for row in rows)
    return without, tuple(tuple(CELLS[name] for name in row) for row in rows)


# [record format][whether the RAS node has a counter]
TABLES: Final = {RecordFormat.V1P1: _compiled(V1P1), RecordFormat.V1: _compiled(V1)}
