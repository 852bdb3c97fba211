"""What can be decoded: one table, kind to view.

A kind takes a number (a register) or bytes (a structure). Where no kind is given, bytes are known by their
signature or as a GUID of the tables, a number as ESR_ELx by the class of an SError or an abort, as DISR_EL1 or
as a valid ERR<n>STATUS by fields that agree; the rest has to be named.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from fleet.decode.arm import ERROR_KINDS, information_view, type_view
from fleet.decode.containers import block_view, body_view, prefix_view, record_view
from fleet.decode.given import is_number, number_of, octets_of, text_of
from fleet.decode.registers import PLAIN, addr_view, fr_view, misc0_view, status_view
from fleet.decode.syndromes import disr_view, esr_view, vdisr_view, vsesr_view
from fleet.decode.tables import aest_view, bert_view, hest_view
from fleet.decode.view import View
from nodes.spec.aarch64 import ABORT_CLASSES, INSTRUCTION_ABORT_CLASSES, ExceptionClass
from nodes.spec.arm_ras_section import ARM_RAS_GUID
from nodes.spec.arm_section import ARM_GUID, Dialect
from nodes.spec.cper import NOTIFICATION_GUIDS
from nodes.spec.err import ErrStatus
from nodes.spec.guid import guid, guid_text
from nodes.spec.layout import Malformed
from nodes.spec.memory_sections import MEMORY2_GUID, MEMORY_GUID
from nodes.spec.platform_sections import FIRMWARE_GUID, PCIE_GUID, PROCESSOR_GUID
from nodes.spec.sections import BY_GUID, decode_section, section_name
from nodes.spec.syndrome import (
    DFSC_MASK,
    DFSC_SERROR,
    DISR_A,
    IDS,
    IL,
    ISS_MASK,
    EsrSError,
    exception_class,
)
from nodes.spec.timestamp import timestamp_of

GUID_SIZE: Final = 16  # bytes
TIMESTAMP_SIZE: Final = 8  # bytes
GUID_TEXT_SIZE: Final = 36  # characters, with dashes


@dataclass(frozen=True, slots=True)
class Options:
    """How to read what the bytes leave open."""

    dialect: Dialect = Dialect.MASK_2_9A  # of the type byte of error information
    misc0: str = "16"  # counter format, a key of fleet.decode.registers.FORMATS
    error: str = "cache"  # whose error information word, a key of fleet.decode.arm.ERROR_KINDS


class Unclear(ValueError):
    """Nothing tells what the value is; the user has to name its kind."""


class Kind(NamedTuple):
    """One row of the table; exactly one of the two makes the view."""

    says: str
    of_number: Callable[[int, Options], View] | None = None
    of_octets: Callable[[bytes, Options], View] | None = None


def _number(says: str, view: Callable[[int], View]) -> Kind:
    return Kind(says, of_number=lambda value, _: view(value))


def _octets(says: str, view: Callable[[bytes], View]) -> Kind:
    return Kind(says, of_octets=lambda source, _: view(source))


def _section(section_type: bytes) -> Kind:
    def view(source: bytes, options: Options) -> View:
        section = decode_section(section_type, source)
        assert section.value is not None
        made = body_view(section.value, options.dialect)
        if section.rest:
            made.add("rest", section.rest.hex(), says="bytes behind the section")
        return made

    return Kind(f"body of a section: {section_name(section_type)}", of_octets=view)


def _guid_view(source: bytes) -> View:
    if len(source) != GUID_SIZE:
        raise Malformed("guid", 0, f"needs {GUID_SIZE} bytes, {len(source)} are there")
    view = View("GUID")
    view.add("guid", guid_text(source))
    notification = {stored: name for name, stored in NOTIFICATION_GUIDS.items()}.get(source)
    known = section_name(source) if notification is None else f"notification {notification}"
    view.add("name", known)
    view.add("bytes", source.hex())
    return view


def _timestamp_view(source: bytes) -> View:
    if len(source) != TIMESTAMP_SIZE:
        raise Malformed("timestamp", 0, f"needs {TIMESTAMP_SIZE} bytes, {len(source)} are there")
    moment = timestamp_of(source)
    view = View("timestamp")
    view.add("timestamp", moment.iso())
    view.add("precise", moment.precise)
    return view


def _type_view(value: int, options: Options) -> View:
    if value > 0xFF:
        raise Malformed("error type", 0, f"{value:#x} is more than a byte")
    return type_view(value, options.dialect)


KINDS: Final[dict[str, Kind]] = {
    "esr": _number("ESR_ELx: SError, abort or another exception", esr_view),
    "disr": _number("DISR_EL1", disr_view),
    "vdisr": _number("VDISR_EL2", vdisr_view),
    "vsesr": _number("VSESR_EL2", vsesr_view),
    "errstatus": _number("ERR<n>STATUS", status_view),
    "errfr": _number("ERR<n>FR", fr_view),
    "erraddr": _number("ERR<n>ADDR", addr_view),
    "errmisc0": Kind("ERR<n>MISC0 (--format)", lambda value, options: misc0_view(value, options.misc0)),
    **{name: _number(view(0).title.split()[0], view) for name, view in PLAIN.items()},
    "pstate": _number("PSTATE, as SPSR_ELx holds it", PLAIN["spsr"]),
    "errinfo": Kind(
        "ARM error information word (--type)",
        lambda value, options: information_view(value, ERROR_KINDS[options.error]),
    ),
    "errtype": Kind("type byte of ARM error information (--dialect)", _type_view),
    "guid": _octets("GUID, sixteen bytes or in the usual way of writing", _guid_view),
    "timestamp": _octets("BCD timestamp of eight bytes", _timestamp_view),
    "cper": Kind("CPER record", of_octets=lambda source, options: record_view(source, options.dialect)),
    "block": Kind(
        "generic error status block", of_octets=lambda source, options: block_view(source, options.dialect)
    ),
    "blockprefix": _octets("the first bytes of a status block with a memory section", prefix_view),
    "memory": _section(MEMORY_GUID),
    "memory2": _section(MEMORY2_GUID),
    "arm": _section(ARM_GUID),
    "armras": _section(ARM_RAS_GUID),
    "pcie": _section(PCIE_GUID),
    "processor": _section(PROCESSOR_GUID),
    "firmware": _section(FIRMWARE_GUID),
    "hest": _octets("HEST", hest_view),
    "aest": _octets("AEST", aest_view),
    "bert": _octets("BERT", bert_view),
}
_LIKELY_CLASSES: Final = ABORT_CLASSES | {ExceptionClass.SERROR}
SIGNATURES: Final = {b"CPER": "cper", b"HEST": "hest", b"AEST": "aest", b"BERT": "bert"}


def guess(content: bytes) -> str:
    """The kind of some content; Unclear for a number that may be many things."""
    if _guid_text(content) is not None:
        return "guid"
    if is_number(content):
        value = number_of(content)
        for kind, likely in _LIKELY.items():
            if likely(value):
                return kind
        raise Unclear(f"{value:#x} may be many things: name the kind of register")
    octets = octets_of(content)
    if octets in BY_GUID or octets in NOTIFICATION_GUIDS.values():
        return "guid"
    return SIGNATURES.get(octets[:4], "block")


def _likely_esr(value: int) -> bool:
    """An SError or an abort; an instruction abort always has IL 1."""
    ec = exception_class(value)
    return not value >> 32 and ec in _LIKELY_CLASSES and bool(ec not in INSTRUCTION_ABORT_CLASSES or value & IL)


def _likely_disr(value: int) -> bool:
    """A deferred SError: IMPLEMENTATION DEFINED, uncategorized, or in the architected format."""
    iss = value & ISS_MASK
    architected = iss & DFSC_MASK == DFSC_SERROR and not iss & ~_DEFERRED
    return value & ~ISS_MASK == DISR_A and bool(iss & IDS or not iss or architected)


def _likely_status(value: int) -> bool:
    """A valid record whose fields agree: UET needs UE, an error response an error that was not corrected."""
    status = ErrStatus(value)
    if status.undeclared() or not status.V:
        return False
    uncorrected = status.UE or status.DE
    return bool((uncorrected or status.CE) and (status.UE or not status.UET) and (uncorrected or not status.ER))


_DEFERRED: Final = EsrSError.AET.mask | EsrSError.EA.mask | DFSC_MASK  # what DISR_EL1 holds without IDS
_LIKELY: Final[dict[str, Callable[[int], bool]]] = {  # no number is two of them
    "esr": _likely_esr,
    "disr": _likely_disr,
    "errstatus": _likely_status,
}


def _guid_text(content: bytes) -> bytes | None:
    text = text_of(content)
    if text is None or len(text) != GUID_TEXT_SIZE or text.count("-") != 4:
        return None
    try:
        return guid(text)
    except ValueError:
        return None


def decode(kind: str, content: bytes, options: Options) -> View:
    """The view of some content as a kind; Malformed when it is no such thing."""
    row = KINDS[kind]
    if row.of_number is not None:
        view = row.of_number(number_of(content), options)
    else:
        assert row.of_octets is not None, f"{kind} makes no view"
        written = _guid_text(content) if kind == "guid" else None
        view = row.of_octets(octets_of(content) if written is None else written, options)
    view.fields = {"kind": kind, **view.fields}
    return view
