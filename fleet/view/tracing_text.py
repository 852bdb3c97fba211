"""A trace as lines: a step for each event, its registers decoded, its block as Linux prints it."""

from collections.abc import Hashable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any, Final, NamedTuple

from fleet.decode.registers import PLAIN, addr_view, misc0_view, status_view
from fleet.decode.syndromes import disr_view, esr_view, vdisr_view, vsesr_view
from fleet.decode.view import Row, View
from fleet.view.outcome import signal_object
from fleet.view.present import fields_of, guest_of, hex_of, level_of, registers_of
from fleet.view.report import ledger_rows
from fleet.view.tracing import Traced
from nodes.events import ErrorRecorded, Event, PageOfflined, StatusBlockWritten
from nodes.hardware.ras_nodes import model_of
from nodes.linux.dmesg import dmesg
from nodes.linux.memory_failure import ActionResult, PageType, result_line
from nodes.policy import Kernel, Switches
from nodes.spec.err import ErrFr

CYCLES_SHOWN: Final = 3  # of equal ones in a row; the others are counted in one line
CYCLE_STEPS_MAX: Final = 40  # of a cycle that is looked for; a longer one is shown each time
_BLOCK_TIME: Final = " tstamp: "  # of a data entry, as Linux prints it
_NS_PER_US: Final = 1000
_LEVEL_WIDTH: Final = 15
_EVENT_WIDTH: Final = 21
_TIME_WIDTH: Final = 22
_INDENT: Final = " " * _TIME_WIDTH
_VIEWS: Final = {
    "ERR<n>STATUS": status_view,
    "ERR<n>ADDR": addr_view,
    "VSESR_EL2": vsesr_view,
    "DISR_EL1": disr_view,
    "VDISR_EL2": vdisr_view,
    "HCR_EL2": PLAIN["hcr"],
    "ISR_EL1": PLAIN["isr"],
}

_MISC0_FORMATS: Final = {0: "none", 2: "8", 4: "16"}  # ERR<n>FR.CEC -> format of the counters
_SAID: Final = frozenset({"state", "error code"})  # rows whose words stand below a register


def step_objects(traced: Traced) -> Iterator[dict[str, Any]]:
    """The steps as ``trace --json`` has them."""
    for number, event in enumerate(traced.events, 1):
        level = level_of(event)
        fields = fields_of(event)
        registers = registers_of(event)
        own = {name: value for name, value in fields.items() if name not in type(event).registers}
        own.pop("guest", None)
        yield {
            "step": number,
            "time_ns": event.time_ns,
            "level": None if level is None else level.name.lower(),
            "guest": guest_of(event),
            "event": type(event).__name__,
            "registers": {name: hex_of(value) for name, value in registers.items()},
            "fields": own,
        }


class Shown(NamedTuple):
    """What is printed of one step; of one that stands for others no details are."""

    line: str
    details: tuple[str, ...] = ()


def shown_steps(traced: Traced, switches: Switches) -> Iterator[Shown]:
    """Every step, but of equal cycles in a row only the first ones and how many follow."""
    events = traced.events
    steps = [Shown(step_line(event), tuple(details(event, switches))) for event in events]
    at = 0
    for cycle in cycles([_without_time(step) for step in steps]):
        yield from steps[at : cycle.first + CYCLES_SHOWN * cycle.size]
        at = cycle.first + cycle.times * cycle.size
        more = cycle.times - CYCLES_SHOWN
        times = "time" if more == 1 else "times"
        yield Shown(f"{_INDENT}... the same {more:,} more {times} until {_us(events[at - 1].time_ns)} us")
    yield from steps[at:]


def _without_time(step: Shown) -> Shown:
    return Shown(step.line[_TIME_WIDTH:], tuple(line for line in step.details if _BLOCK_TIME not in line))


class Cycle(NamedTuple):
    """Equal steps that come again and again."""

    first: int  # index of its first step
    size: int  # steps of one
    times: int


def cycles(keys: Sequence[Hashable]) -> Iterator[Cycle]:
    """Where more than CYCLES_SHOWN equal cycles follow on each other, in order; the shortest cycles first."""
    numbers: dict[Hashable, int] = {}
    row = [numbers.setdefault(key, len(numbers)) for key in keys]
    at = 0
    while at < len(row):
        for size in range(1, CYCLE_STEPS_MAX + 1):
            count = _count(row, at, size)
            if count > CYCLES_SHOWN:
                yield Cycle(at, size, count)
                at += count * size
                break
        else:
            at += 1


