"""One fault through one host: how it begins, what happens, how it ends.

A fault is named, or raw: ``esr:``, ``guest-esr:``, ``vserror:`` and ``block:`` start at the level they name,
without EL3. After a block a task of the guest that owns a lost page touches it, unless the guest was told of it as
it ran into it, so that the chain goes on as it does on a machine.
"""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from fleet.decode.containers import first_address
from fleet.decode.given import NotGiven, octets_of
from fleet.scenario.scenario_errors import explained
from fleet.view.outcome import End
from nodes.events import NO_GUEST, Event, Level, PageOfflined, SignalCode, SignalSent, VcpuEventsRefused
from nodes.events import commands as c
from nodes.hardware.dram import PAGE_SHIFT
from nodes.hardware.fault import FAULT_INDEX
from nodes.host import Host, HostShape
from nodes.linux.pages import PageKind, user_address
from nodes.linux.traps import is_sea
from nodes.policy import SwitchChanges, Switches
from nodes.spec.aarch64 import ABORT_CLASSES, LOWER_ABORT_CLASSES, ExceptionClass
from nodes.spec.syndrome import EsrAbort, exception_class
from nodes.stack.platform import Platform

GUESTS: Final = 4  # of the host, unless a later one is named
HOST_EL: Final = 2  # of the host's kernel
FIRST_SOURCE: Final = 0  # error source that a raw block comes from
_KERNEL_PAGES: Final = frozenset({PageKind.KERNEL, PageKind.FREE})
_TOUCHED_MAX: Final = 64  # pages of one block that are touched


class NotTraceable(ValueError):
    """A fault, an address or a switch cannot be used: one line for the user."""


class Wanted(NamedTuple):
    """What the user asked for."""

    fault: str
    address: int | None = None  # physical
    guest: int | None = None  # None: the owner of the address, else guest 0; NO_GUEST: the host alone
    el: int = 0  # 0 a task, 1 the kernel
    masked: bool = False


class Traced(NamedTuple):
    """What came of it."""

    host: Host
    guest: int
    end: End
    refused: int  # errno of a refused KVM_SET_VCPU_EVENTS; 0: nothing was refused

    @property
    def events(self) -> list[Event]:
        """The steps."""
        return self.host.events


def switches_with(settings: Mapping[str, str]) -> Switches:
    """The default switches with some set, each from text. Raises NotTraceable."""
    tables = {name: _value(text) for name, text in settings.items()}
    try:
        return msgspec.convert(tables, SwitchChanges).applied(Switches())
    except msgspec.ValidationError as fault:
        raise NotTraceable(explained(str(fault), tables, Switches)) from None


def switch_values() -> dict[str, list[str]]:
    """What each switch can be, its default first; of a number the default alone."""
    values: dict[str, list[str]] = {}
    for name, default in msgspec.structs.asdict(Switches()).items():
        kind = type(default)
        others = list(kind) if issubclass(kind, Enum) else [True] if kind is bool else []
        texts = [str(getattr(value, "value", value)).lower() for value in (default, *others)]
        values[name] = list(dict.fromkeys(texts))
    return values


def _value(text: str) -> str | int | bool:
    words = {"true": True, "false": False}
    return int(text) if text.isdecimal() else words.get(text, text)


def trace(wanted: Wanted, switches: Switches, block: bytes = b"") -> Traced:
    """Send one fault through one host. ``block``: what ``block:`` names. Raises NotTraceable."""
    guests = max(GUESTS, 1 + (wanted.guest or 0))
    host = Host(switches=switches, shape=HostShape(memory_gib=16 * guests, guests=guests))
    kind = wanted.fault.partition(":")[0]
    check_fault(wanted.fault)
    guest = _guest(host, wanted, block)
    _prepare(host, guest, wanted)
    command, fields = command_of(wanted, host.platform, guest, block)
    host.do(command, *fields)
    host.run()
    if kind == "block":
        _touch_lost_pages(host, wanted.el)
    refused = next((event.errno for event in host.events if isinstance(event, VcpuEventsRefused)), 0)
    return Traced(host, guest, End(host.events, guest), refused)


