"""When a RAS node interrupts: fault handling, error recovery, critical error, in the level-sensitive form.

Sources: IHI0100 A.c 2.5.1 (conditions), 3.2.27 (which of ERR<n>FR's values brings which control).
"""

from functools import lru_cache
from typing import Final

from nodes.hardware.ras_nodes import Lines
from nodes.spec.err import CI, DE, UE, ErrCtlr, ErrFr

_TYPES: Final = UE | DE | CI  # what the conditions look at in a valid STATUS
_ANSWERS_MAX: Final = 4096  # kept; the conditions of another combination are looked at again


def asserted(status: int, fr: int, ctlr: int, *, event: bool) -> int:
    """The outputs (Lines as a mask) for a valid STATUS; ``event``: there is a corrected error event."""
    return _asserted(status & _TYPES, fr, ctlr, event=event)


@lru_cache(_ANSWERS_MAX)
def _asserted(status: int, fr: int, ctlr: int, *, event: bool) -> int:
    lines = 0
    if _exists(fr, ErrFr.FI.lsb) and _fault_handling(status, fr, ctlr, event=event):
        lines |= Lines.FHI
    if _exists(fr, ErrFr.UI.lsb):  # DUI and CRI need it
        if status & UE and is_on(fr, ErrFr.UI.lsb, ctlr & ErrCtlr.UI.mask):
            lines |= Lines.ERI
        if status & DE and _exists(fr, ErrFr.DUI.lsb) and ctlr & ErrCtlr.DUI.mask:
            lines |= Lines.ERI
        if status & CI and is_on(fr, ErrFr.CI.lsb, ctlr & ErrCtlr.CI.mask):
            lines |= Lines.CRI
    return lines


def _fault_handling(status: int, fr: int, ctlr: int, *, event: bool) -> bool:
    on_uncorrected = is_on(fr, ErrFr.FI.lsb, ctlr & ErrCtlr.FI.mask)
    on_deferred = on_uncorrected
    if _exists(fr, ErrFr.DFI.lsb):
        on_deferred = bool(ctlr & ErrCtlr.DFI.mask) != on_uncorrected
    on_corrected = on_deferred
    if _exists(fr, ErrFr.CFI.lsb):
        on_corrected = bool(ctlr & ErrCtlr.CFI.mask)
    return bool(status & UE and on_uncorrected or status & DE and on_deferred or event and on_corrected)


def _exists(fr: int, lsb: int) -> bool:
    """Whether a two-bit feature of FR is there at all."""
    return bool(fr >> lsb & 3)


def is_on(fr: int, lsb: int, control: int) -> bool:
    """A feature that is always on (1), controlled (2 and 3) or not there (0)."""
    feature = fr >> lsb & 3
    return feature == 1 or feature >= 2 and bool(control)
