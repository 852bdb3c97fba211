"""ARM processor sections, their error information, and Arm RAS sections as fields.

The type byte of error information is read in the dialect that the caller names. Sources: UEFI 2.11 appendix
N.2.4.4; Arm DEN0085; openbmc/libcper for the names of types in its dialect.
"""

from typing import Final

from fleet.decode.registers import status_view
from fleet.decode.view import Form, Json, Row, Show, View, add_fields, hex_of, valid_names, word_of
from nodes.linux.dmesg_arm import information_lines
from nodes.spec.arm_ras_section import ArmRasSection, ErrorRecordEntry
from nodes.spec.arm_section import (
    COMMON_FIELD_COUNT,
    INFORMATION_FIELDS,
    KIND_NAMES,
    ArmHeader,
    ArmSection,
    Context,
    ContextType,
    Dialect,
    ErrorInfo,
    ErrorInfoFlag,
    ErrorInformation,
    ErrorKind,
    Operation,
    kinds_of,
    type_byte,
)
from nodes.spec.boot_tables import AestNodeType
from nodes.spec.guid import guid_text

ERROR_KINDS: Final = {  # names of the option, and of the type in JSON
    "cache": ErrorKind.CACHE,
    "tlb": ErrorKind.TLB,
    "bus": ErrorKind.BUS,
    "micro-arch": ErrorKind.MICRO_ARCHITECTURAL,
}
INFORMATION_NAMES: Final = (  # index: validity bit
    "transaction",
    "operation",
    "level",
    "context_corrupt",
    "corrected",
    "precise_pc",
    "restartable_pc",
    "participation",
    "timeout",
    "addr_space",
    "mem_attr",
    "access_mode",
)
_LAST_OPERATION: Final = {ErrorKind.CACHE: 10, ErrorKind.TLB: 8, ErrorKind.BUS: 6}
_TLB_OPERATIONS: Final = {7: "local management", 8: "external management"}
_OUT_OF_RANGE: Final = "out of range => Linux prints nothing"
_SYNDROMES: Final = {  # context type: the register that tells what was going on
    ContextType.AARCH32_EL1: "DFSR",
    ContextType.AARCH32_EL2: "HSR",
    ContextType.AARCH64_EL1: "ESR_EL1",
    ContextType.AARCH64_EL2: "ESR_EL2",
    ContextType.AARCH64_EL3: "ESR_EL3",
}
_LIBCPER_NAMES: Final = ("Cache", "TLB", "Bus", "Micro-arch")  # index: ErrorKind

HEADER: Final = (
    Show("error_info_count", "err_info_num"),
    Show("context_count", "ctx_num"),
    Show("section_length"),
    Show("affinity_level"),
    Show("mpidr", form=Form.HEX),
    Show("midr", form=Form.HEX),
    Show("running_state", form=Form.HEX, says="bit 0: running"),
    Show("psci_state", form=Form.HEX, says="when not running", covered_by="running_state"),
)
ERROR_INFO: Final = (
    Show("version"),
    Show("length"),
    Show("multiple_error", says="0 one, 1 several, more: the count"),
    Show("flags", flags=ErrorInfoFlag),
    Show("error_info", form=Form.HEX, says="error information word"),
    Show("virtual_fault_address", form=Form.HEX),
    Show("physical_fault_address", form=Form.HEX),
)
RAS_HEADER: Final = (
    Show("revision"),
    Show("component_type", words=AestNodeType),
    Show("entry_count", "entries"),
    Show("array_offset"),
    Show("auxiliary_offset", "aux_offset"),
    Show("ip_instance_format"),
    Show("ip_type_format"),
    Show("ip_instance", form=Form.OCTETS),
    Show("ip_type", form=Form.OCTETS),
    Show("user_data", form=Form.OCTETS),
)
RAS_ENTRY: Final = (
    Show("record_index"),
    Show("ras_revision", form=Form.HEX),
    Show("fr", form=Form.HEX),
    Show("ctlr", form=Form.HEX),
    Show("status", form=Form.HEX),
    Show("addr", form=Form.HEX),
    Show("misc0", form=Form.HEX),
    Show("misc1", form=Form.HEX),
    Show("misc2", form=Form.HEX),
    Show("misc3", form=Form.HEX),
)


def _operation_name(kind: ErrorKind, operation: int) -> str:
    if operation > _LAST_OPERATION[kind]:
        return _OUT_OF_RANGE
    if kind is ErrorKind.TLB and operation in _TLB_OPERATIONS:
        return _TLB_OPERATIONS[operation]
    return word_of(Operation, operation)


def information_view(word: int, kind: ErrorKind) -> View:
    """An error information word, read as that of one kind; only the fields it calls valid."""
    name = next(name for name, value in ERROR_KINDS.items() if value is kind)
    view = View(f"error information {hex_of(word)}", {"value": hex_of(word), "type": name})
    if kind is ErrorKind.MICRO_ARCHITECTURAL:
        view.add("vendor", hex_of(word), says="defined by the vendor")
        return view
    register = ErrorInformation(word)
    view.add("valid", register.VALID, says="validity bits")
    count = len(INFORMATION_FIELDS) if kind is ErrorKind.BUS else COMMON_FIELD_COUNT
    for bit in range(count):
        if word >> bit & 1:
            field = INFORMATION_FIELDS[bit]
            view.add(INFORMATION_NAMES[bit], getattr(register, field), says=ErrorInformation.fields[field].says)
    if word >> INFORMATION_FIELDS.index("OPERATION") & 1:
        view.add("operation_name", _operation_name(kind, register.OPERATION))
    view.fields["linux"] = list(information_lines(type_byte(kind), word))
    return view


