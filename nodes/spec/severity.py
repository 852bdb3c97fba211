"""The four scales on which an error's badness is told, kept apart.

The same four-letter names stand for different numbers on each scale, and "severity" is a word of UEFI and
ACPI alone; what a RAS node or a PE reports is an error state.

Sources: IHI0100 A.c 2.4 and table 2-1 (ERR<n>STATUS.UET, priority); DDI0487 D24 (ESR_ELx AET and SET); UEFI
2.11 appendix N.2.2; Linux drivers/acpi/apei/ghes.c ghes_severity().
"""

from enum import IntEnum


class Uet(IntEnum):
    """ERR<n>STATUS.UET: state of the component after an uncorrected error."""

    UC = 0b00  # uncontainable: may have spread
    UEU = 0b01  # unrecoverable: contained, the component cannot go on
    UEO = 0b10  # restartable or latent: contained and not consumed
    UER = 0b11  # recoverable or signaled: contained, goes on after repair


class Aet(IntEnum):
    """ESR_ELx.AET: state of the PE when it takes an SError; 4, 5 and 7 are reserved."""

    UC = 0b000
    UEU = 0b001
    UEO = 0b010
    UER = 0b011
    CE = 0b110


class Set(IntEnum):
    """ESR_ELx.SET: state of the PE when it takes a synchronous external abort; 1 is reserved.

    There is no code for UEU: a synchronous UEU is reported as UC.
    """

    UER = 0b00
    UC = 0b10
    UEO = 0b11


class Severity(IntEnum):
    """Severity of CPER records and sections, status blocks and data entries. 0 is not "none"."""

    RECOVERABLE = 0
    FATAL = 1
    CORRECTED = 2
    INFORMATIONAL = 3


class GhesSeverity(IntEnum):
    """The order that Linux puts severities in; anything unknown is PANIC."""

    NO = 0
    CORRECTED = 1
    RECOVERABLE = 2
    PANIC = 3


class ErrorState(IntEnum):
    """What an error record holds, in the order of IHI0100 table 2-1: a later state overwrites an earlier one.

    The order is not the numeric order of UET.
    """

    NONE = 0
    CE = 1
    DE = 2
    UEO = 3
    UER = 4
    UEU = 5
    UC = 6


UET_OF = {
    ErrorState.UC: Uet.UC,
    ErrorState.UEU: Uet.UEU,
    ErrorState.UEO: Uet.UEO,
    ErrorState.UER: Uet.UER,
}
STATE_OF_UET = (ErrorState.UC, ErrorState.UEU, ErrorState.UEO, ErrorState.UER)  # index: UET

_GHES_SEVERITY = (  # index: CPER severity
    GhesSeverity.RECOVERABLE,
    GhesSeverity.PANIC,
    GhesSeverity.CORRECTED,
    GhesSeverity.NO,
)


def ghes_severity(severity: int) -> GhesSeverity:
    """Linux's place of a CPER severity; an unknown one panics like a fatal one."""
    return _GHES_SEVERITY[severity] if severity < 4 else GhesSeverity.PANIC
