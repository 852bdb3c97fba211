"""What hosts that are alike share: their shape, their switches, and everything computed from the two.

A platform is made once for each pair of shape and switches and is never changed.
"""

from functools import lru_cache
from typing import Final

import msgspec

from nodes.apei.qemu_tables import HardwareErrors, fw_cfg_files, loader_script
from nodes.el3.sources import source_kinds
from nodes.guest.uefi import Booted, ask_by_mm, run_loader
from nodes.hardware.board import Setup
from nodes.hardware.dram import DramGeometry
from nodes.hypervisor.versions import QEMU, QemuBehaviour
from nodes.linux.kernel import KernelConfig
from nodes.linux.pages import GUEST_BASE, PAGE_SIZE, MemoryMap, PageKind, guest_map, host_map, user_address
from nodes.linux.versions import BEHAVIOUR
from nodes.policy import Handling, RecordLocation, Switches
from nodes.spec.aarch64 import SCR_FIRMWARE_FIRST, SCR_KERNEL_FIRST
from nodes.spec.mm import is_supported
from nodes.stack.limits import Limits, Shape

MM_BUFFER: Final = 0x7B00_0000  # where QEMU keeps its buffer when asked by MM_COMMUNICATE; assumed
PLATFORMS_MAX: Final = 4096  # distinct pairs of shape and switches kept; an older one is computed again


class HostShape(msgspec.Struct, frozen=True):
    """How large a host is."""

    sockets: int = 1
    channels: int = 8  # DIMMs of a socket; a power of two
    memory_gib: int = 64
    guests: int = 4
    guest_memory_gib: int = 4
    pes: int = 16


class Platform:
    """Everything that hosts of one shape and one set of switches share."""

    __slots__ = (
        "firmware",
        "firmware_first",
        "guest_config",
        "guest_map",
        "host_config",
        "host_map",
        "limits",
        "qemu",
        "setup",
        "shape",
        "source_kinds",
        "switches",
    )

    def __init__(self, shape: HostShape, switches: Switches) -> None:
        self.shape = shape
        self.switches = switches
        self.host_map: MemoryMap = host_map(shape.memory_gib, shape.guests, shape.guest_memory_gib)
        self.guest_map: MemoryMap = guest_map(shape.guest_memory_gib)
        self.firmware_first = switches.handling is Handling.FIRMWARE_FIRST
        self.setup = Setup(
            DramGeometry(shape.sockets, shape.channels),
            switches.record_format,
            SCR_FIRMWARE_FIRST if self.firmware_first else SCR_KERNEL_FIRST,
            switches.ce_threshold,
        )
        self.qemu: QemuBehaviour = QEMU[switches.qemu]
        self.source_kinds = source_kinds(switches.notification)
        self.limits = Limits(Shape(shape.sockets, self.setup.geometry.dimm_count, shape.guests, shape.pes))
        self.host_config = KernelConfig(
            BEHAVIOUR[switches.kernel], self.host_map, len(self.source_kinds), switches.panic_on_oops
        )
        self.guest_config = KernelConfig(
            BEHAVIOUR[switches.guest_kernel], self.guest_map, self.qemu.source_count, switches.panic_on_oops
        )
        self.firmware: Booted = self._boot_guest()

    def _boot_guest(self) -> Booted:
        """What the firmware of a guest does at boot; the same for every guest of this platform."""
        count = self.qemu.source_count
        if self.switches.record_location is RecordLocation.MM_COMMUNICATE:
            return ask_by_mm(MM_BUFFER if is_supported(self.qemu.mm_version) else None, count)
        return run_loader(fw_cfg_files(count), loader_script(self.switches.qemu, count))

    def guest_of(self, address: int) -> int:
        """The guest whose RAM holds a physical address of the host; -1: none."""
        return self.host_map.page_of(address).owner

    def ipa_of(self, address: int) -> int:
        """The guest physical address behind a physical address of the host; it must belong to a guest."""
        page = self.host_map.page_of(address)
        assert page.owner >= 0, f"{address:#x} is no guest's"
        return GUEST_BASE + address - page.first

    def virtual_address(self, guest: int, address: int) -> int:
        """Where the code that touches an address has it mapped: a task's address, in the guest or the host."""
        if guest >= 0 and self.guest_of(address) == guest:
            ipa = self.ipa_of(address)
            return user_address(self.guest_map.page_of(ipa), ipa) | address & PAGE_SIZE - 1
        return user_address(self.host_map.page_of(address), address) | address & PAGE_SIZE - 1

    def address_of(self, guest: int, ipa: int) -> int:
        """The host's physical address behind a guest physical one."""
        size = self.shape.guest_memory_gib << 30
        assert 0 <= ipa - GUEST_BASE < size, f"{ipa:#x} lies outside the guest"
        return self.host_map.start + guest * size + ipa - GUEST_BASE

    def task_page(self, guest: int) -> int:
        """Physical address of a page that a task of a guest, or of the host (-1), uses."""
        if guest < 0:
            return self.host_map.range_of(PageKind.APPLICATION)[0]
        return self.address_of(guest, self.guest_map.range_of(PageKind.APPLICATION)[0])

    def hardware_errors(self) -> HardwareErrors | None:
        """Where a guest's records lie; None where its firmware did not say."""
        base = self.firmware.addresses.get("etc/hardware_errors")
        return None if base is None else HardwareErrors(base, self.qemu.source_count)


@lru_cache(maxsize=PLATFORMS_MAX)
def platform_of(shape: HostShape, switches: Switches) -> Platform:
    """The platform of this shape and these switches."""
    return Platform(shape, switches)
