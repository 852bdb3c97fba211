"""Which severity and which flags EL3 gives an error: platform policy, not architecture.

Sources: the severity column of the error record notes (what platforms usually generate), and Arm's reference
StandaloneMM driver of Neoverse RD (CpuMm.c), which never emits a fatal record. CPER severities and flags: UEFI
2.11 appendix N.2.2.
"""

from typing import Final

from nodes.policy import SeverityPolicy
from nodes.spec.err import CE, DE, error_state
from nodes.spec.severity import ErrorState, Severity
from nodes.spec.status_block import SectionFlag

_NO_FLAG: Final = 0
_COUNTED: Final = int(SectionFlag.ERROR_THRESHOLD_EXCEEDED)  # a corrected error whose counter wrapped
_LATENT: Final = int(SectionFlag.LATENT_ERROR)  # poison is stored and was not consumed
_CONTAINMENT: Final = int(SectionFlag.CONTAINMENT_WARNING)  # the error may have spread
_OVERFLOW: Final = int(SectionFlag.OVERFLOW)  # STATUS.OF: there were more errors than the record could hold

#                         severity               flags                     when STATUS.OF is 1, also
_STRICT: Final = {
    ErrorState.NONE: (Severity.INFORMATIONAL, _NO_FLAG, _NO_FLAG),  # V alone: v1 lets software clear the rest
    ErrorState.CE: (Severity.CORRECTED, _NO_FLAG, _COUNTED | _OVERFLOW),
    ErrorState.DE: (Severity.CORRECTED, _LATENT, _OVERFLOW),
    ErrorState.UEO: (Severity.RECOVERABLE, _NO_FLAG, _OVERFLOW),
    ErrorState.UER: (Severity.RECOVERABLE, _NO_FLAG, _OVERFLOW),
    ErrorState.UEU: (Severity.FATAL, _NO_FLAG, _OVERFLOW),
    ErrorState.UC: (Severity.FATAL, _CONTAINMENT, _OVERFLOW),
}
_NEOVERSE_RD: Final = {
    ErrorState.NONE: (Severity.RECOVERABLE, _NO_FLAG, _NO_FLAG),
    ErrorState.CE: (Severity.CORRECTED, _NO_FLAG, _OVERFLOW),
    ErrorState.DE: (Severity.RECOVERABLE, _LATENT, _NO_FLAG),
    ErrorState.UEO: (Severity.RECOVERABLE, _NO_FLAG, _NO_FLAG),
    ErrorState.UER: (Severity.RECOVERABLE, _NO_FLAG, _NO_FLAG),
    ErrorState.UEU: (Severity.RECOVERABLE, _NO_FLAG, _NO_FLAG),
    ErrorState.UC: (Severity.RECOVERABLE, _NO_FLAG, _NO_FLAG),
}
TABLE: Final = {SeverityPolicy.STRICT: _STRICT, SeverityPolicy.NEOVERSE_RD: _NEOVERSE_RD}


def judged(status: int, policy: SeverityPolicy) -> ErrorState:
    """The row that a record's status is given.

    Arm's reference driver looks at STATUS.CE first and then at DE, whatever worse error stands there with them.
    """
    if policy is SeverityPolicy.NEOVERSE_RD and status & (CE | DE):
        return ErrorState.CE if status & CE else ErrorState.DE
    return error_state(status)
