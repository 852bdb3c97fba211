"""Lines of a kernel's log beside the records themselves: what it did about an error, and what else told of it.

One row for each form. A row that only remarks on something is understood and asks for nothing. Lines of a
register dump are known only behind the SError or the panic that they belong to.

Sources: Linux mm/memory-failure.c and drivers/acpi/apei/ghes.c from 5.4 to 6.19, arch/arm64/kernel/traps.c
arm64_serror_panic(), die() and arm64_show_signal(), arch/arm64/mm/fault.c do_sea() and do_mem_abort() from 3.7 on,
drivers/pci/pcie/aer.c, drivers/edac/edac_mc.c and ghes_edac.c, drivers/acpi/apei/bert.c;
QEMU scripts/ghes_inject.py.
"""

import re
from enum import Enum, auto
from typing import Final, NamedTuple


class Tells(Enum):
    """What a line tells."""

    OFFLINED = auto()  # memory_failure ended for a page
    SOFT_OFFLINED = auto()  # soft offline ended for a page
    SIGBUS = auto()  # a task got its signal for a page
    BAD_ADDRESS = auto()  # a record's address is no memory
    RECOVERING = auto()  # the AER driver looked at a device
    PANIC = auto()
    SERROR = auto()  # an SError was taken, and the kernel is on its way to panic
    ABORT = auto()  # an abort was taken; the line of its signal or oops may follow
    ABORT_ENDS = auto()  # a task is signalled, or the kernel dies, for an abort or something else
    EDAC = auto()  # a memory controller's driver tells of an error
    VERSION = auto()  # of the kernel
    BOOT_RECORD = auto()  # records of the boot before follow (BERT)
    REMARK = auto()  # understood, and nothing follows from it


class Row(NamedTuple):
    """One form of a line."""

    tells: Tells
    pattern: re.Pattern[str]


_PFN: Final = r"(?:0x)?(?P<pfn>[0-9a-f]{1,16})"
_PLACE: Final = r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]"
_DEVICE: Final = rf"(?:\S{{1,64}} )?(?P<device>{_PLACE})"
_RESULT: Final = r"(?P<result>Ignored|Failed|Delayed|Recovered)"

_ESR: Final = r"(?:0x)?(?P<esr>[0-9a-f]{8}|[0-9a-f]{16})"
_FAR: Final = r"0x(?P<far>[0-9a-f]{1,16})"


def _row(tells: Tells, pattern: str) -> Row:
    return Row(tells, re.compile(pattern))


