"""What happens at set times: the steps of a scenario's script, and the words that scenarios use.

A step names its host by number, counted round, so that a script holds for any number of hosts.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from nodes.events import NO_GUEST
from nodes.events import commands as c
from nodes.hardware.fault import FAULT_INDEX
from nodes.linux.pages import PAGE_SIZE, PageKind
from nodes.policy import SwitchChanges
from nodes.stack.platform import Platform

Small = Annotated[int, Meta(ge=0, le=1 << 16)]
Seconds = Annotated[float, Meta(ge=0, le=10 * 366 * 86400)]
Address = Annotated[int, Meta(ge=0, lt=1 << 56)]


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


FaultName = StrEnum("FaultName", {name.upper().replace("-", "_"): name for name in FAULT_INDEX})  # type: ignore[misc]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of a scenario: unknown keys are refused."""


Made = tuple[type[c.Command], tuple[object, ...]]  # a command, and what it says beside host and time


class Step(Table, frozen=True, kw_only=True, tag_field="do"):
    """What every step says."""

    at_s: Seconds
    host: Small = 0  # by number, counted round


class MemoryStep(Step, frozen=True, kw_only=True):
    """What a step that means a place in memory says."""

    guest: Small | UnsetType = UNSET  # whose memory; the host's own, unless it is said
    page: PageName = PageName.APPLICATION
    page_number: Small = 0  # of the pages of that kind
    address: Address | UnsetType = UNSET  # physical, in place of the page

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

    fault: FaultName
    el: Annotated[int, Meta(ge=0, le=2)] = 0
    pe: Small = 0


class ReadStep(MemoryStep, frozen=True, kw_only=True, tag="read"):
    """A task reads an address."""

    el: Annotated[int, Meta(ge=0, le=2)] = 0


class ScrubStep(MemoryStep, frozen=True, kw_only=True, tag="scrub"):
    """A whole line is written."""


class GuestStep(Step, frozen=True, kw_only=True):
    """What a step that means a guest says."""

    guest: Small  # by number, counted round

    def guest_on(self, platform: Platform) -> int:
        """Its index on a host."""
        return self.guest % max(1, platform.shape.guests)


class SetGuestStep(GuestStep, frozen=True, kw_only=True, tag="set-guest"):
    """What runs in a guest, and whether its kernel acknowledges records."""

    el: Annotated[int, Meta(ge=0, le=1)] = 0
    masked: bool = False
    acknowledges: bool = True


class SetPeStep(Step, frozen=True, kw_only=True, tag="set-pe"):
    """What runs on a PE of the host."""

    pe: Small = 0
    el: Annotated[int, Meta(ge=0, le=2)] = 0
    masked: bool = False
    sdei_masked: bool = False


class StartGuestStep(GuestStep, frozen=True, kw_only=True, tag="start-guest"):
    """A guest is started."""


class StopGuestStep(GuestStep, frozen=True, kw_only=True, tag="stop-guest"):
    """A guest is stopped."""


class ResetGuestStep(GuestStep, frozen=True, kw_only=True, tag="reset-guest"):
    """A guest is reset."""


class ResetHostStep(Step, frozen=True, kw_only=True, tag="reset-host"):
    """The host is reset."""

    cold: bool = False


class PolicyStep(Step, frozen=True, kw_only=True, tag="change-policy"):
    """Some of the host's switches change."""

    switches: SwitchChanges


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
)

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
        (step.pe % host.shape.pes, step.el, int(step.masked), int(step.sdei_masked)),
    ),
    StartGuestStep: lambda step, host: (c.StartGuest, (step.guest_on(host),)),
    StopGuestStep: lambda step, host: (c.StopGuest, (step.guest_on(host),)),
    ResetGuestStep: lambda step, host: (c.ResetGuest, (step.guest_on(host),)),
    ResetHostStep: lambda step, _: (c.ResetHost, (int(step.cold),)),
    PolicyStep: lambda step, _: (c.ChangePolicy, (msgspec.json.encode(step.switches).decode(),)),
}


def command_of(step: AnyStep, host: Platform) -> Made:
    """The command that a step stands for on a host."""
    return _COMMANDS[type(step)](step, host)