def _guest(host: Host, wanted: Wanted, block: bytes) -> int:
    """The guest that a fault concerns: the owner of the address, so none for a page of the host's own."""
    address = wanted.address if wanted.address is not None else first_address(block)
    kind, owner, _ = host.platform.host_map.page_of(-1 if address is None else address)
    if wanted.guest is None:
        is_known = address is not None and not (block and kind is PageKind.OUTSIDE)
        return owner if is_known else 0
    if wanted.address is not None and owner not in {NO_GUEST, wanted.guest}:
        whose = "the host alone" if wanted.guest == NO_GUEST else f"guest {wanted.guest}"
        raise NotTraceable(f"address 0x{address:x} belongs to guest {owner}, not to {whose}")
    return wanted.guest if wanted.address is None else owner


def _prepare(host: Host, guest: int, wanted: Wanted) -> None:
    """What runs when it happens."""
    if guest != NO_GUEST:
        if wanted.el or wanted.masked:
            host.do(c.SetGuest, guest, wanted.el, int(wanted.masked), 1)
    elif wanted.el or wanted.masked:
        host.do(c.SetPe, 0, HOST_EL if wanted.el else 0, int(wanted.masked), 0)


Made = tuple[type[c.Command], tuple[Any, ...]]  # a command without its head


def check_fault(fault: str) -> None:
    """Whether a fault is one, by name or raw. Raises NotTraceable."""
    kind, _, value = fault.partition(":")
    if kind not in _RAW and (value or kind not in FAULT_INDEX):
        near = get_close_matches(fault, [*FAULT_INDEX, *(f"{raw}:" for raw in _RAW)], n=1)
        raise NotTraceable(
            f'no fault "{fault}"; '
            + (f'did you mean "{near[0]}"? ' if near else "")
            + "rasfleet trace --list names them all"
        )


def command_of(wanted: Wanted, platform: Platform, guest: int, block: bytes, *, pe: int = 0) -> Made:
    """The command that a fault stands for on a host. Raises NotTraceable."""
    check_fault(wanted.fault)
    _check_address(wanted.address, platform)
    kind = wanted.fault.partition(":")[0]
    if kind in _RAW:
        return _RAW[kind](guest, wanted, _Raw(platform, block, pe))
    el = wanted.el if guest != NO_GUEST else HOST_EL * wanted.el
    address = platform.task_page(guest) if wanted.address is None else wanted.address
    return c.InjectFault, (FAULT_INDEX[kind], address, guest, el, pe)


def _check_address(address: int | None, platform: Platform) -> None:
    memory = platform.host_map
    if address is not None and not memory.start <= address < memory.end:
        raise NotTraceable(
            f"address 0x{address:x} is outside the host's memory, 0x{memory.start:x} to 0x{memory.end - 1:x}"
        )


def _far(esr: int, wanted: Wanted, platform: Platform, guest: int) -> int:
    """FAR_EL2 of an abort: where who runs has the address mapped; 0 where none is given."""
    if wanted.address is None:
        return 0
    if exception_class(esr) not in ABORT_CLASSES:
        raise NotTraceable(f"{wanted.fault} concerns no address: an SError has no FAR")
    if esr & EsrAbort.FnV.mask:
        raise NotTraceable(f"{wanted.fault} concerns no address: its FnV says that FAR is not valid")
    return platform.virtual_address(guest, wanted.address)


def _esr(_: int, wanted: Wanted, raw: "_Raw") -> Made:
    esr = _syndrome(wanted.fault)
    far = _far(esr, wanted, raw.platform, NO_GUEST)
    return c.PendSError, (esr, NO_GUEST, _host_el(esr, wanted), raw.pe, HOST_EL, far)


def _host_el(esr: int, wanted: Wanted) -> int:
    """Where the host was: an abort's class says it, of an SError the user does."""
    ec = exception_class(esr)
    if ec in ABORT_CLASSES:
        return 0 if ec in LOWER_ABORT_CLASSES else HOST_EL
    return HOST_EL * wanted.el