ROWS: Final = (
    _row(Tells.OFFLINED, rf"Memory failure: {_PFN}: recovery action for (?P<page>[^:]{{1,80}}): {_RESULT}"),
    _row(Tells.OFFLINED, rf"(?:Memory failure:|MCE) {_PFN}: (?P<page>[^:]{{1,80}}?) recovery: {_RESULT}"),
    _row(
        Tells.SIGBUS,
        rf"(?:Memory failure: |MCE )?{_PFN}: "
        r"(?:Sending SIGBUS to|Killing|forcibly killing) (?P<task>.{1,32}):\d+ .*",
    ),
    _row(Tells.SIGBUS, r"GHES: .*synchronous unrecoverable error \(SIGBUS\).*"),
    _row(Tells.SOFT_OFFLINED, rf"(?:Memory failure: )?[Ss]oft[ _]offline: {_PFN}: (?P<result>invalidated)"),
    _row(Tells.SOFT_OFFLINED, rf"(?:Memory failure: )?[Ss]oft[ _]offline: {_PFN}: .*(?P<result>failed).*"),
    _row(Tells.REMARK, r"(?:Memory failure: )?[Ss]oft[ _]offlin(?:e|ing)\b.*"),
    _row(Tells.REMARK, rf"Memory failure: {_PFN}: .*"),
    _row(Tells.REMARK, r"memory-failure: .*|Unpoison: .*"),
    _row(
        Tells.BAD_ADDRESS,
        r"\[Firmware Warn\]: GHES: Invalid address in generic error data: (?:0x)?(?P<address>[0-9a-f]{1,16})",
    ),
    _row(Tells.REMARK, r"(?:\[Firmware Warn\]: )?GHES: .*"),
    _row(Tells.PANIC, r"Kernel panic - not syncing: (?P<reason>.{1,200})"),
    _row(Tells.REMARK, r"---\[ end Kernel panic - not syncing: .*"),
    _row(
        Tells.SERROR,
        r"SError Interrupt on CPU(?P<cpu>\d{1,5}), code (?:0x)?(?P<esr>[0-9a-f]{1,16}) -- SError",
    ),
    _row(
        Tells.SERROR,
        r"Bad mode in Error handler detected on CPU(?P<cpu>\d{1,5}), code (?:0x)?(?P<esr>[0-9a-f]{1,16}) -- .*",
    ),
    _row(Tells.ABORT, rf"Synchronous External Abort: .{{1,80}} \({_ESR}\)(?: at {_FAR})?"),
    _row(Tells.ABORT, rf"Unhandled fault: .{{1,80}} \({_ESR}\) at {_FAR}"),
    _row(Tells.ABORT_ENDS, rf".{{1,32}}\[\d{{1,10}}\]: unhandled exception: .{{1,40}}, ESR {_ESR}, .{{1,200}}"),
    _row(Tells.ABORT_ENDS, rf"Internal error: .{{0,80}}: {_ESR}(?: \[#\d{{1,10}}\].*)?"),
    _row(Tells.RECOVERING, rf"{_DEVICE}: (?:AER: )?aer_status: 0x(?P<status>[0-9a-f]{{1,8}}), aer_mask: .*"),
    _row(Tells.REMARK, rf"{_DEVICE}: AER: .*"),
    _row(Tells.REMARK, rf"{_DEVICE}: (?: *\[ ?\d{{1,2}}\] \S|aer_\w+[:=]).*"),
    _row(
        Tells.EDAC,
        r"EDAC (?P<controller>\S{1,32}): (?:(?P<count>\d{1,9}) )?(?P<kind>CE|UE) "
        r"(?P<what>[^(]{1,250})\((?P<where>.*)",
    ),
    _row(Tells.REMARK, r"EDAC (?:MC|DEBUG|GHES|ghes|MC\d+): .*|ghes_edac: .*"),
    _row(Tells.VERSION, r"Linux version (?P<major>\d{1,3})\.(?P<minor>\d{1,3})(?P<rest>[^ ]{0,64})(?: .*)?"),
    _row(Tells.BOOT_RECORD, r"BERT: Error records from previous boot:"),
    _row(Tells.REMARK, r"BERT: .*"),
    _row(Tells.REMARK, r"(?:HEST|ERST|EINJ|ACPI: HEST|ACPI: BERT|ACPI: ERST|ACPI: AEST)\b.*"),
    _row(Tells.REMARK, r"GUID: [0-9a-f-]{36}|Error injected\.|Using schema .*"),
    _row(
        Tells.REMARK,
        r"(?:Generic Error (?:Status Block|Data Entry)|Payload|Raw data) \(\d+ bytes\):?",
    ),
)

DUMP_ROWS: Final = (  # of registers, behind an SError or a panic
    _row(
        Tells.VERSION,
        r"CPU: (?P<cpu>\d{1,5}) (?:UID: \d{1,10} )?PID: \d{1,10} Comm: .{1,32} "
        r"(?:Not tainted|Tainted: [A-Z ]{1,60}?) +"
        r"(?P<major>\d{1,3})\.(?P<minor>\d{1,3})(?P<rest>\S{0,64})(?: .*)?",
    ),
    _row(Tells.REMARK, r"pstate: (?P<pstate>[0-9a-f]{1,8}) \(.*"),
    _row(Tells.REMARK, r"(?:Tainted|Hardware name|Workqueue|Code|Modules linked in|Call trace): ?.*"),
    _row(Tells.REMARK, r"(?:pc|lr|sp|pmr\w*|x\d{1,2}) ?: .*"),
    _row(Tells.REMARK, r" ?\S{1,200}\+0x[0-9a-f]+/0x[0-9a-f]+.*| \(\w+\)"),
    _row(Tells.REMARK, r"---\[ end trace [0-9a-f]{16} \]---|note: .{1,32}\[\d{1,10}\] exited with .*"),
    _row(Tells.REMARK, r"SMP: .*|(?:Kernel Offset|PHYS_OFFSET|CPU features|Memory Limit): .*|Rebooting in .*"),
)

ABOUT_ERRORS: Final = re.compile(
    r"hardware error|serror|\b(?:edac|aer|ghes|apei|cper|bert|mce|ecc)\b|memory failure|poison|sigbus|uncorrect"
    r"|machine check|external abort",
    re.IGNORECASE,
)


def known_line(text: str, rows: tuple[Row, ...] = ROWS) -> tuple[Tells, re.Match[str]] | None:
    """What a line tells, and its parts; None for one that nobody here knows."""
    line = text.rstrip(" ")
    for row in rows:
        found = row.pattern.fullmatch(line)
        if found is not None:
            return row.tells, found
    return None
