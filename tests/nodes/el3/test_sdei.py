"""The SDEI dispatcher: every transition of its state machine, every refusal, nesting."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.el3.sdei import MEMORY_EVENT, PCIE_EVENT, PLATFORM_EVENTS, PROCESSOR_EVENT, Dispatcher
from nodes.events import Refusal

EVENT = PCIE_EVENT  # a normal one
WAYS = {  # state (registered 1, enabled 2, running 4): calls that lead there
    0: (),
    1: ("register",),
    3: ("register", "enable"),
    7: ("register", "enable", "dispatch"),
    5: ("register", "enable", "dispatch", "disable"),
    4: ("register", "enable", "dispatch", "unregister"),
}
TRANSITIONS = {  # call: state before -> state after; what is missing is refused and changes nothing
    "register": {0: 1},
    "enable": {1: 3, 3: 3, 5: 7, 7: 7},
    "disable": {1: 1, 3: 1, 5: 5, 7: 5},
    "unregister": {1: 0, 3: 0, 5: 4, 7: 4},
    "dispatch": {3: 7},
    "complete": {7: 3, 5: 1, 4: 0},
}
UNANSWERED = {"complete"}  # only a running handler can make this call
PENDING = {("unregister", 5), ("unregister", 7)}  # done when the handler completes


def unmasked():
    dispatcher = Dispatcher()
    dispatcher.masked = False
    return dispatcher


def booted():
    dispatcher = Dispatcher()
    dispatcher.boot()
    return dispatcher


def called(dispatcher, call, event=EVENT):
    answer = getattr(dispatcher, call)(*(() if call == "complete" else (event,)))
    return answer is None if call == "dispatch" else answer


def in_state(state):
    dispatcher = unmasked()
    for call in WAYS[state]:
        called(dispatcher, call)
    assert dispatcher.state(EVENT) == state
    return dispatcher


@pytest.mark.parametrize("state", WAYS)
@pytest.mark.parametrize("call", TRANSITIONS)
def test_every_call_in_every_state_does_what_the_state_machine_says(call, state):
    if call in UNANSWERED and state not in TRANSITIONS[call]:
        return
    dispatcher = in_state(state)

    answer = called(dispatcher, call)

    assert dispatcher.state(EVENT) == TRANSITIONS[call].get(state, state)
    assert bool(answer) is (state in TRANSITIONS[call] and (call, state) not in PENDING)


@pytest.mark.parametrize(
    ("state", "refusal"),
    [
        (0, Refusal.NOT_REGISTERED),
        (1, Refusal.NOT_ENABLED),
        (3, None),
    ],
)
def test_only_a_registered_and_enabled_handler_is_dispatched(state, refusal):
    assert in_state(state).dispatch(EVENT) is refusal


@pytest.mark.parametrize("masked", ["the PE", "everything until boot"])
def test_nothing_is_dispatched_while_masked(masked):
    dispatcher = booted() if masked == "the PE" else Dispatcher()

    assert dispatcher.dispatch(EVENT, pe_masked=masked == "the PE") is Refusal.PE_MASKED


@pytest.mark.parametrize("event", [0, 803, 807])
def test_what_is_not_mapped_can_be_neither_dispatched_nor_registered(event):
    dispatcher = booted()

    assert dispatcher.dispatch(event) is Refusal.NOT_MAPPED
    assert not dispatcher.register(event)


def test_a_critical_event_interrupts_a_normal_one_and_they_complete_in_reverse():
    dispatcher = booted()

    assert dispatcher.dispatch(PCIE_EVENT) is None
    assert dispatcher.dispatch(MEMORY_EVENT) is None
    assert (dispatcher.complete(), dispatcher.complete()) == (MEMORY_EVENT, PCIE_EVENT)


@pytest.mark.parametrize("event", [PCIE_EVENT, PROCESSOR_EVENT, MEMORY_EVENT])
def test_nothing_interrupts_a_critical_event(event):
    dispatcher = booted()
    dispatcher.dispatch(MEMORY_EVENT)

    assert dispatcher.dispatch(event) is Refusal.CRITICAL_OUTSTANDING


def test_a_normal_event_does_not_interrupt_a_normal_one():
    dispatcher = booted()
    dispatcher.dispatch(PCIE_EVENT)

    assert dispatcher.dispatch(PCIE_EVENT) is Refusal.NORMAL_RUNNING


def test_a_boot_registers_enables_and_unmasks_and_a_reset_undoes_it():
    dispatcher = booted()
    assert [dispatcher.state(event) for event in PLATFORM_EVENTS] == [3, 3, 3]

    dispatcher.reset()

    assert [dispatcher.state(event) for event in PLATFORM_EVENTS] == [0, 0, 0]
    assert dispatcher.masked


def test_what_one_host_changes_leaves_others_as_they_booted():
    changed, other = booted(), booted()

    changed.unregister(EVENT)

    assert (changed.state(EVENT), other.state(EVENT)) == (0, 3)


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(TRANSITIONS)), st.sampled_from(sorted(PLATFORM_EVENTS))), max_size=30
    )
)
def test_no_sequence_of_calls_leaves_the_six_states_or_nests_deeper_than_two(calls):
    dispatcher = unmasked()

    for call, event in calls:
        if call != "complete" or dispatcher.running:
            called(dispatcher, call, event)

        assert {dispatcher.state(event) for event in PLATFORM_EVENTS} <= set(WAYS)
        assert len(dispatcher.running.get(0, ())) <= 2


def test_a_pe_is_not_in_the_way_of_another():
    dispatcher = booted()
    for pe in (0, 1):
        assert dispatcher.dispatch(MEMORY_EVENT, pe) is None

    assert dispatcher.dispatch(PROCESSOR_EVENT, 1) is Refusal.CRITICAL_OUTSTANDING
    assert dispatcher.complete(1) == MEMORY_EVENT
    assert dispatcher.dispatch(PROCESSOR_EVENT, 1) is None
    assert dispatcher.running == {0: (MEMORY_EVENT,), 1: (PROCESSOR_EVENT,)}


@pytest.mark.parametrize("state", WAYS)
def test_only_a_dispatcher_that_nothing_was_done_to_is_as_booted(state):
    assert booted().as_booted()

    dispatcher = booted()
    dispatcher.reset()
    dispatcher.masked = False
    for call in WAYS[state]:
        called(dispatcher, call)
    assert not dispatcher.as_booted()
    dispatcher.boot()
    assert dispatcher.as_booted()
