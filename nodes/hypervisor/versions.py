"""What differs between the QEMU versions that run a guest, as far as errors are concerned.

Sources: QEMU 7.2.22, 10.0.2 and 10.2.50 hw/acpi/ghes.c, target/arm/kvm.c, hw/arm/virt-acpi-build.c;
qapi/acpi-hest.json.
"""

from typing import Final, NamedTuple

from nodes.policy import Qemu
from nodes.spec.mm import VERSION_1_0


class QemuBehaviour(NamedTuple):
    """One row of the table."""

    source_count: int  # error sources in its HEST: SEA, then GPIO
    exit_text: str  # how it ends when a guest did not acknowledge
    injects: bool  # QMP inject-ghes-v2-error exists
    mm_version: int = VERSION_1_0  # how it answers MM_VERSION (on demand); assumed, no QEMU answers it


QEMU: Final[dict[Qemu, QemuBehaviour]] = {
    Qemu.V7_2: QemuBehaviour(1, "failed to record the error: abort()", injects=False),
    Qemu.V10_0: QemuBehaviour(1, "failed to record the error: abort()", injects=False),
    Qemu.V11_1: QemuBehaviour(
        2,
        "OSPM does not acknowledge previous error, so can not record CPER for current error anymore: exit(1)",
        injects=True,
    ),
}
