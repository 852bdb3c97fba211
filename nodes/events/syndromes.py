"""What happened in the hardware and to PEs: the topic of syndromes."""

from nodes.events.head import NO_GUEST, SYNDROME, Event, Level


class ErrorRecorded(Event, frozen=True, gc=False, array_like=True, tag=20):
    """A RAS node recorded an error, or counted it."""

    topic = SYNDROME
    level = Level.HARDWARE
    registers = {"status": "ERR<n>STATUS", "addr": "ERR<n>ADDR", "misc0": "ERR<n>MISC0"}

    ras_node: int  # nodes.hardware.ras_nodes: kind << 8 | instance
    status: int
    addr: int
    misc0: int


class InterruptRaised(Event, frozen=True, gc=False, array_like=True, tag=21):
    """A RAS node asserted an interrupt: 1 FHI, 2 ERI, 4 CRI."""

    topic = SYNDROME
    level = Level.HARDWARE

    ras_node: int
    lines: int


class SErrorPended(Event, frozen=True, gc=False, array_like=True, tag=22):
    """A physical SError became pending at a PE and could not be taken."""

    topic = SYNDROME
    level = Level.HARDWARE
    registers = {"isr": "ISR_EL1"}

    pe: int
    el: int  # where the PE was
    iss: int  # syndrome that it will carry
    isr: int


class SErrorTaken(Event, frozen=True, gc=False, array_like=True, tag=23):
    """A PE took a physical SError."""

    topic = SYNDROME
    level = Level.HARDWARE
    registers = {"esr": "ESR_EL<t>"}

    pe: int
    from_el: int
    target_el: int
    esr: int
    guest: int = NO_GUEST  # whose code was interrupted


class SErrorDeferred(Event, frozen=True, gc=False, array_like=True, tag=24):
    """An ESB deferred a masked physical SError."""

    topic = SYNDROME
    level = Level.HARDWARE
    registers = {"disr": "DISR_EL1"}

    pe: int
    disr: int


class SeaTaken(Event, frozen=True, gc=False, array_like=True, tag=25):
    """A PE took a synchronous external abort."""

    topic = SYNDROME
    level = Level.HARDWARE
    registers = {"esr": "ESR_EL<t>", "far": "FAR_EL<t>"}

    pe: int
    from_el: int
    target_el: int
    esr: int
    far: int
    guest: int = NO_GUEST


class RecordCleared(Event, frozen=True, gc=False, array_like=True, tag=26):
    """Software wrote ERR<n>STATUS back and the record is free."""

    topic = SYNDROME
    registers = {"status": "ERR<n>STATUS"}

    cleared_by: int  # Level
    ras_node: int
    status: int  # as it was read


class SErrorReflected(Event, frozen=True, gc=False, array_like=True, tag=27):
    """EL3 went back so that the lower level takes its SError itself."""

    topic = SYNDROME
    level = Level.EL3

    pe: int
    repeats: int


class VirtualSErrorPended(Event, frozen=True, gc=False, array_like=True, tag=28):
    """EL2 pended a virtual SError."""

    topic = SYNDROME
    level = Level.HYPERVISOR
    registers = {"vsesr": "VSESR_EL2", "hcr": "HCR_EL2"}

    guest: int
    vsesr: int
    hcr: int
    overwritten: int = -1  # VSESR_EL2 of the one that was still pending; -1: none was


class VirtualSErrorTaken(Event, frozen=True, gc=False, array_like=True, tag=29):
    """A guest took a virtual SError."""

    topic = SYNDROME
    level = Level.GUEST_KERNEL
    registers = {"esr": "ESR_EL1"}

    guest: int
    from_el: int
    esr: int


class VirtualSErrorDeferred(Event, frozen=True, gc=False, array_like=True, tag=30):
    """A guest's ESB deferred a masked virtual SError."""

    topic = SYNDROME
    level = Level.GUEST_KERNEL
    registers = {"vdisr": "VDISR_EL2"}

    guest: int
    vdisr: int


class GuestSeaTaken(Event, frozen=True, gc=False, array_like=True, tag=31):
    """A guest took a synchronous external abort that the hypervisor or the VMM gave it."""

    topic = SYNDROME
    level = Level.GUEST_KERNEL
    registers = {"esr": "ESR_EL1", "far": "FAR_EL1"}

    guest: int
    from_el: int
    esr: int
    far: int


class PoisonStored(Event, frozen=True, gc=False, array_like=True, tag=32):
    """A line of memory was marked as poison."""

    topic = SYNDROME
    level = Level.HARDWARE

    address: int


class PoisonRemoved(Event, frozen=True, gc=False, array_like=True, tag=33):
    """A scrub, or a write of the whole line, removed poison."""

    topic = SYNDROME
    level = Level.HARDWARE

    address: int


class MemoryRead(Event, frozen=True, gc=False, array_like=True, tag=34):
    """A task of a guest or of the host touched an address that a fault concerns."""

    topic = SYNDROME
    level = Level.HARDWARE

    address: int
    guest: int = NO_GUEST
    el: int = 0


class RegisterWritten(Event, frozen=True, gc=False, array_like=True, tag=35):
    """Software wrote a register of a RAS node."""

    topic = SYNDROME
    level = Level.HYPERVISOR

    ras_node: int
    register: int  # nodes.hardware.record.RecordRegister
    value: int
