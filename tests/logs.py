"""Logs of kernels as tests need them: printed blocks with everything that can stand before a line."""

from nodes.linux.dmesg import dmesg
from nodes.policy import Kernel

WARNS = "[Firmware Warn]: "


def printed(block, kernel=Kernel.V6_12, source_id=7, sequence=1):
    """The lines of a block behind the prefix of its record, as the log has them."""
    return [
        line if line.startswith(WARNS) else f"{{{sequence}}}[Hardware Error]: {line}"
        for line in dmesg(block, kernel, source_id=source_id, sequence=sequence)
    ]


def stamped(lines, at_us=1_000_000, before=""):
    """The same lines with the kernel's time, a microsecond apart, and what stands before that."""
    return [
        f"{before}[{(at_us + i) // 10**6:5d}.{(at_us + i) % 10**6:06d}] {line}" for i, line in enumerate(lines)
    ]


def text(*parts):
    """Lines and lists of lines as the bytes of a log."""
    lines = []
    for part in parts:
        lines += [part] if isinstance(part, str) else part
    return ("\n".join(lines) + "\n").encode("latin-1")