def _guest_esr(guest: int, wanted: Wanted, raw: "_Raw") -> Made:
    esr = _syndrome(wanted.fault)
    far = _far(esr, wanted, raw.platform, guest)
    _needs_guest(guest, wanted)
    return c.PendSError, (esr, guest, wanted.el, raw.pe, HOST_EL, far)


def _vserror(guest: int, wanted: Wanted, _: "_Raw") -> Made:
    if wanted.address is not None:
        raise NotTraceable(f"{wanted.fault} concerns no address: a virtual SError has no FAR")
    _needs_guest(guest, wanted)
    return c.SetVcpuEvents, (guest, 1, 1, _number(wanted.fault, 64), 0, 0)


def _needs_guest(guest: int, wanted: Wanted) -> None:
    if guest == NO_GUEST:
        raise NotTraceable(f"{wanted.fault} concerns a guest, and none is meant")


def _block(guest: int, wanted: Wanted, raw: "_Raw") -> Made:
    return c.PresentBlock, (raw.block, FIRST_SOURCE, guest, wanted.el)


class _Raw(NamedTuple):
    """What a raw beginning is made of beside its syndrome."""

    platform: Platform
    block: bytes
    pe: int


_RAW: Final[Mapping[str, Callable[[int, Wanted, _Raw], Made]]] = MappingProxyType(
    {"esr": _esr, "guest-esr": _guest_esr, "vserror": _vserror, "block": _block}
)
RAW_SAYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "esr:0x…": "an SError with this ESR_EL2, taken by the host's kernel",
        "guest-esr:0x…": "a physical SError with this ESR_EL2, taken to EL2 while the guest runs",
        "vserror:0x…": "an ISS that user space sets for the guest (KVM_SET_VCPU_EVENTS)",
        "block:FILE": "a status block that the host's firmware presents to its kernel; - is standard input",
    }
)


def _number(fault: str, bits: int) -> int:
    kind, _, text = fault.partition(":")
    try:
        value = int(text, 16 if text.lower().startswith("0x") else 10)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << bits:
        example = "0x411" if kind == "vserror" else "0xbe000411"
        raise NotTraceable(f'{kind}:{text}: expected a number of at most {bits} bits, as in "{kind}:{example}"')
    return value


def _syndrome(fault: str) -> int:
    """An ESR_EL2 that tells of a hardware error."""
    esr = _number(fault, 64)
    kind = exception_class(esr)
    if kind != ExceptionClass.SERROR and not (kind in ABORT_CLASSES and is_sea(esr)):
        raise NotTraceable(
            f"{fault}: expected an SError (EC 0x2f), as in 0xbe000411, or an external abort, as in 0x92000010"
        )
    return esr


def block_from(content: bytes, place: str) -> bytes:
    """A status block from a file: its bytes, or their hex. Raises NotTraceable."""
    try:
        octets = octets_of(content)
    except (NotGiven, ValueError) as fault:
        raise NotTraceable(f"{place}: {fault}") from None
    if not octets:
        raise NotTraceable(f"{place}: empty, expected a status block")
    return octets


def _touch_lost_pages(host: Host, el: int) -> None:
    """Tasks of guests touch the pages that the host's kernel took away, but for those that they ran into."""
    platform, kernel = host.platform, host.machine.kernel.linux
    met = {
        (event.guest, event.address)
        for event in host.events
        if isinstance(event, SignalSent) and event.code == SignalCode.BUS_MCEERR_AR
    }
    told = [
        event.pfn << PAGE_SHIFT
        for event in host.events
        if isinstance(event, PageOfflined) and event.by == Level.HYPERVISOR
    ]
    for address in dict.fromkeys(told[:_TOUCHED_MAX]):
        page = platform.host_map.page_of(address)
        told_at = page.owner, user_address(page, address)
        if page.owner != NO_GUEST and kernel.lost(address) and told_at not in met:
            of_kernel = platform.guest_map.page_of(platform.ipa_of(address)).kind in _KERNEL_PAGES
            host.do(c.ReadMemory, address, page.owner, max(el, int(of_kernel)), 0)
            host.run()
