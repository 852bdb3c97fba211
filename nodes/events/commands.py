"""What is done to hosts: the run's input, and the truth that observed events keep silent about.

A command is idempotent: it carries ``(origin, number)``, and a shard ignores numbers not above the last of that
origin. Source: the design's section 4.
"""

from nodes.events.head import COMMAND, NO_GUEST, Event


class Command(Event, frozen=True, gc=False, array_like=True):
    """The head of every command: ``sequence`` is the number that its origin gave it."""

    topic = COMMAND

    origin: int


class InjectFault(Command, frozen=True, gc=False, array_like=True, tag=2):
    """A fault becomes an error. ``fault`` is an index into nodes.hardware.fault.FAULTS."""

    fault: int
    address: int  # physical; decides the DIMM, and what the error hits
    guest: int = NO_GUEST  # whose code consumes it; NO_GUEST: the host's
    el: int = 0  # exception level of that code
    pe: int = 0


class ReadMemory(Command, frozen=True, gc=False, array_like=True, tag=3):
    """A task reads an address, and meets what is there."""

    address: int  # physical
    guest: int = NO_GUEST
    el: int = 0
    pe: int = 0


class ScrubMemory(Command, frozen=True, gc=False, array_like=True, tag=4):
    """A whole line is written, which removes poison."""

    address: int  # physical


class SetGuest(Command, frozen=True, gc=False, array_like=True, tag=5):
    """What runs in a guest: exception level, PSTATE.A, and whether its kernel reads and acknowledges."""

    guest: int
    el: int = 0
    masked: int = 0
    acknowledges: int = 1


class SetPe(Command, frozen=True, gc=False, array_like=True, tag=6):
    """What runs on a PE from now on: a guest or the host, exception level, PSTATE.A; whether SDEI is masked."""

    pe: int
    el: int = 0
    masked: int = 0
    sdei_masked: int = 0
    guest: int = NO_GUEST  # whose vCPU runs there, until it is gone; NO_GUEST: the host's own code


class StartGuest(Command, frozen=True, gc=False, array_like=True, tag=7):
    """A guest is started, or started again after it was gone."""

    guest: int


class StopGuest(Command, frozen=True, gc=False, array_like=True, tag=8):
    """A guest is stopped."""

    guest: int


class ResetGuest(Command, frozen=True, gc=False, array_like=True, tag=9):
    """A guest is reset."""

    guest: int


class ResetHost(Command, frozen=True, gc=False, array_like=True, tag=10):
    """The host is reset: ``cold`` is a Cold reset, else an Error Recovery reset."""

    cold: int = 0


class ChangePolicy(Command, frozen=True, gc=False, array_like=True, tag=11):
    """Some switches of the host change. ``switches`` is JSON of nodes.policy.SwitchChanges."""

    switches: str


class WriteErrorRegister(Command, frozen=True, gc=False, array_like=True, tag=12):
    """Software writes a register of a RAS node, as a tester does with ERXPFGCTL_EL1."""

    ras_node: int
    register: int  # nodes.hardware.record.RecordRegister
    value: int


class PendSError(Command, frozen=True, gc=False, array_like=True, tag=13):
    """A physical SError with this syndrome becomes pending; nothing is recorded."""

    esr: int  # as the exception will show it
    guest: int = NO_GUEST
    el: int = 0
    pe: int = 0
    target_el: int = 0  # 0: as routed; 2: taken to EL2 without EL3
    far: int = 0  # FAR_EL2 as an abort will show it


class SetVcpuEvents(Command, frozen=True, gc=False, array_like=True, tag=14):
    """User space calls KVM_SET_VCPU_EVENTS."""

    guest: int
    serror_pending: int = 1
    serror_has_esr: int = 1
    serror_esr: int = 0
    ext_dabt_pending: int = 0
    padding: int = 0  # sum of the pad and reserved fields


class PresentBlock(Command, frozen=True, gc=False, array_like=True, tag=15):
    """The host's firmware presents a status block to its kernel; nothing was recorded in hardware."""

    block: bytes
    source_id: int
    guest: int = NO_GUEST  # what runs meanwhile
    el: int = 0


class InjectGuestError(Command, frozen=True, gc=False, array_like=True, tag=16):
    """QMP inject-ghes-v2-error: a block goes to the guest."""

    guest: int
    block: bytes


class RunBarrier(Command, frozen=True, gc=False, array_like=True, tag=17):
    """An ESB is executed by what runs in a guest (or on a PE)."""

    guest: int = NO_GUEST
    pe: int = 0


class CallFirmware(Command, frozen=True, gc=False, array_like=True, tag=18):
    """What runs on a PE calls EL3 (SMC)."""

    pe: int = 0


class WithdrawFirmware(Command, frozen=True, gc=False, array_like=True, tag=19):
    """A guest boots without UEFI from now on: no table, no error source."""

    guest: int


HOST_COMMANDS = (
    InjectFault,
    ReadMemory,
    ScrubMemory,
    SetGuest,
    SetPe,
    StartGuest,
    StopGuest,
    ResetGuest,
    ResetHost,
    ChangePolicy,
    WriteErrorRegister,
    PendSError,
    SetVcpuEvents,
    PresentBlock,
    InjectGuestError,
    RunBarrier,
    CallFirmware,
    WithdrawFirmware,
)
FAULT_COMMANDS = (InjectFault, PresentBlock, PendSError, SetVcpuEvents, InjectGuestError)
