"""Why EL3 stopped the system, and what TF-A prints then.

Sources: TF-A bl31/aarch64/ea_delegate.S, runtime_exceptions.S, lib/extensions/ras/ras_common.c.
"""

from enum import IntEnum
from typing import Final


class Reason(IntEnum):
    """Why EL3 stopped the system."""

    UNCONTAINABLE = 0
    DOUBLE_FAULT = 1
    ABORT_AT_EL3 = 2
    SYNCHRONOUS_ABORT_AT_EL3 = 3
    UNHANDLED_ABORT = 4
    NO_PROBE = 5
    REPLAYED_TOO_OFTEN = 6


REASON_TEXT: Final = (  # index: Reason
    "plat_handle_uncontainable_ea: uncontainable error",
    "plat_handle_double_fault: double fault",
    "plat_handle_el3_ea: SError at EL3",
    "plat_report_unhandled_exception: synchronous abort at EL3",
    "Unhandled External Abort",
    "assertion: info->probe != NULL",
    "panic: SError reflected too often",
)
