"""SDEI: the dispatcher of software delegated exceptions in EL3.

An event's handler state is three bits: registered, enabled, running. A critical event may interrupt a normal one,
nothing else nests. The platform's events are private: each PE has its own running handlers. The operating system
registers and enables them on every PE alike, so here these two bits are kept once.

Sources: Arm DEN0054 (states, priorities); TF-A services/std_svc/sdei (sdei_intr_mgmt.c sdei_dispatch_event(),
sdei_state.c), include/services/sdei.h (explicit events are private); the flow description A6.
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


_BOOTED: Final = dict.fromkeys(PLATFORM_EVENTS, READY)  # shared until somebody changes a state
_NONE: Final = dict.fromkeys(PLATFORM_EVENTS, 0)
_NOTHING_RUNS: Final[dict[int, tuple[int, ...]]] = {}  # shared, never changed in place


class Dispatcher:
    """Handler states, and each PE's stack of running events."""

    __slots__ = ("_handlers", "masked", "running")

    def __init__(self) -> None:
        self._handlers = _NONE  # event -> REGISTERED and ENABLED; never changed in place
        self.running = _NOTHING_RUNS  # PE -> events, outermost first
        self.masked = True  # until the operating system unmasks the PEs

    def _runs(self, event: int) -> bool:
        return any(event in events for events in self.running.values())

    def state(self, event: int) -> int:
        """The three bits of an event's handler; 0 for one that does not exist."""
        return self._handlers.get(event, 0) | (RUNNING if self._runs(event) else 0)

    def _set(self, event: int, state: int) -> None:
        self._handlers = {**self._handlers, event: state}

    def register(self, event: int) -> bool:
        """0 to registered; False when it was registered, still runs or does not exist."""
        if event not in PLATFORM_EVENTS or self.state(event):
            return False
        self._set(event, REGISTERED)
        return True

    def enable(self, event: int) -> bool:
        """1 to 3, and 5 to 7; False when it is not registered."""
        if not self.state(event) & REGISTERED:
            return False
        self._set(event, READY)
        return True

    def disable(self, event: int) -> bool:
        """3 to 1, and 7 to 5: a running handler is not stopped."""
        if not self.state(event) & REGISTERED:
            return False
        self._set(event, REGISTERED)
        return True

    def unregister(self, event: int) -> bool:
        """1 and 3 to 0; a running handler stays (7 to 4) and the call reports it as pending: False."""
        if not self.state(event) & REGISTERED:
            return False
        self._set(event, 0)
        return not self._runs(event)

    def dispatch(self, event: int, pe: int = 0, *, pe_masked: bool = False) -> Refusal | None:
        """Explicit dispatch on a PE: None when the handler runs there now, else why not."""
        if self.masked or pe_masked:
            return Refusal.PE_MASKED
        if event not in PLATFORM_EVENTS:
            return Refusal.NOT_MAPPED
        here = self.running.get(pe, ())
        if here and any(PLATFORM_EVENTS[running] for running in here):
            return Refusal.CRITICAL_OUTSTANDING
        if here and not PLATFORM_EVENTS[event]:
            return Refusal.NORMAL_RUNNING
        state = self._handlers[event]
        if state != READY:
            return Refusal.NOT_ENABLED if state & REGISTERED else Refusal.NOT_REGISTERED
        assert len(here) < NESTING_MAX, f"SDEI events nested: {here}"
        self.running = {**self.running, pe: (*here, event)}
        return None

    def complete(self, pe: int = 0) -> int:
        """The innermost handler of a PE completes: 7 to 3, 5 to 1, 4 to 0. Returns its event."""
        *outer, event = self.running[pe]
        self.running = {other: events for other, events in self.running.items() if other != pe} or _NOTHING_RUNS
        if outer:
            self.running = {**self.running, pe: tuple(outer)}
        return event

    def boot(self) -> None:
        """An operating system boots: it registers and enables every event and unmasks the PE."""
        self.running = _NOTHING_RUNS
        self.masked = False
        self._handlers = _BOOTED

    def as_booted(self) -> bool:
        """Whether it is as an operating system leaves it when it boots."""
        return not self.masked and not self.running and self._handlers == _BOOTED

    def reset(self) -> None:
        """No operating system runs."""
        self.running = _NOTHING_RUNS
        self.masked = True
        self._handlers = _NONE
