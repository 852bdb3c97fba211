"""What differs between the Linux versions that a host or a guest can run, as far as errors are concerned.

Sources: Linux 6.1.192 and 6.12.117 (drivers/acpi/apei/ghes.c, mm/memory-failure.c, arch/arm64/kvm), and for 6.19
the patches that went in after 6.12 (KVM: inject SErrors directly; ACPI: APEI: memory_failure in task work; no
check of the page frame). The exit to user space for an unclaimed abort of a guest (KVM_CAP_ARM_SEA_TO_USER, 6.19)
has no row: a VMM must ask for it, and QEMU does not.
"""

from typing import Final, NamedTuple

from nodes.policy import Kernel


class Behaviour(NamedTuple):
    """One row of the table."""

    cancels_duplicate_sea: bool  # a cached duplicate makes apei_claim_sea() fail, so the task gets its signal
    failure_in_task_work: bool  # memory_failure of a synchronous error runs in the task, without the queue
    checks_pfn: bool  # an address that is no memory is warned about and dropped before memory_failure
    checks_arm_length: bool  # error information of an ARM section must fit the section
    names_get_hwpoison: bool  # an unhandlable page is "get hwpoison page"; before, "unknown page"
    acts_on_repoisoned: bool  # a page that was already poisoned gets an action result ("already poisoned page")
    huge_by_head: bool  # a signal for a huge page names its first 4 KiB, and only by them is it found again
    serror_into_unmasked_guest: bool  # KVM takes the virtual SError for the guest, with IL=0 in ESR_EL1
    abort_before_serror: bool  # KVM_SET_VCPU_EVENTS applies the abort before it checks the SError


BEHAVIOUR: Final[dict[Kernel, Behaviour]] = {
    Kernel.V6_1: Behaviour(
        cancels_duplicate_sea=False,
        failure_in_task_work=False,
        checks_pfn=True,
        checks_arm_length=False,
        names_get_hwpoison=False,
        acts_on_repoisoned=False,
        huge_by_head=True,
        serror_into_unmasked_guest=False,
        abort_before_serror=False,
    ),
    Kernel.V6_12: Behaviour(
        cancels_duplicate_sea=True,
        failure_in_task_work=False,
        checks_pfn=True,
        checks_arm_length=True,
        names_get_hwpoison=True,
        acts_on_repoisoned=True,
        huge_by_head=False,
        serror_into_unmasked_guest=False,
        abort_before_serror=False,
    ),
    Kernel.V6_19: Behaviour(
        cancels_duplicate_sea=True,
        failure_in_task_work=True,
        checks_pfn=False,
        checks_arm_length=True,
        names_get_hwpoison=True,
        acts_on_repoisoned=True,
        huge_by_head=False,
        serror_into_unmasked_guest=True,
        abort_before_serror=True,
    ),
}
