"""The switches of a host and its guests: which of several real behaviours it shows.

The first value of each enumeration is the default. A policy is shared between hosts and never changed; a host
whose policy changes gets another one.

Sources: the switch names of the design; Linux, KVM, QEMU and TF-A versions as their tables name them
(nodes.linux.versions, nodes.hypervisor.versions, nodes.el3.monitor).
"""

from enum import StrEnum
from typing import Annotated, Any, Final, get_type_hints

import msgspec
from msgspec import UNSET, Meta, UnsetType

from nodes.spec.err import RecordFormat

CE_THRESHOLD_MAX: Final = 32768  # a 15-bit counter wraps there


class Handling(StrEnum):
    """Who reads the error records."""

    FIRMWARE_FIRST = "firmware_first"  # SCR_EL3.EA=1: EL3 claims external aborts and SErrors
    KERNEL_FIRST = "kernel_first"  # the host kernel reads the records, found by AEST


class VirtualSyndrome(StrEnum):
    """What KVM makes of a physical SError that was taken while a guest ran."""

    KVM = "kvm"  # as merged: swallow CE and UEO, IDS for UEU and UER, host panic for UC
    PASSTHROUGH = "passthrough"  # as first proposed: the physical syndrome goes into VSESR_EL2
    VMM = "vmm"  # user space supplies the syndrome with KVM_SET_VCPU_EVENTS


class RecordLocation(StrEnum):
    """How QEMU and the guest's firmware agree where the guest's records live."""

    CONTRACT = "contract"  # table loader of fw_cfg; a GHES entry in the HEST says so
    MM_COMMUNICATE = "mm_communicate"  # a DXE driver of the guest asks QEMU


class RecordDelivery(StrEnum):
    """How a guest's kernel gets at a record."""

    POINTERS = "pointers"  # follows the pointers that were set up at boot: bounded slot, read ack
    ON_DEMAND = "on_demand"  # runs firmware code that calls into QEMU: queue, deadline


class NotificationSwitch(StrEnum):
    """How EL3 tells the host's kernel."""

    SDEI = "sdei"
    SEA = "sea"
    GSIV = "gsiv"
    GPIO = "gpio"
    POLLED = "polled"


class Kernel(StrEnum):
    """Linux version of the host or of its guests."""

    V6_12 = "6.12"
    V6_1 = "6.1"
    V6_19 = "6.19"


class Qemu(StrEnum):
    """QEMU version."""

    V11_1 = "11.1"
    V10_0 = "10.0"
    V7_2 = "7.2"


class Tfa(StrEnum):
    """Which uncontainable test TF-A makes."""

    OLD = "old"  # until October 2025
    NEW = "new"  # commit 14320bce3


class Aest(StrEnum):
    """Whether the host's kernel has the AEST driver; matters for kernel_first."""

    DRIVER = "driver"  # patch series
    NONE = "none"  # mainline: SErrors panic or continue, no record is read


class Probes(StrEnum):
    """Whether the platform registers a probe for its error records."""

    PRESENT = "present"
    ABSENT = "absent"  # Neoverse RD: interrupts only, an in-band error meets a NULL probe


class SeverityPolicy(StrEnum):
    """Which column of the severity table EL3 follows (nodes.el3.severity_policy)."""

    STRICT = "strict"  # UEU and UC are fatal
    NEOVERSE_RD = "neoverse_rd"  # Arm's reference code: nothing but CE is ever anything but recoverable


class Switches(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All switches of a host."""

    handling: Handling = Handling.FIRMWARE_FIRST
    virtual_syndrome: VirtualSyndrome = VirtualSyndrome.KVM
    record_location: RecordLocation = RecordLocation.CONTRACT
    record_delivery: RecordDelivery = RecordDelivery.POINTERS
    notification: NotificationSwitch = NotificationSwitch.SDEI
    record_format: RecordFormat = RecordFormat.V1P1
    kernel: Kernel = Kernel.V6_12
    guest_kernel: Kernel = Kernel.V6_12
    qemu: Qemu = Qemu.V11_1
    tfa: Tfa = Tfa.OLD
    aest: Aest = Aest.DRIVER
    probes: Probes = Probes.PRESENT
    severity_policy: SeverityPolicy = SeverityPolicy.STRICT
    ce_threshold: Annotated[
        int,
        Meta(ge=1, le=CE_THRESHOLD_MAX, description="Corrected errors of one record before firmware is told."),
    ] = 1
    panic_on_oops: Annotated[bool, Meta(description="Of both kernels; false is Debian's default.")] = False


_CHANGES: Final[Any] = msgspec.defstruct(
    "_CHANGES",
    [(name, kind | UnsetType, UNSET) for name, kind in get_type_hints(Switches, include_extras=True).items()],
    frozen=True,
    forbid_unknown_fields=True,
)


class SwitchChanges(_CHANGES, frozen=True, forbid_unknown_fields=True):  # type: ignore[misc, call-arg]
    """Some switches of a host, each with its new value; the others stay as they are."""

    def applied(self, switches: Switches) -> Switches:
        """The switches with these changes."""
        return msgspec.structs.replace(switches, **self.named())

    def named(self) -> dict[str, object]:
        """The switches that change, by name."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not UNSET}


DEFAULT_SWITCHES: Final = Switches()
