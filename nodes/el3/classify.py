"""TF-A's test for uncontainable errors, in both versions.

The old rule (assembly, until October 2025) skips an SError with IDS and asks AET and DFSC, or for an abort SET and
FSC. The new one (commit 14320bce3) tests the bit number 24 as a mask in place of bit 24, which lets IDS through,
and joins SET and FSC by "or", so that every plain abort with FSC 0x10 counts as uncontainable; it looks like a
regression.

Sources: TF-A bl31/aarch64/ea_delegate.S at b56dc2a98; bl31 C rewrite at 14320bce3, still so in 6a164dda.
"""

from typing import Final

from nodes.policy import Tfa
from nodes.spec.aarch64 import LOWER_ABORT_CLASSES, ExceptionClass
from nodes.spec.severity import Aet, Set
from nodes.spec.syndrome import AET_SHIFT, DFSC_MASK, DFSC_SERROR, FSC_SEA, IDS, EsrAbort, exception_class

_IDS_BIT_NUMBER: Final = 24  # used as a mask by the new rule


def _aet_uncontainable(esr: int) -> bool:
    return esr & DFSC_MASK == DFSC_SERROR and esr >> AET_SHIFT & 7 == Aet.UC


def uncontainable(esr: int, tfa: Tfa) -> bool:
    """Whether EL3 stops the system for this syndrome without asking any handler."""
    ec = exception_class(esr)
    if ec == ExceptionClass.SERROR:
        if tfa is Tfa.OLD:
            return not esr & IDS and _aet_uncontainable(esr)
        return bool(esr & _IDS_BIT_NUMBER) and _aet_uncontainable(esr)
    if ec not in LOWER_ABORT_CLASSES:
        return False
    set_is_uc = (esr & EsrAbort.SET.mask) >> EsrAbort.SET.lsb == Set.UC
    plain = esr & DFSC_MASK == FSC_SEA
    return set_is_uc and plain if tfa is Tfa.OLD else set_is_uc or plain
