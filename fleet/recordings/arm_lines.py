"""An ARM processor section from the lines that Linux prints of it.

Error information word by word: the lines below it only put it into words and are checked against nothing. What
Linux does not print is lost: whether the count of errors was valid, flags that are 0, the bytes between the
section's length and the entry's.

An older kernel prints the type byte as a number where a current one prints a mask; the byte is kept as it was.

Sources: nodes.linux.dmesg_arm; Linux drivers/firmware/efi/cper-arm.c of 5.4, 6.1.192 and 6.12.117.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Final, NamedTuple

from fleet.recordings import BODY_SIZE_MAX
from fleet.recordings.dumps import Dump
from fleet.recordings.forms import Form, canonical
from fleet.recordings.templates import Template, limits_of, stored, template
from nodes.linux.dmesg_arm import CONTEXTS, FLAGS, information_lines
from nodes.spec.arm_section import (
    CONTEXT_HEAD_SIZE,
    HEADER_SIZE,
    INFORMATION_FIELDS,
    ArmHeader,
    ArmValid,
    Context,
    ErrorInfo,
    ErrorInformation,
    ErrorInfoValid,
    ErrorKind,
    arm_section,
    type_byte,
)

_PARTS_MAX: Final = BODY_SIZE_MAX // CONTEXT_HEAD_SIZE  # pieces of error information, or contexts, of a section
_LYING_SIZE: Final = 16  # bytes: what a context claims that the section has no room for
_U32: Final = 0xFFFF_FFFF
_TOO_SMALL: Final = "section length is too small"
_REFUSALS: Final = frozenset(("section length is too big", "firmware-generated error record is incorrect"))
_LIMITS: Final = {
    **limits_of(ArmHeader.wire),
    **limits_of(ErrorInfo.wire),
    "number": _PARTS_MAX,
    "count": 1 << 16,
    "context_type": 0xFFFF,
    "vendor_size": _U32,
    "body_size": _U32,
}


def _information_texts() -> frozenset[str]:
    """Every line that Linux can print of an error information word, without what only newer kernels say."""
    texts = set()
    for kind in ErrorKind:
        for index, name in enumerate(INFORMATION_FIELDS):
            field = ErrorInformation.fields[name]
            for value in range((field.mask >> field.lsb) + 1):
                texts.update(information_lines(type_byte(kind), 1 << index | field.placed(value)))
    return frozenset(canonical(text) for text in texts)


INFORMATION_TEXTS: Final = _information_texts()
_FLAG_OF: Final = {text: int(flag) for flag, text in FLAGS}
_CONTEXT_LINE: Final = "register context type: "


class _ContextText:
    """A context that is being read."""

    def __init__(self) -> None:
        self.type = -1
        self.dump = Dump()
        self.too_small = False


class _Row(NamedTuple):
    """One line: its text, what takes it, and the validity bit that asks for it."""

    template: Template
    take: Callable[["ArmLines", dict[str, int], int], bool]
    valid: int = 0


class ArmLines:
    """The lines of one section, in order."""

    def __init__(self) -> None:
        self.forms: set[Form] = set()
        self._header: dict[str, Any] = {}  # numbers
        self._valid = 0
        self._errors: list[dict[str, int]] = []
        self._contexts: list[_ContextText] = []
        self._vendor: Dump | None = None
        self._refused: dict[str, int] = {}  # printed in place of everything behind MIDR

    def take(self, text: str) -> bool:
        """Take the next line; False when it is none of this section or stands in a wrong place."""
        for row in self._ROWS:
            found = row.template.match(text)
            if found is not None:
                held = stored(found, _LIMITS)
                return held is not None and row.take(self, held, row.valid)
        line = text.strip(" ")
        return self._flag(line) or self._context_type(line) or self._dumped(line) or self._said(line)

    def _head(self, found: dict[str, int], valid: int) -> bool:
        if found.keys() & self._header.keys() or self._errors:
            return False
        self._header |= found
        self._valid |= valid
        return True

    def _begin_error(self, found: dict[str, int], _: int) -> bool:
        if found["number"] != len(self._errors) or self._contexts:
            return False
        self._errors.append({})
        return True

    def _detail(self, found: dict[str, int], valid: int) -> bool:
        """A line of the last error information."""
        if not self._errors or self._contexts or found.keys() & self._errors[-1].keys():
            return False
        error = self._errors[-1]
        error |= found
        error["validation_bits"] = error.get("validation_bits", 0) | valid
        return True

    def _count(self, found: dict[str, int], valid: int) -> bool:
        """Linux prints one more than is stored."""
        return found["count"] > 0 and self._detail({"multiple_error": found["count"] - 1}, valid)

    def _numbered_type(self, found: dict[str, int], _: int) -> bool:
        self.forms.add(Form.TYPE)
        return self._detail(found, 0)

    def _flag(self, line: str) -> bool:
        flag = _FLAG_OF.get(line)
        if flag is None or not self._errors:
            return False
        error = self._errors[-1]
        error["flags"] = error.get("flags", 0) | flag
        error["validation_bits"] = error.get("validation_bits", 0) | ErrorInfoValid.FLAGS
        return True

    def _begin_context(self, found: dict[str, int], _: int) -> bool:
        if found["number"] != len(self._contexts) or self._vendor is not None:
            return False
        self._contexts.append(_ContextText())
        return True

    def _context_type(self, line: str) -> bool:
        name = line.removeprefix(_CONTEXT_LINE)
        if name == line or name not in CONTEXTS or not self._contexts:
            return False
        self._contexts[-1].type = CONTEXTS.index(name)
        return True

    def _invalid_context(self, found: dict[str, int], _: int) -> bool:
        if not self._contexts:
            return False
        self._contexts[-1].type = found["context_type"]
        return True

    def _begin_vendor(self, found: dict[str, int], _: int) -> bool:
        if self._vendor is not None:
            return False
        self._vendor = Dump(found["vendor_size"])
        return True

    def _dumped(self, line: str) -> bool:
        if self._vendor is not None:
            return self._vendor.take(line)
        return bool(self._contexts) and self._contexts[-1].type >= 0 and self._contexts[-1].dump.take(line)

    def _refuse(self, found: dict[str, int], _: int) -> bool:
        if found.keys() & self._refused.keys():
            return False
        self._refused |= found
        return True

    def _said(self, line: str) -> bool:
        """A line that only puts a number into words."""
        if line == _TOO_SMALL:
            if self._contexts:
                self._contexts[-1].too_small = True
            return bool(self._contexts or self._refused)
        if line in _REFUSALS:
            return bool(self._refused or self._contexts)
        known = canonical(line)
        if not self._errors or "error_info" not in self._errors[-1] or known not in INFORMATION_TEXTS:
            return False
        if line == known and known.startswith("operation type: "):
            self.forms.add(Form.OPERATION)
        return True

    _ROWS: ClassVar = (
        _Row(template("MIDR: 0x{midr:016x}"), _head),
        _Row(template("Multiprocessor Affinity Register (MPIDR): 0x{mpidr:016x}"), _head, ArmValid.MPIDR),
        _Row(template("error affinity level: {affinity_level}"), _head, ArmValid.AFFINITY_LEVEL),
        _Row(template("running state: 0x{running_state:x}"), _head, ArmValid.RUNNING_STATE),
        _Row(template("Power State Coordination Interface state: {psci_state}"), _head, ArmValid.RUNNING_STATE),
        _Row(template("Error info structure {number}:"), _begin_error),
        _Row(template("num errors: {count}"), _count, ErrorInfoValid.MULTIPLE_ERROR),
        _Row(template("error_type: 0x{type:02x}: {kinds_name}"), _detail),
        _Row(template("error_type: 0x{type:02x}:"), _detail),
        _Row(template("error_type: {type}, {kind_name}"), _numbered_type),
        _Row(template("error_info: 0x{error_info:016x}"), _detail, ErrorInfoValid.ERROR_INFO),
        _Row(
            template("virtual fault address: 0x{virtual_fault_address:016x}"),
            _detail,
            ErrorInfoValid.VIRTUAL_ADDRESS,
        ),
        _Row(
            template("physical fault address: 0x{physical_fault_address:016x}"),
            _detail,
            ErrorInfoValid.PHYSICAL_ADDRESS,
        ),
        _Row(template("Context info structure {number}:"), _begin_context),
        _Row(template("Invalid context type: {context_type} (max: {number})"), _invalid_context),
        _Row(template("Vendor specific error info has {vendor_size} bytes:"), _begin_vendor),
        _Row(template("section length: {section_length}, CPER size: {body_size}"), _refuse),
        _Row(template("ERR_INFO_NUM is {error_info_count}"), _refuse),
    )

    @property
    def cut(self) -> bool:
        """Whether lines are missing at its end."""
        if self._refused:
            return "error_info_count" not in self._refused
        if "midr" not in self._header or any("type" not in error for error in self._errors):
            return True
        if any(context.type < 0 and not context.too_small for context in self._contexts):
            return True
        return self._vendor is not None and not self._vendor.complete

    def body(self) -> bytes | None:
        """The section's body; None for a length that no block can have."""
        if self._refused:
            return self._refused_body()
        errors = tuple(ErrorInfo(**error) for error in self._errors)
        contexts = tuple(Context(max(context.type, 0), bytes(context.dump.octets)) for context in self._contexts)
        vendor = b"" if self._vendor is None else self._vendor.filled()
        header = ArmHeader(self._valid, 0, 0, 0, **self._header)
        body = arm_section(errors, contexts, vendor, header=header).encode()
        if self._contexts and self._contexts[-1].too_small:
            body = body[:-4] + _LYING_SIZE.to_bytes(4, "little")  # the size in the last context's head
        return body

    def _refused_body(self) -> bytes | None:
        """A section whose own length Linux refused: its head, then as many bytes as the entry had."""
        size = self._refused.get("body_size", HEADER_SIZE)
        if not HEADER_SIZE <= size <= BODY_SIZE_MAX:
            return None
        header = ArmHeader(
            self._valid,
            self._refused.get("error_info_count", 1),
            0,
            self._refused.get("section_length", 0),
            **self._header,
        )
        return header.encode().ljust(size, b"\0")
