"""Registers as fields: the error record's, the control registers that route errors, fault injection.

In JSON a field is a number; what stands for a register's part of 8 bits and more by its nature (addresses,
counters) is hex. Sources: IHI0100 A.c 3.2; DDI0487 D24.
"""

from collections.abc import Callable
from typing import Final

from fleet.decode.view import Json, Row, View, hex_of, register_rows
from nodes.spec.aarch64 import HcrEl2, IsrEl1, Pstate, ScrEl3, SctlrElx
from nodes.spec.bits import FieldValue, Register
from nodes.spec.err import (
    MISC0_FORMATS,
    SERR_SAYS,
    ErrAddr,
    ErrCtlr,
    ErrFr,
    ErrIdr,
    ErrPfgcdn,
    ErrPfgctl,
    ErrPfgf,
    ErrSelr,
    ErrStatus,
    Misc0,
    Misc0Impdef,
    error_state,
)
from nodes.spec.severity import ErrorState, Uet

PAGE_SHIFT: Final = 12  # of a 4 KiB page frame number
UNKNOWN_SERR: Final = "reserved code, hardware/injection artefact"
STATES: Final = {
    ErrorState.NONE: "no error",
    ErrorState.CE: "corrected",
    ErrorState.DE: "deferred: poison was made or passed on",
    ErrorState.UEO: "uncorrected, restartable: contained and not consumed",
    ErrorState.UER: "uncorrected, recoverable: contained, goes on after repair",
    ErrorState.UEU: "uncorrected, unrecoverable: contained, the component cannot go on",
    ErrorState.UC: "uncorrected, uncontainable: may have spread",
}
FORMATS: Final[dict[str, tuple[type[Misc0], str]]] = {  # name of the option, what JSON calls it
    "16": (MISC0_FORMATS[4, 0], "16-bit RP=0"),
    "8": (MISC0_FORMATS[2, 0], "8-bit RP=0"),
    "16-pair": (MISC0_FORMATS[4, 1], "16-bit RP=1"),
    "8-pair": (MISC0_FORMATS[2, 1], "8-bit RP=1"),
    "none": (Misc0Impdef, "no counter"),
}


def register_view(register: Register, title: str) -> View:
    """Any declared register: every field a number."""
    fields: dict[str, Json] = {"value": hex_of(register)}
    for part in register.explained():
        fields[part.name] = part.value
    if register.undeclared():
        fields["undeclared"] = hex_of(register.undeclared())
    return View(f"{title} {hex_of(register)}", fields, list(register_rows(register)))


def _plain(kind: type[Register], title: str) -> Callable[[int], View]:
    return lambda value: register_view(kind(value), title)


def status_view(value: int) -> View:
    """ERR<n>STATUS, with the state of IHI0100 table 2-1."""
    status = ErrStatus(value)
    view = register_view(status, "ERR<n>STATUS")
    state = error_state(value)
    serr = SERR_SAYS.get(status.SERR, UNKNOWN_SERR)
    view.fields["SERR"] = f"0x{status.SERR:02x} ({serr})"
    view.fields["UET"] = Uet(status.UET).name if status.V and status.UE else None
    view.rows.append(Row("error code", "", "", serr))
    view.add("state", state.name if state else "none", says=STATES[state])
    return view


def fr_view(value: int) -> View:
    """ERR<n>FR; bits 3:2 mean something else in the first record of a RAS node than in the others."""
    feature = ErrFr(value)
    view = register_view(feature, "ERR<n>FR")
    view.fields["bits3_2"] = f"{feature.ERT:02b} {'ERT' if feature.ED in {0, 3} else 'IMPDEF'}"
    return view


def addr_view(value: int) -> View:
    """ERR<n>ADDR and the page it names."""
    address = ErrAddr(value)
    view = register_view(address, "ERR<n>ADDR")
    view.fields["PADDR"] = hex_of(address.PADDR)
    for bit in range(address.width):
        if address.undeclared() >> bit & 1:
            view.fields[f"bit{bit}"] = "set (RES0 field, implementation artefact)"
    view.add("pfn_4k", hex_of(address.PADDR >> PAGE_SHIFT), says="page frame of 4 KiB")
    return view


def misc0_view(value: int, layout: str) -> View:
    """ERR<n>MISC0 in one of its counter formats, a key of FORMATS."""
    kind, name = FORMATS[layout]
    register = kind(value)
    view = register_view(register, "ERR<n>MISC0")
    for part in register.explained():
        if part.msb != part.lsb:
            view.fields[part.name] = hex_of(part.value)
    view.add("CEC_format", name, says="by FR.CEC and FR.RP")
    if kind is not Misc0Impdef and any(_is_full(part) for part in register.explained()):
        view.tell("effect", "the next CE wraps: the sticky overflow is set, a corrected error event")
    return view


def _is_full(part: FieldValue) -> bool:
    return part.msb > part.lsb and part.value == (1 << part.msb - part.lsb + 1) - 1


PLAIN: Final[dict[str, Callable[[int], View]]] = {
    "errctlr": _plain(ErrCtlr, "ERR<n>CTLR"),
    "errpfgf": _plain(ErrPfgf, "ERR<n>PFGF"),
    "errpfgctl": _plain(ErrPfgctl, "ERR<n>PFGCTL"),
    "errpfgcdn": _plain(ErrPfgcdn, "ERR<n>PFGCDN"),
    "erridr": _plain(ErrIdr, "ERRIDR_EL1"),
    "errselr": _plain(ErrSelr, "ERRSELR_EL1"),
    "scr": _plain(ScrEl3, "SCR_EL3"),
    "hcr": _plain(HcrEl2, "HCR_EL2"),
    "sctlr": _plain(SctlrElx, "SCTLR_ELx"),
    "spsr": _plain(Pstate, "SPSR_ELx"),
    "isr": _plain(IsrEl1, "ISR_EL1"),
}
