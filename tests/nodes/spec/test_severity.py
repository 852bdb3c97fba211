"""The scales of badness and the ways between them."""

import pytest

from nodes.spec.severity import (
    STATE_OF_UET,
    UET_OF,
    Aet,
    ErrorState,
    GhesSeverity,
    Set,
    Severity,
    Uet,
    ghes_severity,
)


@pytest.mark.parametrize(
    ("severity", "place"),
    [
        (Severity.INFORMATIONAL, GhesSeverity.NO),
        (Severity.CORRECTED, GhesSeverity.CORRECTED),
        (Severity.RECOVERABLE, GhesSeverity.RECOVERABLE),
        (Severity.FATAL, GhesSeverity.PANIC),
    ],
)
def test_linux_orders_severities_by_their_badness(severity, place):
    assert ghes_severity(severity) is place


@pytest.mark.parametrize("unknown", [4, 255, 0xFFFF_FFFF])
def test_an_unknown_severity_panics_like_a_fatal_one(unknown):
    assert ghes_severity(unknown) is GhesSeverity.PANIC


def test_the_two_ways_between_state_and_uet_agree():
    assert [STATE_OF_UET[uet] for uet in UET_OF.values()] == list(UET_OF)


def test_a_later_state_overwrites_an_earlier_one():
    assert ErrorState.UC > ErrorState.UEU > ErrorState.UER > ErrorState.UEO > ErrorState.DE > ErrorState.CE


def test_the_same_name_is_another_number_on_another_scale():
    assert (Aet.UER, Set.UER, Uet.UER) == (3, 0, 3)
    assert (Aet.UEO, Set.UEO, Uet.UEO) == (2, 3, 2)
    assert "UEU" not in Set.__members__
