"""What happens at set times: the steps of a scenario's script, and the words that scenarios use.

A step names its host by number, counted round, so that a script holds for any number of hosts; or it selects
hosts, and is done to each of them.
"""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fleet.scenario.selecting import Number, SelectingTable
from nodes.events import NO_GUEST
from nodes.events import commands as c
from nodes.hardware.fault import FAULT_INDEX
from nodes.hardware.ras_nodes import RasNodeKind, ras_node
from nodes.hardware.record import RecordRegister
from nodes.linux.pages import PAGE_SIZE, PageKind
from nodes.policy import SwitchChanges
from nodes.stack.platform import HostShape, Platform

BLOCK_SIZE_MAX: Final = 4096  # bytes of a status block in a scenario; a larger one belongs into `rasfleet import`
Small = Annotated[int, Meta(ge=0, le=1 << 16)]
Seconds = Annotated[float, Meta(ge=0, le=10 * 366 * 86400)]
Address = Annotated[int, Meta(ge=0, lt=1 << 56)]
RegisterValue = Annotated[int, Meta(ge=0)]  # 64 bits: the library takes no bound as large
Text = Annotated[str, Meta(max_length=2 * BLOCK_SIZE_MAX)]
Block = Annotated[Text, Meta(description="status block as lower-case hex")]
ExceptionLevel = Annotated[int, Meta(ge=0, le=2, description="exception level of what meets it")]
Pe = Annotated[Small, Meta(description="PE by number, counted round")]
Running = Annotated[
    Small | UnsetType, Meta(description="the guest that runs meanwhile; the host itself, unless it is said")
]


class PageName(StrEnum):
    """A kind of page, as scenarios name it."""

    KERNEL = "kernel"
    PAGE_CACHE_CLEAN = "page-cache-clean"
    PAGE_CACHE_DIRTY = "page-cache-dirty"
    APPLICATION = "application"
    HUGE = "huge"
    PINNED = "pinned"
    FREE = "free"

    @property
    def kind(self) -> PageKind:
        """The kind that is meant."""
        return PageKind[self.name]


class RegisterName(StrEnum):
    """A register of an error record that software writes, as scenarios name it."""

    CTLR = "ctlr"
    STATUS = "status"
    ADDR = "addr"
    MISC0 = "misc0"
    PFGCTL = "pfgctl"
    PFGCDN = "pfgcdn"

    @property
    def register(self) -> RecordRegister:
        """The register that is meant."""
        return RecordRegister[self.name]


FaultName = StrEnum("FaultName", {name.upper().replace("-", "_"): name for name in FAULT_INDEX})  # type: ignore[misc]


_RAS_NODE: Final = re.compile(rf"({'|'.join(kind.name.lower() for kind in RasNodeKind)}) [0-9]{{1,5}}")
_BLOCK: Final = re.compile("([0-9a-f]{2})+")


def _check_bits(key: str, value: int | UnsetType) -> None:
    if value is not UNSET and value >> 64:
        raise ValueError(f"{key} = {value:#x}: expected at most 64 bits")


def _check_block(block: str) -> None:
    if not _BLOCK.fullmatch(block):
        raise ValueError("block: expected a status block as lower-case hex, two digits a byte, without 0x")


Made = tuple[type[c.Command], tuple[object, ...]]  # a command, and what it says beside host and time


class Step(SelectingTable, frozen=True, kw_only=True, tag_field="do"):
    """What every step says."""

    at_s: Annotated[Seconds, Meta(description="virtual time in seconds")]
    host: Annotated[
        Number | UnsetType,
        Meta(description="one host by number, counted round; the first, unless hosts are selected"),
    ] = UNSET


class MemoryStep(Step, frozen=True, kw_only=True):
    """What a step that means a place in memory says."""

    guest: Annotated[Small | UnsetType, Meta(description="whose memory; the host's own, unless it is said")] = (
        UNSET
    )
    page: Annotated[PageName, Meta(description="kind of page")] = PageName.APPLICATION
    page_number: Annotated[Small, Meta(description="which of the pages of that kind, counted round")] = 0
    address: Annotated[Address | UnsetType, Meta(description="physical address, in place of the page")] = UNSET

    def where(self, platform: Platform) -> tuple[int, int]:
        """The physical address that is meant, and the guest that it belongs to."""
        guests = platform.shape.guests
        owner = NO_GUEST if self.guest is UNSET or not guests else self.guest % guests
        if self.address is not UNSET:
            return self.address, owner if platform.guest_of(self.address) == owner else NO_GUEST
        memory = platform.host_map if owner == NO_GUEST else platform.guest_map
        first, size = memory.range_of(self.page.kind)
        place = first + self.page_number * PAGE_SIZE % max(PAGE_SIZE, size)
        return (place, owner) if owner == NO_GUEST else (platform.address_of(owner, place), owner)


