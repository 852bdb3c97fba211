"""What each level did: the topic of outcomes."""

from nodes.events.head import NO_GUEST, OUTCOME, Event, Level


class OsNotified(Event, frozen=True, gc=False, array_like=True, tag=50):
    """Firmware notified the operating system of an error source."""

    topic = OUTCOME

    notified_by: int  # Level
    source_id: int
    notification: int  # NotificationType
    vector: int  # SDEI event or GSIV; 0 where there is none
    guest: int = NO_GUEST


class NotificationRefused(Event, frozen=True, gc=False, array_like=True, tag=51):
    """The notification could not be given; the block stays where it is."""

    topic = OUTCOME
    level = Level.EL3

    source_id: int
    reason: int  # Refusal


class RecordRead(Event, frozen=True, gc=False, array_like=True, tag=52):
    """A kernel read a status block and gave it back."""

    topic = OUTCOME

    read_by: int  # Level
    source_id: int
    severity: int  # of the block
    sections: int
    guest: int = NO_GUEST


class RecordLogged(Event, frozen=True, gc=False, array_like=True, tag=53):
    """A kernel processed a record; ``printed`` is 0 when its print limit was reached."""

    topic = OUTCOME

    logged_by: int  # Level
    source_id: int
    severity: int
    printed: int
    guest: int = NO_GUEST


class RecordLost(Event, frozen=True, gc=False, array_like=True, tag=54):
    """A record went no further."""

    topic = OUTCOME

    lost_by: int  # Level
    source_id: int
    reason: int  # nodes.ledger.Account
    guest: int = NO_GUEST


class PageOfflined(Event, frozen=True, gc=False, array_like=True, tag=55):
    """memory_failure or soft offline ended for a page."""

    topic = OUTCOME

    by: int  # Level
    pfn: int
    page_type: int  # nodes.linux.memory_failure.PageType
    result: int  # nodes.linux.memory_failure.ActionResult
    soft: int = 0
    guest: int = NO_GUEST


class SignalSent(Event, frozen=True, gc=False, array_like=True, tag=56):
    """A kernel sent a signal for an error."""

    topic = OUTCOME

    sent_by: int  # Level
    receiver: int  # Receiver
    signal: int  # Signal
    code: int  # SignalCode
    address: int  # user virtual address in the receiver
    address_lsb: int  # log2 of the range, 0 where it says nothing
    guest: int = NO_GUEST


class SyndromeSwallowed(Event, frozen=True, gc=False, array_like=True, tag=57):
    """A kernel saw an SError's syndrome and went on."""

    topic = OUTCOME
    registers = {"esr": "ESR"}

    by: int  # Level
    esr: int
    guest: int = NO_GUEST


class KernelPanicked(Event, frozen=True, gc=False, array_like=True, tag=58):
    """A kernel panicked."""

    topic = OUTCOME

    by: int  # Level
    reason: str
    guest: int = NO_GUEST


class TaskKilled(Event, frozen=True, gc=False, array_like=True, tag=59):
    """A kernel oops ended the task that was running."""

    topic = OUTCOME

    by: int  # Level
    reason: str
    guest: int = NO_GUEST


class VmExited(Event, frozen=True, gc=False, array_like=True, tag=60):
    """A VM's process ended."""

    topic = OUTCOME
    level = Level.VMM

    guest: int
    reason: str


class GuestStarted(Event, frozen=True, gc=False, array_like=True, tag=61):
    """A guest's firmware has booted: where its HEST lies, 0 where it has none."""

    topic = OUTCOME
    level = Level.GUEST_FIRMWARE

    guest: int
    hest: int


class GuestStopped(Event, frozen=True, gc=False, array_like=True, tag=62):
    """A guest was stopped on purpose."""

    topic = OUTCOME
    level = Level.VMM

    guest: int


class GuestReset(Event, frozen=True, gc=False, array_like=True, tag=63):
    """A guest was reset and boots again."""

    topic = OUTCOME
    level = Level.VMM

    guest: int


class HostReset(Event, frozen=True, gc=False, array_like=True, tag=64):
    """The host was reset: every guest is gone."""

    topic = OUTCOME
    level = Level.EL3

    reason: str
    cold: int = 0


class FirmwareStopped(Event, frozen=True, gc=False, array_like=True, tag=65):
    """EL3 stopped the system."""

    topic = OUTCOME
    level = Level.EL3
    registers = {"esr": "ESR_EL3"}

    reason: str
    esr: int = 0


class PoisonNoted(Event, frozen=True, gc=False, array_like=True, tag=66):
    """QEMU put a page of its guest on its poison list."""

    topic = OUTCOME
    level = Level.VMM

    guest: int
    address: int  # guest physical address


class VcpuEventsRefused(Event, frozen=True, gc=False, array_like=True, tag=67):
    """KVM_SET_VCPU_EVENTS failed."""

    topic = OUTCOME
    level = Level.HYPERVISOR

    guest: int
    serror_esr: int
    errno: int


class PcieRecoveryQueued(Event, frozen=True, gc=False, array_like=True, tag=68):
    """A kernel handed a PCIe error to its AER driver: 0 non-fatal, 1 fatal, 2 correctable."""

    topic = OUTCOME

    by: int  # Level
    device: int  # segment << 16 | bus << 8 | device << 3 | function
    severity: int
    guest: int = NO_GUEST


class CallFailed(Event, frozen=True, gc=False, array_like=True, tag=69):
    """A call of MM_COMMUNICATE failed, or did not come back: then its end is no code of the interface."""

    topic = OUTCOME

    by: int  # Level
    code: int  # negative: nodes.spec.mm.MmReturn; 0, with which no call fails: the deadline expired
    guest: int = NO_GUEST


class WatchdogExpired(Event, frozen=True, gc=False, array_like=True, tag=70):
    """Nothing ran any more and the watchdog reset the host."""

    topic = OUTCOME
    level = Level.HARDWARE
