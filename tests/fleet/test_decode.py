"""What decode says of each kind, and of bytes that are no such thing."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.decode.kinds import KINDS, Options, Unclear, decode, guess
from fleet.decode.view import Row, View
from fleet.sample import BLOCK, RECORD, make
from nodes.linux.dmesg_arm import information_lines
from nodes.spec.arm_section import ARM_GUID, Dialect
from nodes.spec.boot_tables import AestInterface, AestInterrupt, AestMemory, BertBody, aest_node
from nodes.spec.cper import NOTIFICATION_GUIDS
from nodes.spec.hest import TableHeader, with_checksum
from nodes.spec.layout import Malformed
from nodes.spec.memory_sections import MEMORY_GUID
from nodes.spec.platform_sections import PcieSection
from nodes.spec.sections import SECTION_TYPES, decode_section
from nodes.spec.severity import Aet
from nodes.spec.status_block import DataEntry, StatusBlock
from nodes.spec.syndrome import serror_esr, serror_iss
from tests.declared import mutated

NUMBERS = sorted(name for name, kind in KINDS.items() if kind.of_number is not None)
OCTETS = sorted(name for name, kind in KINDS.items() if kind.of_octets is not None)
BLOCKS = [make(BLOCK, 3, index).octets for index in range(24)]
RECORDS = [make(RECORD, 3, index).octets for index in range(24)]


def fields(kind, content, **options):
    content = content if isinstance(content, bytes) else str(content).encode()
    return decode(kind, content, Options(**options)).fields


def all_rows(view: View) -> list[Row]:
    return view.rows + [row for part in view.parts for row in all_rows(part)]


def test_every_kind_makes_its_view_of_one_thing():
    assert all((kind.of_number is None) != (kind.of_octets is None) for kind in KINDS.values())
    assert {"esr", "vdisr", "errmisc0", "pstate", "guid", "timestamp", "erridr", "armras", "bert"} <= set(KINDS)


@pytest.mark.parametrize("kind", NUMBERS)
@settings(max_examples=20)
@given(value=st.integers(0, (1 << 64) - 1))
def test_any_number_has_fields_in_json_and_for_a_reader(kind, value):
    value = value & 0xFF if kind == "errtype" else value

    view = decode(kind, f"{value:#x}".encode(), Options())

    assert json.loads(json.dumps(view.fields)) == view.fields
    assert view.fields["kind"] == kind
    assert view.rows


@pytest.mark.parametrize("kind", OCTETS)
@settings(max_examples=60)
@given(data=st.data())
def test_any_bytes_have_fields_or_are_malformed(kind, data):
    source = data.draw(mutated(BLOCKS + RECORDS) | st.binary(min_size=1, max_size=200))

    try:
        view = decode(kind, b"\xff" + source if source.isascii() else source, Options())
    except Malformed as refused:
        assert refused.offset >= 0  # noqa: PT017
        return
    assert json.loads(json.dumps(view.fields)) == view.fields


@pytest.mark.parametrize("aet", Aet)
def test_an_serror_tells_its_state_and_what_linux_does(aet):
    decoded = fields("esr", hex(serror_esr(serror_iss(aet))))

    assert decoded["AET"] == aet.name
    assert decoded["linux"].startswith("non-fatal" if aet in {Aet.CE, Aet.UEO} else "host panic")


@pytest.mark.parametrize(
    ("esr", "name", "value"), [("0xbe001011", "AET", "reserved"), ("0x96000810", "SET", "reserved")]
)
def test_a_reserved_state_is_called_reserved(esr, name, value):
    assert fields("esr", esr)[name] == value


def test_a_state_that_is_not_valid_is_null():
    assert fields("esr", "0x96000004")["SET"] is None
    assert fields("esr", "0xbe000400")["AET"] is None


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        ("16", {"OF": 0, "CEC": "0x7fff"}),
        ("8", {"OF": 1, "CEC": "0x7f"}),
        ("16-pair", {"OFO": 1, "CECO": "0x2", "OFR": 0, "CECR": "0x7fff"}),
        ("8-pair", {"OFO": 0, "CECO": "0x7f", "OFR": 1, "CECR": "0x7f"}),
        ("none", {"IMPDEF": "0x80027fff00000000"}),
    ],
)
def test_misc0_is_read_in_the_counter_format_that_was_named(layout, names):
    decoded = fields("errmisc0", "0x80027fff00000000", misc0=layout)

    assert {name: decoded[name] for name in names} == names


def test_an_error_record_without_v_holds_nothing():
    decoded = fields("errstatus", "0x20300006")

    assert (decoded["state"], decoded["UET"], decoded["UE"]) == ("none", None, 1)


@pytest.mark.parametrize("error", ["cache", "tlb", "bus"])
@given(word=st.integers(0, (1 << 44) - 1))
def test_an_information_word_says_what_linux_prints_of_it(error, word):
    byte = {"cache": 2, "tlb": 4, "bus": 8}[error]

    assert fields("errinfo", hex(word), error=error)["linux"] == information_lines(byte, word)


@pytest.mark.parametrize(("dialect", "types"), [("enumeration", ["bus"]), ("2.9A", ["cache"]), ("2.11", ["TLB"])])
def test_the_type_byte_is_read_in_the_dialect_that_was_named(dialect, types):
    assert fields("errtype", "0x2", dialect=Dialect(dialect))["types"] == types


def test_a_dialect_reaches_into_a_block():
    arm = next(b for b in BLOCKS if StatusBlock.decode(b).entries[0].section_type == ARM_GUID)

    read = [fields("block", arm, dialect=dialect)["section"]["pei_types"] for dialect in Dialect]

    assert read[0] != read[1] != read[2]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_lists_its_sections_and_shows_the_first_at_the_top(block):
    decoded = fields("block", block)

    entries = StatusBlock.decode(block).entries
    assert [s["error_data_length"] for s in decoded["sections"]] == [len(e.body) for e in entries]
    assert decoded["section_type"] == decoded["sections"][0]["section_type"]
    assert decoded["linux"] == "accepted"


def test_a_section_that_is_refused_makes_its_block_refused_at_its_place():
    arm = DataEntry(ARM_GUID, 0, bytes(40))  # its section length is 0
    block = StatusBlock(1, 0, (DataEntry(MEMORY_GUID, 0, bytes(80)), arm))

    with pytest.raises(Malformed) as refused:
        decode("block", block.encode(), Options())

    assert refused.value.offset == 20 + 72 + 80 + 72 + 8


@pytest.mark.parametrize("row", SECTION_TYPES, ids=lambda row: row.name)
def test_the_section_of_a_block_is_what_its_body_alone_is(row):
    names = {"generic processor": "processor", "memory 2": "memory2", "PCIe": "pcie", "ARM processor": "arm"}
    names |= {"memory": "memory", "Arm RAS": "armras", "firmware error record reference": "firmware"}
    block = next(b for b in BLOCKS if StatusBlock.decode(b).entries[0].section_type == row.guid)
    body = StatusBlock.decode(block).entries[0].body

    alone = fields(names[row.name], body)

    assert {k: v for k, v in alone.items() if k not in {"kind", "rest"}} == fields("block", block)["section"]
    assert decode_section(row.guid, body).value is not None


@pytest.mark.parametrize("kind", ["block", "cper"])
def test_a_time_that_is_not_decimal_is_null_and_refuses_nothing(kind):
    whole = next(b for b in (BLOCKS if kind == "block" else RECORDS) if kind == "cper" or b[41] >= 3)
    at = 20 + 64 if kind == "block" else 24
    decoded = fields(kind, whole[:at] + b"\xff" * 8 + whole[at + 8 :])

    assert (decoded["timestamp"], decoded["precise"]) == (None, None)
    assert decoded["timestamp_bytes"] == "ff" * 8


def test_what_the_validity_bits_do_not_cover_is_marked_for_a_reader():
    view = decode("memory", bytes(80), Options())

    assert {row.word for row in view.rows if row.name in {"node", "rank", "physicalAddress"}} == {"not valid"}
    assert view.fields["valid"] == []


def acpi_table(signature, body):
    header = TableHeader(signature, 36 + len(body), 1, 0, b"OEM   ", b"TABLE   ", 1, b"RASF", 1)
    return with_checksum(header.encode() + body)


def test_a_pcie_section_shows_the_rcrb_address_that_it_calls_valid():
    section = PcieSection(validation_bits=0x300, function=0x10, device=0x20, segment=0x4030, reserved=b"\1\0\0\0")

    fields = decode("pcie", section.encode(), Options()).fields

    assert fields["valid"] == ["rcrb_address", "rcrb_address_high"]
    assert fields["rcrb_address"] == "0x140302010"


def test_an_aest_shows_its_nodes_with_interface_and_interrupts():
    interface = AestInterface(1, bytes(3), 2, 0x2A00_0000, 0, 4, 0xF, 0, 0)
    node = aest_node(AestMemory(3), interface, (AestInterrupt(1, bytes(2), 1, 42, 0, bytes(3)),))

    decoded = fields("aest", acpi_table(b"AEST", node.encode()))

    assert decoded["count"] == 1
    shown = decoded["nodes"][0]
    assert (shown["type_name"], shown["srat_proximity"]) == ("memory", 3)
    assert (shown["interface"]["base_address"], shown["interface"]["not_implemented"]) == ("0x2a000000", "0xf")
    assert (shown["interrupts"][0]["type_name"], shown["interrupts"][0]["gsiv"]) == ("eri", 42)


def test_a_bert_shows_where_its_region_lies():
    decoded = fields("bert", acpi_table(b"BERT", BertBody(0x1000, 0x8000_0000).encode()))

    assert (decoded["region_length"], decoded["region_address"]) == (0x1000, "0x80000000")
    assert decoded["checksum_right"] is True


def test_a_hest_shows_sources_of_other_types_as_bytes():
    nmi = bytes([2]) + bytes(19)

    decoded = fields("hest", acpi_table(b"HEST", (1).to_bytes(4, "little") + nmi))

    assert decoded["sources"] == [{"type": 2, "body": nmi.hex()}]
    assert decoded["notifications"] == []


@pytest.mark.parametrize("name", NOTIFICATION_GUIDS)
def test_a_notification_guid_has_its_name(name):
    assert fields("guid", NOTIFICATION_GUIDS[name].hex())["name"] == f"notification {name}"


def test_a_guid_may_be_written_in_the_usual_way():
    decoded = fields("guid", "a5bc1114-6f64-4ede-b863-3e83ed7c83b1")

    assert (decoded["name"], decoded["bytes"][:8]) == ("memory", "1411bca5")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"0xbe000411", "esr"),
        (b"96000010", "esr"),
        (b"0xbc000411", "esr"),
        (b"0x82000010", "esr"),
        (b"0x80000411", "disr"),
        (b"0x80001a11", "disr"),
        (b"0x81000002", "disr"),
        (b"0x80000000", "disr"),
        (b"0xc4800390", "errstatus"),
        (b"0xf030000c", "errstatus"),
        (b"163d9ee111bce4119caac2051d5d46b0", "guid"),
        (NOTIFICATION_GUIDS["SEA"], "guid"),
        (RECORDS[0], "cper"),
        (RECORDS[0].hex().encode(), "cper"),
        (BLOCKS[0], "block"),
        (b"HEST" + bytes(40), "hest"),
        (b"AEST" + bytes(40), "aest"),
        (b"BERT" + bytes(40), "bert"),
        (b"e19e3d16-bc11-11e4-9caa-c2051d5d46b0", "guid"),
    ],
)
def test_the_kind_is_guessed(content, kind):
    assert guess(content) == kind


# The last ones: an instruction abort without IL, a DISR_EL1 of a reserved format, an error response to a corrected
# error, a UET without UE, bits that STATUS has not.
@pytest.mark.parametrize(
    "content",
    [
        b"0x1811",
        b"0x0",
        b"0x40000080044081",
        b"0x80001840",
        b"0x80000811f",
        b"0x56000000",
        b"0x46100000",
        b"0x60010000",
    ],
)
def test_a_number_that_may_be_many_things_has_to_be_named(content):
    with pytest.raises(Unclear):
        guess(content)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("guid", "00" * 15),
        ("timestamp", "00" * 9),
        ("timestamp", "3a00000000000000"),
        ("errtype", "0x100"),
        ("esr", "0x10000000000000000"),
        ("esr", "00 01"),
        ("hest", b"HEST".hex()),
        ("memory", "00" * 72),
    ],
)
def test_what_is_no_such_thing_is_malformed(kind, content):
    with pytest.raises(Malformed):
        fields(kind, content)