class InjectStep(MemoryStep, frozen=True, kw_only=True, tag="inject"):
    """A fault; a task of the guest or of the host meets it."""

    fault: Annotated[FaultName, Meta(description="the fault; `rasfleet trace --list` names them")]
    el: ExceptionLevel = 0
    pe: Pe = 0


class ReadStep(MemoryStep, frozen=True, kw_only=True, tag="read"):
    """A task reads an address."""

    el: ExceptionLevel = 0


class ScrubStep(MemoryStep, frozen=True, kw_only=True, tag="scrub"):
    """A whole line is written."""


class GuestStep(Step, frozen=True, kw_only=True):
    """What a step that means a guest says."""

    guest: Annotated[Small, Meta(description="one guest by number, counted round")]

    def guest_on(self, platform: Platform) -> int:
        """Its index on a host."""
        return self.guest % max(1, platform.shape.guests)


class SetGuestStep(GuestStep, frozen=True, kw_only=True, tag="set-guest"):
    """What runs in a guest, and whether its kernel acknowledges records."""

    el: Annotated[int, Meta(ge=0, le=1, description="exception level of what runs in it")] = 0
    masked: Annotated[bool, Meta(description="SErrors are masked")] = False
    acknowledges: Annotated[bool, Meta(description="its kernel gives read status blocks back")] = True


class SetPeStep(Step, frozen=True, kw_only=True, tag="set-pe"):
    """What runs on a PE: a guest, or the host's own code."""

    pe: Pe = 0
    el: ExceptionLevel = 0
    masked: Annotated[bool, Meta(description="SErrors are masked")] = False
    sdei_masked: Annotated[bool, Meta(description="SDEI events are masked")] = False
    guest: Annotated[
        Small | UnsetType, Meta(description="the guest that runs there; the host itself, unless it is said")
    ] = UNSET


class StartGuestStep(GuestStep, frozen=True, kw_only=True, tag="start-guest"):
    """A guest is started."""


class StopGuestStep(GuestStep, frozen=True, kw_only=True, tag="stop-guest"):
    """A guest is stopped."""


class ResetGuestStep(GuestStep, frozen=True, kw_only=True, tag="reset-guest"):
    """A guest is reset."""


class ResetHostStep(Step, frozen=True, kw_only=True, tag="reset-host"):
    """The host is reset."""

    cold: Annotated[bool, Meta(description="power is lost: memory and error records too")] = False


class PolicyStep(Step, frozen=True, kw_only=True, tag="change-policy"):
    """Some of the host's switches change."""

    switches: Annotated[SwitchChanges, Meta(description="the switches that change")]


class WriteRegisterStep(Step, frozen=True, kw_only=True, tag="write-register"):
    """Software writes a register of an error record: faults by ERXPFGCTL and ERXPFGCDN, set-up by ERXCTLR."""

    ras_node: Annotated[
        Text, Meta(description='"memory 0" is a DIMM, "cache 3" of a PE; by number, counted round')
    ]
    register: Annotated[RegisterName, Meta(description="register of the error record")]
    value: Annotated[RegisterValue, Meta(description="64 bits")]

    def __post_init__(self) -> None:
        _check_bits("value", self.value)
        if not _RAS_NODE.fullmatch(self.ras_node):
            raise ValueError(
                f'ras_node = "{self.ras_node[:20]}": expected one like "memory 0", "cache 3", "bus 0"'
            )


class SErrorStep(Step, frozen=True, kw_only=True, tag="serror"):
    """A physical SError becomes pending, with a syndrome that nothing recorded."""

    esr: Annotated[RegisterValue, Meta(description="ESR_ELx as the exception will show it")]
    guest: Running = UNSET
    el: ExceptionLevel = 0
    pe: Pe = 0

    def __post_init__(self) -> None:
        _check_bits("esr", self.esr)


class VcpuEventsStep(GuestStep, frozen=True, kw_only=True, tag="set-vcpu-events"):
    """User space of the host calls KVM_SET_VCPU_EVENTS."""

    esr: Annotated[RegisterValue | UnsetType, Meta(description="serror_esr; without it serror_has_esr is 0")] = (
        UNSET
    )
    pending: Annotated[bool, Meta(description="serror_pending")] = True
    abort: Annotated[bool, Meta(description="ext_dabt_pending")] = False

    def __post_init__(self) -> None:
        _check_bits("esr", self.esr)


class PresentBlockStep(Step, frozen=True, kw_only=True, tag="present-block"):
    """The host's firmware presents a status block to its kernel."""

    block: Block
    source_id: Annotated[Small, Meta(description="error source of the HEST")] = 0
    guest: Running = UNSET
    el: ExceptionLevel = 0

    def __post_init__(self) -> None:
        _check_block(self.block)


