"""MM_COMMUNICATE: its codes, and the versions that a caller works with."""

import pytest

from nodes.spec.mm import EFI_STATUS, VERSION_1_0, MmReturn, is_supported


def test_uefi_has_a_status_for_every_code_and_denies_what_it_does_not_know():
    assert set(EFI_STATUS) == set(MmReturn)
    denied = {code for code, status in EFI_STATUS.items() if status == "EFI_ACCESS_DENIED"}
    assert denied == {MmReturn.NOT_SUPPORTED, MmReturn.DENIED, MmReturn.NO_MEMORY}


@pytest.mark.parametrize(
    ("version", "works"), [(VERSION_1_0, 1), (0x1_0007, 1), (0xFFFF, 0), (0, 0), (-1, 0), (0x2_0000, 0)]
)
def test_a_caller_works_with_its_own_major_version(version, works):
    assert is_supported(version) == bool(works)
