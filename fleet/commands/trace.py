"""``rasfleet trace``: one fault through one host, level by level."""

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict, Unpack

import click

if TYPE_CHECKING:
    from fleet.view.tracing import Traced
    from nodes.policy import Switches

USAGE: Final = 2
COLUMNS_MAX: Final = 400  # of --compare where there is no terminal
GUEST_MAX: Final = 63

HELP: Final = """Send one fault through one host, and show what each level does, in order.

FAULT is a name (--list), or raw, starting at the level it names, without EL3:

\b
esr:0xbe000411        an SError taken by the host's kernel
guest-esr:0xbe000411  a physical SError taken to EL2 while the guest runs
vserror:0x411         an ISS that user space sets for the guest; a refused one exits with 2
block:FILE            a status block that firmware presents to the host's kernel; - reads standard input

After a block a task of the guest that owns a lost page touches it, unless the guest ran into it already.
"""


class Given(TypedDict):
    """The options of the command line."""

    address: int | None
    guest: int | None
    at: str
    masked: bool
    settings: tuple[tuple[str, str], ...]
    compare: tuple[str, tuple[str, str]] | None
    listed: bool
    as_json: bool


class Number(click.ParamType):  # type: ignore[type-arg]  # generic only in later versions
    """A number, hex with 0x."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number. Fails for what is none."""
        try:
            number = int(str(value), 0)
        except ValueError:
            number = -1
        if not 0 <= number < 1 << 56:
            self.fail(f"{value!r}: expected an address below 2^56, such as 0x80001000", param, ctx)
        return number


class Guest(click.ParamType):  # type: ignore[type-arg]  # generic only in later versions
    """A guest by number, or none."""

    name = "guest"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Its index; -1 for none."""
        if value == "none":
            return -1
        text = str(value)
        if not text.isdecimal() or int(text) > GUEST_MAX:
            self.fail(f"{value!r}: expected 0 to {GUEST_MAX}, or none", param, ctx)
        return int(text)


class Setting(click.ParamType):  # type: ignore[type-arg]  # generic only in later versions
    """SWITCH=VALUE."""

    name = "setting"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Switch and value."""
        switch, equals, text = str(value).partition("=")
        if not (switch and equals and text):
            self.fail(f"{value!r}: expected SWITCH=VALUE, such as kernel=6.1", param, ctx)
        return switch, text


class Pair(Setting):
    """SWITCH=A,B."""

    name = "pair"

    def convert(  # type: ignore[override]  # a pair of values in place of one
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[str, str]]:
        """Switch and two values."""
        switch, text = super().convert(value, param, ctx)
        first, _, second = text.partition(",")
        if not (first and second) or "," in second:
            self.fail(f"{value!r}: expected SWITCH=A,B, such as kernel=6.1,6.12", param, ctx)
        return switch, (first, second)


@click.command(help=HELP)
@click.argument("fault", required=False)
@click.option("--address", type=Number(), help="Physical address; of a task's page by default.")
@click.option("--guest", type=Guest(), help="The guest that meets it, or none; 0 by default.")
@click.option("--at", type=click.Choice(["el0", "el1"]), default="el0", show_default=True, help="What runs there.")
@click.option("--masked", is_flag=True, help="PSTATE.A is set there, and stays set.")
@click.option("--set", "settings", type=Setting(), multiple=True, metavar="SWITCH=VALUE", help="Set a switch.")
@click.option("--compare", type=Pair(), metavar="SWITCH=A,B", help="Show two ways side by side.")
@click.option("--list", "listed", is_flag=True, help="Name all faults and switches.")
@click.option("--json", "as_json", is_flag=True, help="NDJSON: a line a step, then the end.")
def trace(fault: str | None, **given: Unpack[Given]) -> None:
    """Send one fault through one host."""
    from fleet.view.tracing import NotTraceable

    if given["listed"]:
        _list(as_json=given["as_json"])
        return
    if fault is None:
        raise click.UsageError("Missing argument 'FAULT'; --list names them all.")
    try:
        refused = _traced(fault, given)
    except NotTraceable as wrong:
        raise click.UsageError(str(wrong)) from None
    if refused:
        from errno import errorcode
        from os import strerror

        click.echo(f"{errorcode[refused]}: KVM_SET_VCPU_EVENTS refused it ({strerror(refused)})", err=True)
        sys.exit(USAGE)


