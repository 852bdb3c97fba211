"""The table of faults: one of each component and state, told in-band only where the architecture has a way."""

from itertools import product

import pytest

from nodes.hardware.fault import FAULT_INDEX, FAULTS, POISON_CONSUMED, Delivery
from nodes.hardware.ras_nodes import RasNodeKind, model_of
from nodes.spec.err import SERR_SAYS, ErrFr
from nodes.spec.severity import ErrorState

STATES = [state for state in ErrorState if state is not ErrorState.NONE]
every_fault = pytest.mark.parametrize("fault", [*FAULTS, POISON_CONSUMED], ids=lambda fault: fault.name)


def test_every_component_has_a_fault_of_every_state():
    assert [(fault.kind, fault.state) for fault in FAULTS] == list(product(RasNodeKind, STATES))


@every_fault
def test_a_fault_is_named_after_its_component_and_state(fault):
    if fault is not POISON_CONSUMED:
        assert fault.name == f"{fault.kind.name}-{fault.state.name}".lower()
        assert FAULTS[FAULT_INDEX[fault.name]] is fault


@every_fault
def test_what_is_corrected_or_deferred_is_not_told_in_band(fault):
    assert fault.delivery is Delivery.NONE or fault.state >= ErrorState.UEO


@every_fault
def test_an_unrecoverable_error_does_not_come_as_a_synchronous_abort(fault):
    assert not (fault.state is ErrorState.UEU and fault.delivery is Delivery.SEA)  # SET has no code for it


@every_fault
def test_only_a_ras_node_with_an_in_band_response_tells_in_band(fault):
    responds = ErrFr(model_of(fault.kind << 8).fr).UE != 0

    assert fault.delivery is Delivery.NONE or responds


@every_fault
def test_every_code_is_architected(fault):
    assert fault.serr in SERR_SAYS


def test_poison_is_what_comes_from_elsewhere():
    assert {fault.name for fault in FAULTS if fault.poison} == {"bus-de", "pcie-de"}
    assert POISON_CONSUMED.poison
