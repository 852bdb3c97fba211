"""SDEI: the dispatcher of software delegated exceptions in EL3.

An event's handler state is three bits: registered, enabled, running. A critical event may interrupt a normal one,
nothing else nests.

Sources: Arm DEN0054 (states, priorities); TF-A services/std_svc/sdei (sdei_intr_mgmt.c sdei_dispatch_event(),
sdei_state.c); the flow description A6.
"""

from typing import Final

from nodes.events import Refusal

REGISTERED: Final = 1
ENABLED: Final = 2
RUNNING: Final = 4
READY: Final = REGISTERED | ENABLED
NESTING_MAX: Final = 2  # a critical event over a normal one

# Explicit events of the platform; Neoverse RD uses 804 and 805. Value: whether the event is critical.
MEMORY_EVENT: Final = 804
PROCESSOR_EVENT: Final = 805
PCIE_EVENT: Final = 806
PLATFORM_EVENTS: Final = {MEMORY_EVENT: True, PROCESSOR_EVENT: True, PCIE_EVENT: False}


class Dispatcher:
    """Handler states and the stack of running events of one PE."""

    __slots__ = ("masked", "running", "states")

    def __init__(self) -> None:
        self.states = dict.fromkeys(PLATFORM_EVENTS, 0)
        self.running: list[int] = []  # outermost first
        self.masked = True  # until the operating system unmasks the PE

    def register(self, event: int) -> bool:
        """0 to registered; False when it was registered or does not exist."""
        if self.states.get(event, REGISTERED) != 0:
            return False
        self.states[event] = REGISTERED
        return True

    def enable(self, event: int) -> bool:
        """1 to 3, and 5 to 7; False when it is not registered."""
        if not self.states.get(event, 0) & REGISTERED:
            return False
        self.states[event] |= ENABLED
        return True

    def disable(self, event: int) -> bool:
        """3 to 1, and 7 to 5: a running handler is not stopped."""
        if not self.states.get(event, 0) & REGISTERED:
            return False
        self.states[event] &= ~ENABLED
        return True

    def unregister(self, event: int) -> bool:
        """1 and 3 to 0; a running handler stays (7 to 4) and the call reports it as pending: False."""
        if not self.states.get(event, 0) & REGISTERED:
            return False
        self.states[event] &= RUNNING
        return not self.states[event]

    def dispatch(self, event: int, *, pe_masked: bool = False) -> Refusal | None:
        """Explicit dispatch: None when the handler runs now, else why not."""
        if self.masked or pe_masked:
            return Refusal.PE_MASKED
        if event not in PLATFORM_EVENTS:
            return Refusal.NOT_MAPPED
        if any(PLATFORM_EVENTS[running] for running in self.running):
            return Refusal.CRITICAL_OUTSTANDING
        if self.running and not PLATFORM_EVENTS[event]:
            return Refusal.NORMAL_RUNNING
        state = self.states[event]
        if state != READY:
            return Refusal.NOT_ENABLED if state & REGISTERED else Refusal.NOT_REGISTERED
        self.states[event] |= RUNNING
        self.running.append(event)
        assert len(self.running) <= NESTING_MAX, f"SDEI events nested: {self.running}"
        return None

    def complete(self) -> int:
        """The innermost handler completes: 7 to 3, 5 to 1, 4 to 0. Returns its event."""
        event = self.running.pop()
        self.states[event] &= ~RUNNING
        return event

    def boot(self) -> None:
        """An operating system boots: it registers and enables every event and unmasks the PE."""
        self.running.clear()
        self.masked = False
        for event in self.states:
            self.states[event] = READY

    def reset(self) -> None:
        """No operating system runs."""
        self.running.clear()
        self.masked = True
        for event in self.states:
            self.states[event] = 0