def _traced(fault: str, given: Given) -> int:
    """Trace once, or twice to compare; the errno of a refusal, 0 without one."""
    from fleet.view import tracing

    block = read_block(fault)
    wanted = tracing.Wanted(fault, given["address"], given["guest"], int(given["at"] == "el1"), given["masked"])
    settings = dict(given["settings"])
    if given["compare"] is None:
        switches = tracing.switches_with(settings)
        traced = tracing.trace(wanted, switches, block)
        (_show_json if given["as_json"] else _show)(traced, switches, {})
        return traced.refused
    switch, values = given["compare"]
    both = []
    for value in values:
        switches = tracing.switches_with(settings | {switch: value})
        both.append((switch, value, tracing.trace(wanted, switches, block), switches))
    if given["as_json"]:
        for name, value, traced, switches in both:
            _show_json(traced, switches, {name: value})
    else:
        _show_both(both)
    return next((traced.refused for _, _, traced, _ in both if traced.refused), 0)


def read_block(fault: str) -> bytes:
    """The status block that ``block:FILE`` names; none for another fault. Raises NotTraceable."""
    from fleet.view.tracing import block_from

    kind, _, place = fault.partition(":")
    return block_from(_content(place), place) if kind == "block" else b""


def _content(place: str) -> bytes:
    from fleet.decode.given import SIZE_MAX
    from fleet.view.tracing import NotTraceable

    if not place:
        raise NotTraceable("block: names no file; expected block:FILE, or block:- for standard input")
    try:
        if place == "-":
            return sys.stdin.buffer.read(SIZE_MAX)
        with Path(place).open("rb") as file:
            return file.read(SIZE_MAX)
    except (OSError, ValueError) as fault:
        raise NotTraceable(f"{place}: {getattr(fault, 'strerror', None) or fault}") from None


def _show_json(traced: "Traced", _: "Switches", label: dict[str, str]) -> None:
    from fleet.view.tracing_text import step_objects

    extra = {"set": label} if label else {}
    for step in step_objects(traced):
        click.echo(json.dumps(extra | step))
    click.echo(json.dumps(extra | {"end": traced.end.as_object(traced.host.ledger())}))


def _show(traced: "Traced", switches: "Switches", _: dict[str, str]) -> None:
    from fleet.view.tracing_text import end_lines, shown_steps

    for step in shown_steps(traced, switches):
        click.secho(step.line, bold=True)
        for line in step.details:
            click.echo(line)
    click.echo()
    for line in end_lines(traced):
        click.echo(line)


def _show_both(both: "list[tuple[str, str, Traced, Switches]]") -> None:
    from fleet.view.tracing_text import end_lines, side_by_side, step_line

    steps = [[step_line(event, alone=False) for event in traced.events] for _, _, traced, _ in both]
    ends = [["", *end_lines(traced)] for _, _, traced, _ in both]
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else COLUMNS_MAX
    width = min(max(map(len, [*steps[0], *ends[0]])), (columns - len(" | ")) // 2)
    click.secho(" | ".join(f"{f'{switch} = {value}':{width}}" for switch, value, _, _ in both).rstrip(), bold=True)
    for first, second in (steps, ends):
        for one, mark, two in side_by_side(first, second, width):
            click.secho(f"{one:{width}} {mark} {two}".rstrip(), fg="yellow" if mark != " " else None)


def _list(*, as_json: bool) -> None:
    from fleet.view.tracing import RAW_SAYS, switch_values
    from nodes.hardware.fault import FAULTS

    if as_json:
        faults = {fault.name: fault.says for fault in FAULTS}
        click.echo(json.dumps({**faults, **RAW_SAYS, "switches": switch_values()}))
        return
    for fault in FAULTS:
        click.echo(f"{fault.name:20}{fault.says}")
    for name, says in RAW_SAYS.items():
        click.echo(f"{name:20}{says}")
    click.echo("\nswitches of --set and --compare, their defaults first")
    for name, values in switch_values().items():
        click.echo(f"{name:20}{'  '.join(values)}")


command = trace