def _count(row: list[int], at: int, size: int) -> int:
    count = 1
    while row[at : at + size] == row[at + count * size : at + (count + 1) * size]:
        count += 1
    return count


def _us(time_ns: int) -> str:
    return f"{time_ns / _NS_PER_US:,.3f}"


def step_line(event: Event, *, alone: bool = True) -> str:
    """One step: level, event, fields. ``alone``: with its time, and its registers stand below; else beside it."""
    level = level_of(event)
    said = [
        f"{name}={_short(value)}"
        for name, value in fields_of(event).items()
        if name not in type(event).registers and value is not None and not _is_level(name)
    ]
    if not alone:
        said += [f"{name}={hex_of(value)}" for name, value in registers_of(event).items()]
    time = f"{_us(event.time_ns):>18} us " if alone else ""
    name = "" if level is None else level.name.lower()
    return f"{time}{name:{_LEVEL_WIDTH}}{type(event).__name__:{_EVENT_WIDTH}} {' '.join(said)}".rstrip()


def _is_level(name: str) -> bool:
    return name.endswith("by")


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{len(text) // 2} bytes"


def details(event: Event, switches: Switches) -> Iterator[str]:
    """What a step shows below its line: registers decoded, a block and the end of a page as Linux prints them."""
    for name, value in registers_of(event).items():
        yield from _register_lines(name, value, _view(event, name, value))
    if isinstance(event, StatusBlockWritten):
        kernel: Kernel = switches.kernel if event.guest < 0 else switches.guest_kernel
        for line in dmesg(event.block, kernel, source_id=event.source_id):
            yield f"{_INDENT}| {line}"
    if isinstance(event, PageOfflined) and not event.soft:
        yield f"{_INDENT}| {result_line(event.pfn, PageType(event.page_type), ActionResult(event.result))}"


def _register_lines(name: str, value: int, view: View | None) -> Iterator[str]:
    if view is None:
        yield f"{_INDENT}{name} {hex_of(value)}"
        return
    shown = [_field(row) for row in view.rows if "[" in row.name and row.value not in {"0", "0x0"}]
    yield f"{_INDENT}{name} {hex_of(value)}  {' '.join(shown)}".rstrip()
    for row in view.rows:
        if row.name in _SAID:
            yield f"{_INDENT}  {row.name}: {row.says}"


def _view(event: Event, name: str, value: int) -> View | None:
    if name.startswith("ESR_"):
        return esr_view(value)
    if isinstance(event, ErrorRecorded) and name == "ERR<n>MISC0":
        feature = ErrFr(model_of(event.ras_node).fr)
        return misc0_view(value, _MISC0_FORMATS[feature.CEC] + ("-pair" if feature.CEC and feature.RP else ""))
    decoder = _VIEWS.get(name)
    return None if decoder is None else decoder(value)


def _field(row: Row) -> str:
    name = row.name.strip().split(" ")[0]
    return f"{name}={row.value}" + (f" ({row.word})" if row.word else "")


def end_lines(traced: Traced) -> Iterator[str]:
    """How it ended."""
    end = traced.end
    yield f"host   {end.host_outcome.name.lower()}"
    yield f"guest  {end.guest_outcome.name.lower()}" + (f" (guest {traced.guest})" if traced.guest >= 0 else "")
    for event in end.signals:
        signal = signal_object(event)
        yield (
            f"signal {signal['signal']} {signal['code']} to the {signal['to']}"
            f" at {signal['address']}, lsb {signal['address_lsb']}"
        )
    yield f"{'ledger':40}{'host':>12}{'guests':>12}"
    for name, *counts in ledger_rows(traced.host.ledger()):
        yield f"  {name:38}" + "".join(f"{count:>12,}" for count in counts)


def side_by_side(left: list[str], right: list[str], width: int) -> Iterator[tuple[str, str, str]]:
    """Two columns of lines, aligned; the mark in between says where they differ."""
    matcher = SequenceMatcher(None, left, right, autojunk=False)
    for tag, a, b, x, y in matcher.get_opcodes():
        for index in range(max(b - a, y - x)):
            one = left[a + index] if a + index < b else ""
            two = right[x + index] if x + index < y else ""
            yield one[:width], " " if tag == "equal" else "|", two[:width]
