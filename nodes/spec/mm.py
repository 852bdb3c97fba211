"""MM_COMMUNICATE: what a call returns, what UEFI makes of that, and the head of the communication buffer.

Sources: Arm DEN0060 (MM interface: MM_VERSION, MM_COMMUNICATE, return codes); TF-A include/services/spm_mm_svc.h;
edk2 ArmPkg/Drivers/MmCommunicationDxe, MdePkg/Include/IndustryStandard/ArmStdSmc.h, whose NO_MEMORY is -4, so
that -5 is unknown to it.
"""

from enum import IntEnum
from types import MappingProxyType
from typing import Final


class MmReturn(IntEnum):
    """X0 of MM_COMMUNICATE."""

    SUCCESS = 0
    NOT_SUPPORTED = -1
    INVALID_PARAMETER = -2
    DENIED = -3
    NO_MEMORY = -5  # TF-A, edk2 ArmPkg


EFI_STATUS: Final = MappingProxyType(  # what MmCommunicationDxe hands to its caller
    {
        MmReturn.SUCCESS: "EFI_SUCCESS",
        MmReturn.NOT_SUPPORTED: "EFI_ACCESS_DENIED",
        MmReturn.INVALID_PARAMETER: "EFI_INVALID_PARAMETER",
        MmReturn.DENIED: "EFI_ACCESS_DENIED",
        MmReturn.NO_MEMORY: "EFI_ACCESS_DENIED",
    }
)
VERSION_1_0: Final = 1 << 16  # MM_VERSION: major << 16 | minor
_MAJOR_SHIFT: Final = 16
HEADER_SIZE: Final = 24  # bytes before the message: GUID, then its length in 64 bits


def is_supported(version: int) -> bool:
    """Whether MmCommunicationDxe works with this MM_VERSION: its own major number, at least its minor one."""
    return version >= VERSION_1_0 and version >> _MAJOR_SHIFT == VERSION_1_0 >> _MAJOR_SHIFT
