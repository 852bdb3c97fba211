"""ESR_ELx, DISR_EL1, VDISR_EL2 and VSESR_EL2 as fields, and what Linux does about them.

A field that the others make invalid is null: AET and IESB without DFSC 0x11, SET without an external abort. The
outcome in words is that of a host kernel with FEAT_RAS.

Sources: DDI0487 D24.2.40, D24.9.1; Linux 6.12 arch/arm64/kernel/traps.c arm64_is_fatal_ras_serror(),
arch/arm64/mm/fault.c do_sea(), arch/arm64/include/asm/exception.h disr_to_esr().
"""

from typing import Final

from fleet.decode.view import Json, Row, View, hex_of, register_rows
from nodes.spec.aarch64 import (
    ABORT_CLASSES,
    FAULT_STATUS,
    LOWER_ABORT_CLASSES,
    SEA_FAULT_STATUS,
    ExceptionClass,
)
from nodes.spec.bits import Register
from nodes.spec.severity import Aet, Set
from nodes.spec.syndrome import (
    DFSC_SERROR,
    DISR_A,
    FSC_SEA,
    IDS,
    ISS_MASK,
    EsrAbort,
    EsrImpdef,
    EsrSError,
    VsesrEl2,
    disr_register,
    disr_to_esr,
    esr_register,
    exception_class,
    vserror_esr,
)

_DEFERRABLE: Final = ("EA", "DFSC", "WU", "WnRV", "WnR")  # in ESR_ELx and in DISR_EL1 alike
_TAKEN: Final = ("ELS", "VFV", "PFV")  # in ESR_ELx only
_STATE: Final = frozenset({"AET", "DFSC"})  # what a syndrome says of the PE
_ABORT_PLAIN: Final = ("ISV", "FnV", "EA", "CM", "S1PTW", "WnR", "VNCR", "DFSC")
_AET_OUTCOME: Final = {
    Aet.UC: "host panic: RAS SError, AET=UC, may have spread",
    Aet.UEU: "host panic: RAS SError, AET=UEU is fatal",
    Aet.UER: "host panic: RAS SError, AET=UER is fatal",
    Aet.UEO: "non-fatal: goes on, nothing is logged",
    Aet.CE: "non-fatal: goes on, nothing is logged",
}


def _aet_name(aet: int) -> str:
    return Aet(aet).name if aet in Aet._value2member_map_ else "reserved"


def _iss_fields(iss: int) -> dict[str, Json]:
    if iss & IDS:
        return {"IDS": 1, "impdef": EsrImpdef(iss).IMPDEF}
    register = EsrSError(iss)
    return {
        "IDS": 0,
        **{name: getattr(register, name) for name in _DEFERRABLE},
        "AET": _aet_name(register.AET) if register.DFSC == DFSC_SERROR else None,
    }


def serror_fields(esr: int) -> dict[str, Json]:
    """The fields of an SError's syndrome, by name."""
    register = EsrSError(esr)
    fields: dict[str, Json] = {"EC": register.EC, "IL": register.IL, "ISS": esr & ISS_MASK, **_iss_fields(esr)}
    if not register.IDS:
        fields |= {name: getattr(register, name) for name in _TAKEN}
        fields["IESB"] = register.IESB if register.DFSC == DFSC_SERROR else None
    return fields


def serror_outcome(esr: int) -> str:
    """What Linux does when it takes this SError."""
    if esr & IDS:
        return "host panic: IDS=1, not a RAS SError"
    register = EsrSError(esr)
    if register.DFSC != DFSC_SERROR:
        return "host panic: DFSC is not 0x11, treated as UC"
    aet = register.AET
    return _AET_OUTCOME[Aet(aet)] if aet in Aet._value2member_map_ else "host panic: reserved AET"


def abort_fields(esr: int) -> dict[str, Json]:
    """The fields of a data or instruction abort's syndrome, by name."""
    register = EsrAbort(esr)
    state: Json = None
    if register.DFSC == FSC_SEA and not register.ISV:
        state = Set(register.SET).name if register.SET in Set._value2member_map_ else "reserved"
    return {
        "EC": register.EC,
        "IL": register.IL,
        "ISS": esr & ISS_MASK,
        **{name: getattr(register, name) for name in _ABORT_PLAIN},
        "SET": state,
        "fault_status": FAULT_STATUS.get(register.DFSC, "reserved"),
    }


def abort_outcome(esr: int) -> str:
    """What Linux does when it takes this abort."""
    register = EsrAbort(esr)
    if register.DFSC not in SEA_FAULT_STATUS:
        return "no external abort: the fault is handled by its status"
    if register.EC in LOWER_ABORT_CLASSES:
        return "synchronous external abort: SIGBUS, unless a GHES source claims it"
    return "synchronous external abort in the kernel: oops, for only a task's is offered to a GHES source"


def class_name(ec: int) -> str:
    """The name of an exception class."""
    return ExceptionClass(ec).name if ec in ExceptionClass._value2member_map_ else "reserved"


def esr_view(esr: int) -> View:
    """ESR_ELx."""
    ec = exception_class(esr)
    view = View(f"ESR_ELx {hex_of(esr)}: {class_name(ec)}", rows=list(register_rows(esr_register(esr))))
    if ec == ExceptionClass.SERROR:
        fields, outcome = serror_fields(esr), serror_outcome(esr)
    elif ec in ABORT_CLASSES:
        fields, outcome = abort_fields(esr), abort_outcome(esr)
        view.rows.append(Row("fault status", "", "", str(fields["fault_status"])))
    else:
        fields, outcome = {"EC": ec, "IL": EsrSError(esr).IL, "ISS": esr & ISS_MASK}, ""
    view.fields = {"value": hex_of(esr), "EC_name": class_name(ec), **fields}
    if outcome:
        view.tell("linux", outcome)
    return view


def disr_view(value: int, name: str = "DISR_EL1") -> View:
    """DISR_EL1 or VDISR_EL2: what an ESB deferred, and the ESR_ELx that Linux makes of it."""
    register = disr_register(value)
    view = _register_view(register, f"{name} {hex_of(value)}")
    view.fields |= {"A": int(bool(value & DISR_A)), "ISS": value & ISS_MASK, **_iss_fields(value)}
    esr = disr_to_esr(value)
    view.add("esr", hex_of(esr), says="what Linux makes of it; IL stays 0")
    view.tell("linux", serror_outcome(esr) if value & DISR_A else "nothing was deferred")
    return view


def vdisr_view(value: int) -> View:
    """VDISR_EL2."""
    return disr_view(value, "VDISR_EL2")


def vsesr_view(value: int) -> View:
    """VSESR_EL2, and the ESR_EL1 that a guest will see."""
    view = _register_view(VsesrEl2(value), f"VSESR_EL2 {hex_of(value)}")
    esr = vserror_esr(value)
    if not value & IDS:
        view.rows += [row for row in register_rows(EsrSError(esr)) if row.name.split(" ")[0] in _STATE]
    view.fields |= serror_fields(esr)
    view.add("esr_el1", hex_of(esr), says="what the guest takes")
    view.tell("linux", serror_outcome(esr).replace("host", "guest"))
    return view


def _register_view(register: Register, title: str) -> View:
    return View(title, {"value": hex_of(register)}, list(register_rows(register)))
