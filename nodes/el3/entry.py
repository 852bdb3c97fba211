"""What EL3 keeps of an exception that it took, until it returns from it."""

from typing import NamedTuple

from nodes.apei.source import ErrorSource
from nodes.spec.aarch64 import ABORT_CLASSES
from nodes.spec.syndrome import exception_class


class Entry(NamedTuple):
    """An exception that a PE took to EL3, until EL3 returns from it."""

    esr: int  # ESR_EL3 of what is being handled; 0: SMC
    far: int
    guest: int  # what ran
    el: int
    masked: bool
    waiting_esr: int = 0  # of the abort that goes on when the nested SError is handled; 0: none
    to_notify: tuple[ErrorSource, ...] = ()  # sources that were written before that abort went on
    repeats: int = 0  # how often EL3 went back to this exception and it came again


def is_abort(esr: int) -> bool:
    """Whether a syndrome is that of a synchronous abort."""
    return exception_class(esr) in ABORT_CLASSES
