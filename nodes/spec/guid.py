"""GUIDs as UEFI and ACPI store them: the first three groups little-endian.

In this program a GUID is its sixteen bytes as they lie in memory, which compare and copy without conversion.
Source: UEFI 2.11 appendix A.
"""

from typing import Final
from uuid import UUID

NIL: Final = bytes(16)


def guid(text: str) -> bytes:
    """The bytes of a GUID written in the usual way: ``guid("a5bc1114-6f64-4ede-b863-3e83ed7c83b1")``."""
    return UUID(text).bytes_le


def guid_text(stored: bytes) -> str:
    """Sixteen stored bytes in the usual way of writing, lower case."""
    return str(UUID(bytes_le=bytes(stored)))
