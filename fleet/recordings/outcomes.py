"""What the model did about each error: its events from the log, told in the words of a recording."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fleet.codec import decode_event
from fleet.log.files import FileLog
from fleet.recordings.model import Outcome, OutcomeKind, RecordedHost
from nodes import events as e
from nodes.ledger import Account
from nodes.linux.memory_failure import PAGE_TYPE_TEXT, ActionResult

NOT_READ: Final = -1


@dataclass(slots=True)
class Modelled:
    """What came of one error in the model."""

    block: bytes = b""  # as firmware presented it; empty: it presented none
    severity: int = NOT_READ  # of the record that the kernel read
    printed: bool = False  # whether the kernel printed it, as far as its limits allow
    outcomes: list[Outcome] = field(default_factory=list)


def outcomes_of(log: FileLog, hosts: Sequence[RecordedHost]) -> dict[str, list[Modelled]]:
    """What came of each error that was put through, by host and in its order. Raises CorruptLog."""
    times = {host.name: [error.at_ns for error in host.errors if not error.skipped] for host in hosts}
    modelled = {name: [Modelled() for _ in at] for name, at in times.items()}
    for event in _events(log):
        at = bisect_right(times.get(event.host, ()), event.time_ns) - 1
        if at >= 0:
            _add(modelled[event.host][at], event)
    return modelled


def _events(log: FileLog) -> Iterator[e.Event]:
    for topic in (e.CPER, e.OUTCOME):
        for partition in range(log.manifest.partitions):
            for entry in log.read(topic, partition):
                event = decode_event(entry.value)
                if isinstance(event, e.Event):
                    yield event


def _add(modelled: Modelled, event: e.Event) -> None:
    match event:
        case e.StatusBlockWritten():
            modelled.block = event.block
        case e.RecordRead():
            modelled.severity = event.severity
        case e.RecordLogged():
            modelled.printed = bool(event.printed)
        case _ if type(event) in _TOLD:
            modelled.outcomes.append(_TOLD[type(event)](event))
        case _:
            pass


def _offlined(event: e.PageOfflined) -> Outcome:
    kind = OutcomeKind.SOFT_OFFLINED if event.soft else OutcomeKind.OFFLINED
    result = ActionResult(event.result).name.capitalize()
    says = f"{kind.value.replace('page', f'page {event.pfn:#x}')}: {PAGE_TYPE_TEXT[event.page_type]}: {result}"
    return Outcome(kind, event.pfn, result, says)


def _signalled(event: e.SignalSent) -> Outcome:
    signal, code = e.Signal(event.signal).name, e.SignalCode(event.code).name
    return Outcome(OutcomeKind.SIGNAL, 0, signal, f"{signal} {code} to a task")


def _recovering(event: e.PcieRecoveryQueued) -> Outcome:
    return Outcome(OutcomeKind.RECOVERING, event.device, "", f"PCIe recovery of {device_text(event.device)}")


def _lost(event: e.RecordLost) -> Outcome:
    reason = Account(event.reason).name.lower().removeprefix("lost_").replace("_", " ")
    return Outcome(OutcomeKind.LOST, 0, reason, f"record lost: {reason}")


_TOLD: Final[Mapping[type[e.Event], Callable[[Any], Outcome]]] = {
    e.PageOfflined: _offlined,
    e.SignalSent: _signalled,
    e.PcieRecoveryQueued: _recovering,
    e.RecordLost: _lost,
    e.KernelPanicked: lambda event: Outcome(OutcomeKind.PANIC, 0, event.reason, f"panic: {event.reason}"),
    e.TaskKilled: lambda event: Outcome(OutcomeKind.OOPS, 0, "", f"oops: {event.reason}; what ran was killed"),
    e.SyndromeSwallowed: lambda event: Outcome(OutcomeKind.SWALLOWED, 0, "", f"ESR {event.esr:#x} swallowed"),
    e.HostReset: lambda event: Outcome(OutcomeKind.RESET, 0, event.reason, f"host reset: {event.reason}"),
}


def device_text(device: int) -> str:
    """A PCIe device as Linux writes it."""
    return f"{device >> 16:04x}:{device >> 8 & 0xFF:02x}:{device >> 3 & 0x1F:02x}.{device & 7:x}"