def type_view(byte: int, dialect: Dialect) -> View:
    """The type byte of error information."""
    view = View(f"error type {hex_of(byte)}, dialect {dialect}", {"dialect": dialect.value})
    view.add("type", f"0x{byte:02x}")
    kinds = kinds_of(byte, dialect)
    view.add("types", [KIND_NAMES[kind] for kind in kinds])
    if dialect is not Dialect.MASK_2_9A:
        read = [KIND_NAMES[kind] for kind in kinds_of(byte)]
        view.tell("linux", f"read as the mask of UEFI 2.9A: {', '.join(read) or 'reserved bits'}")
    elif ErrorKind.MICRO_ARCHITECTURAL in kinds:
        view.tell("linux", "micro-architectural: the error information is printed raw")
    return view


def _error_view(error: ErrorInfo, number: int, dialect: Dialect) -> View:
    kinds = kinds_of(error.type, dialect)
    view = View(f"error {number}", {"validation": hex_of(error.validation_bits)})
    view.fields["valid"] = valid_names(error, ERROR_INFO, error.validation_bits)
    names: list[Json] = [KIND_NAMES[kind] for kind in kinds]
    view.add("type", f"0x{error.type:02x}", word=" ".join(map(str, names)))
    view.fields["types"] = names
    add_fields(view, error, ERROR_INFO, valid=error.validation_bits)
    if len(kinds) == 1 and error.validation_bits & 1 << ErrorInfo.valid_bits["error_info"]:
        part = information_view(error.error_info, kinds[0])
        view.fields["information"] = part.fields
        view.parts.append(part)
    return view


def _context_view(context: Context, number: int) -> View:
    name = word_of(ContextType, context.type)
    view = View(f"context {number}: {name}", {"type": context.type, "type_name": name})
    registers: dict[str, Json] = {register: hex_of(value) for register, value in context.named().items()}
    view.rows += [Row(register, str(value)) for register, value in registers.items()]
    view.fields |= {"registers": registers, "bytes": context.registers.hex()}
    return view


def _context_summary(context: Context) -> dict[str, Json]:
    summary: dict[str, Json] = {"type": context.type, "size": len(context.registers)}
    syndrome = _SYNDROMES.get(ContextType(context.type)) if context.type in _SYNDROMES else None
    if syndrome is not None and syndrome in context.named():
        summary[syndrome.lower()] = hex_of(context.named()[syndrome])
    return summary


def _libcper_type(byte: int) -> str:
    names = [_LIBCPER_NAMES[kind] for kind in kinds_of(byte, Dialect.MASK_2_11)]
    return f"{'+'.join(names) or 'reserved'}({byte})"


def arm_view(section: ArmSection, dialect: Dialect) -> View:
    """ARM processor section."""
    header: ArmHeader = section.header
    view = View("ARM processor section", {"validation": hex_of(header.validation_bits)})
    view.fields["valid"] = valid_names(header, HEADER, header.validation_bits)
    add_fields(view, header, HEADER, valid=header.validation_bits)
    errors = [_error_view(error, number, dialect) for number, error in enumerate(section.errors)]
    contexts = [_context_view(context, number) for number, context in enumerate(section.contexts)]
    view.parts += errors + contexts
    view.fields |= {
        "dialect": dialect.value,
        "pei_types": [part.fields["types"] for part in errors],
        "pei_types_libcper_dialect": [_libcper_type(error.type) for error in section.errors],
        "pei_pa": [hex_of(error.physical_fault_address) for error in section.errors],
        "ctx": [_context_summary(context) for context in section.contexts],
        "errors": [part.fields for part in errors],
        "contexts": [part.fields for part in contexts],
        "vendor": section.vendor.hex(),
    }
    view.add("vendor_bytes", len(section.vendor))
    return view


def _ras_entry_view(entry: ErrorRecordEntry) -> View:
    view = View(f"error record {entry.record_index}")
    add_fields(view, entry, RAS_ENTRY)
    status = status_view(entry.status)
    view.fields["state"] = status.fields["state"]
    view.parts.append(status)
    return view


def arm_ras_view(section: ArmRasSection) -> View:
    """Arm RAS section with its error records and auxiliary data."""
    view = View("Arm RAS section")
    add_fields(view, section.header, RAS_HEADER)
    view.parts += [_ras_entry_view(entry) for entry in section.entries]
    view.fields["status"] = [f"0x{entry.status:016X}" for entry in section.entries]
    view.fields["records"] = [part.fields for part in view.parts]
    view.fields["contexts"] = [
        {
            "space_id": context.head.space_id,
            "flags": hex_of(context.head.flags),
            "registers": [{"address": hex_of(r.address), "value": hex_of(r.value)} for r in context.registers],
        }
        for context in section.contexts
    ]
    view.fields["key_values"] = [
        {"key": guid_text(pair.key), "value": hex_of(pair.value)} for pair in section.key_values
    ]
    return view
