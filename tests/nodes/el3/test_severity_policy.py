"""Which severity and flags an error state gets, by each policy."""

import pytest

from nodes.el3.severity_policy import TABLE, judged
from nodes.policy import SeverityPolicy
from nodes.spec.err import ErrStatus
from nodes.spec.severity import ErrorState

RECOVERABLE, FATAL, CORRECTED, INFORMATIONAL = range(4)
CONTAINMENT, THRESHOLD, LATENT, OVERFLOW = 0x02, 0x08, 0x20, 0x80
STRICT = {  # state: severity, flags, flags that STATUS.OF adds
    "NONE": (INFORMATIONAL, 0, 0),
    "CE": (CORRECTED, 0, THRESHOLD | OVERFLOW),
    "DE": (CORRECTED, LATENT, OVERFLOW),
    "UEO": (RECOVERABLE, 0, OVERFLOW),
    "UER": (RECOVERABLE, 0, OVERFLOW),
    "UEU": (FATAL, 0, OVERFLOW),
    "UC": (FATAL, CONTAINMENT, OVERFLOW),
}
NEOVERSE_RD = {
    "NONE": (RECOVERABLE, 0, 0),
    "CE": (CORRECTED, 0, OVERFLOW),
    "DE": (RECOVERABLE, LATENT, 0),
    "UEO": (RECOVERABLE, 0, 0),
    "UER": (RECOVERABLE, 0, 0),
    "UEU": (RECOVERABLE, 0, 0),
    "UC": (RECOVERABLE, 0, 0),
}


@pytest.mark.parametrize("state", ErrorState, ids=lambda state: state.name)
@pytest.mark.parametrize(("policy", "table"), [("strict", STRICT), ("neoverse_rd", NEOVERSE_RD)])
def test_the_policy_is_the_documents_column(policy, table, state):
    assert TABLE[SeverityPolicy(policy)][state] == table[state.name]


def test_arms_reference_code_never_emits_a_fatal_record():
    assert FATAL not in {severity for severity, _, _ in TABLE[SeverityPolicy.NEOVERSE_RD].values()}


@pytest.mark.parametrize(
    ("fields", "strict", "neoverse_rd"),
    [
        ({"UE": 1, "UET": 0}, "UC", "UC"),
        ({"UE": 1, "UET": 3, "DE": 1}, "UER", "DE"),
        ({"UE": 1, "UET": 1, "DE": 1, "CE": 2}, "UEU", "CE"),
        ({"DE": 1, "CE": 1}, "DE", "CE"),
        ({"CE": 3}, "CE", "CE"),
    ],
)
def test_arms_reference_code_looks_at_the_mildest_flag_first(fields, strict, neoverse_rd):
    status = ErrStatus.of(V=1, **fields)

    assert judged(status, SeverityPolicy.STRICT).name == strict
    assert judged(status, SeverityPolicy.NEOVERSE_RD).name == neoverse_rd
