"""Forms of lines that kernels older than those modelled print, or that a copy of a log has lost something of.

A form is evidence of the kernel's age, and a reason why a line differs that is no difference in behaviour.

Sources: Linux drivers/firmware/efi/cper.c and cper-arm.c from 5.4 to 6.12; the lines of deploy/recorded.
"""

import re
from enum import Enum
from typing import Final


class Form(Enum):
    """How a line of a record differs from what a current kernel prints of the same bytes."""

    LOCATION = "older form: a blank after each colon of a memory location"
    STATUS = "older form: the error status is not put into words"
    TYPE = "older kernel: it reads the type byte as a number, current ones as a mask (UEFI 2.9A)"
    OPERATION = "older form: the operation does not say of which kind of error"
    ABORT = "older form: an abort has a line of its own before its signal or oops"
    AER = "6.1's form: no corrected AER status is printed"


OLDER: Final = {  # a pattern of the older form, and what the current kernel prints in its place
    Form.LOCATION: (
        re.compile(r"\b(node|card|module|rank|bank\w*|device|row|column|bit_position|\w+_id|chip_id): (?=\w)"),
        r"\1:",
    ),
    Form.STATUS: (re.compile(r"^error_status: .* \((0x[0-9a-f]{16})\)$"), r"error_status: \1"),
    Form.OPERATION: (re.compile(r"^(?:cache|TLB|bus) error, (?=operation type: )"), ""),
}


def canonical(text: str) -> str:
    """A line of a record without what differs between the forms."""
    line = text.strip(" ")
    for pattern, replacement in OLDER.values():
        line = pattern.sub(replacement, line)
    return " ".join(line.split(" "))