class GuestErrorStep(GuestStep, frozen=True, kw_only=True, tag="inject-guest-error"):
    """QMP inject-ghes-v2-error: QEMU presents a status block to a guest."""

    block: Block

    def __post_init__(self) -> None:
        _check_block(self.block)


class BarrierStep(Step, frozen=True, kw_only=True, tag="barrier"):
    """An ESB is executed."""

    guest: Annotated[
        Small | UnsetType, Meta(description="by what runs in it; by what runs on the PE, unless it is said")
    ] = UNSET
    pe: Pe = 0


class CallFirmwareStep(Step, frozen=True, kw_only=True, tag="call-firmware"):
    """What runs on a PE calls EL3."""

    pe: Pe = 0


class WithdrawFirmwareStep(GuestStep, frozen=True, kw_only=True, tag="withdraw-firmware"):
    """A guest boots without UEFI from now on, and finds no error source."""


AnyStep = (
    InjectStep
    | ReadStep
    | ScrubStep
    | SetGuestStep
    | SetPeStep
    | StartGuestStep
    | StopGuestStep
    | ResetGuestStep
    | ResetHostStep
    | PolicyStep
    | WriteRegisterStep
    | SErrorStep
    | VcpuEventsStep
    | PresentBlockStep
    | GuestErrorStep
    | BarrierStep
    | CallFirmwareStep
    | WithdrawFirmwareStep
)


def _guest(guest: int | UnsetType, host: Platform) -> int:
    return NO_GUEST if guest is UNSET or not host.shape.guests else guest % host.shape.guests


def _ras_node(name: str, shape: HostShape) -> int:
    kind, _, number = name.partition(" ")
    instances = {"memory": shape.sockets * shape.channels, "bus": shape.sockets, "pcie": 1}
    return ras_node(RasNodeKind[kind.upper()], int(number) % instances.get(kind, shape.pes))


_COMMANDS: Final[Mapping[type[Step], Callable[[Any, Platform], Made]]] = {
    InjectStep: lambda step, host: (
        c.InjectFault,
        (FAULT_INDEX[str(step.fault)], *step.where(host), step.el, step.pe % host.shape.pes),
    ),
    ReadStep: lambda step, host: (c.ReadMemory, (*step.where(host), step.el)),
    ScrubStep: lambda step, host: (c.ScrubMemory, step.where(host)[:1]),
    SetGuestStep: lambda step, host: (
        c.SetGuest,
        (step.guest_on(host), step.el, int(step.masked), int(step.acknowledges)),
    ),
    SetPeStep: lambda step, host: (
        c.SetPe,
        (step.pe % host.shape.pes, step.el, int(step.masked), int(step.sdei_masked), _guest(step.guest, host)),
    ),
    StartGuestStep: lambda step, host: (c.StartGuest, (step.guest_on(host),)),
    StopGuestStep: lambda step, host: (c.StopGuest, (step.guest_on(host),)),
    ResetGuestStep: lambda step, host: (c.ResetGuest, (step.guest_on(host),)),
    ResetHostStep: lambda step, _: (c.ResetHost, (int(step.cold),)),
    PolicyStep: lambda step, _: (c.ChangePolicy, (msgspec.json.encode(step.switches).decode(),)),
    WriteRegisterStep: lambda step, host: (
        c.WriteErrorRegister,
        (_ras_node(step.ras_node, host.shape), int(step.register.register), step.value),
    ),
    SErrorStep: lambda step, host: (
        c.PendSError,
        (step.esr, _guest(step.guest, host), step.el, step.pe % host.shape.pes),
    ),
    VcpuEventsStep: lambda step, host: (
        c.SetVcpuEvents,
        (
            step.guest_on(host),
            int(step.pending),
            int(step.esr is not UNSET),
            0 if step.esr is UNSET else step.esr,
            int(step.abort),
        ),
    ),
    PresentBlockStep: lambda step, host: (
        c.PresentBlock,
        (bytes.fromhex(step.block), step.source_id, _guest(step.guest, host), step.el),
    ),
    GuestErrorStep: lambda step, host: (c.InjectGuestError, (step.guest_on(host), bytes.fromhex(step.block))),
    BarrierStep: lambda step, host: (c.RunBarrier, (_guest(step.guest, host), step.pe % host.shape.pes)),
    CallFirmwareStep: lambda step, host: (c.CallFirmware, (step.pe % host.shape.pes,)),
    WithdrawFirmwareStep: lambda step, host: (c.WithdrawFirmware, (step.guest_on(host),)),
}


def command_of(step: AnyStep, host: Platform) -> Made:
    """The command that a step stands for on a host."""
    return _COMMANDS[type(step)](step, host)
