"""Control registers and tables of exception classes and fault status."""

from nodes.spec.aarch64 import (
    ABORT_CLASSES,
    FAULT_STATUS,
    HCR_GUEST,
    HCR_VHE_HOST,
    SCR_FIRMWARE_FIRST,
    SCR_KERNEL_FIRST,
    SEA_FAULT_STATUS,
    SEA_ON_WALK,
    SYSTEM_REGISTERS,
    ExceptionClass,
)


def test_firmware_first_differs_from_kernel_first_by_the_claim_on_external_aborts():
    assert SCR_FIRMWARE_FIRST.EA == 1
    assert SCR_FIRMWARE_FIRST.but(EA=0) == SCR_KERNEL_FIRST


def test_a_guests_errors_and_its_error_records_go_to_the_hypervisor():
    assert (HCR_GUEST.AMO, HCR_GUEST.TEA, HCR_GUEST.TERR, HCR_GUEST.TGE) == (1, 1, 1, 0)
    assert (HCR_VHE_HOST.TGE, HCR_VHE_HOST.E2H) == (1, 1)


def test_every_fault_status_that_is_an_external_abort_has_words():
    assert set(FAULT_STATUS) >= SEA_FAULT_STATUS > SEA_ON_WALK
    assert all("abort" in FAULT_STATUS[code] or "parity" in FAULT_STATUS[code] for code in SEA_FAULT_STATUS)


def test_aborts_come_from_lower_levels_and_from_the_current_one():
    assert {ec.name for ec in ExceptionClass if ec in ABORT_CLASSES} == {
        "IABT_LOWER",
        "IABT_CURRENT",
        "DABT_LOWER",
        "DABT_CURRENT",
    }


def test_no_two_system_registers_have_one_encoding():
    assert len(set(SYSTEM_REGISTERS.values())) == len(SYSTEM_REGISTERS)
