"""HEST, AEST and BERT as fields.

A HEST's ``sources`` have the names that its readers use; how each source notifies stands in ``notifications``.
Sources: ACPI 6.5 18.3.2; Arm DEN0085; ACPI 6.5 18.3.1.
"""

from typing import Final

from fleet.decode.view import Form, Json, Row, Show, View, add_fields, hex_of, shown, word_of
from nodes.spec.boot_tables import (
    Aest,
    AestGic,
    AestInterfaceType,
    AestInterrupt,
    AestInterruptType,
    AestMemory,
    AestNode,
    AestNodeType,
    AestPcie,
    AestProcessor,
    AestProxy,
    AestSmmu,
    AestVendor,
    Bert,
)
from nodes.spec.hest import (
    ConfigWrite,
    GenericAddress,
    Ghes,
    GhesV2,
    Hest,
    Notification,
    NotificationType,
    Source,
    SourceType,
    TableHeader,
    checksum_of,
)
from nodes.spec.layout import Layout

NOTIFICATION: Final = (
    Show("type", words=NotificationType),
    Show("config_write_enable", form=Form.HEX, flags=ConfigWrite),
    Show("poll_interval_ms"),
    Show("vector", says="GSIV; for SDEI the event number"),
    Show("switch_to_polling_threshold"),
    Show("switch_to_polling_window_ms"),
    Show("error_threshold"),
    Show("error_threshold_window_ms"),
)
AEST_DATA: Final[dict[type[Layout], tuple[Show, ...]]] = {
    AestProcessor: (
        Show("processor_id"),
        Show("resource_type", says="0 cache, 1 TLB, 2 generic"),
        Show("flags", form=Form.HEX),
        Show("revision"),
        Show("affinity", form=Form.HEX),
    ),
    AestMemory: (Show("srat_proximity"),),
    AestSmmu: (Show("iort_reference"), Show("subcomponent")),
    AestVendor: (
        Show("hardware_id", form=Form.HEX),
        Show("unique_id"),
        Show("vendor_data", form=Form.OCTETS),
    ),
    AestGic: (Show("interface_type"), Show("instance")),
    AestPcie: (Show("iort_reference"),),
    AestProxy: (Show("address", form=Form.HEX),),
}
AEST_INTERFACE: Final = (
    Show("type", words=AestInterfaceType),
    Show("flags", form=Form.HEX, says="bit 0 shared, bit 1 clear MISC registers"),
    Show("base_address", form=Form.HEX),
    Show("first_record"),
    Show("record_count"),
    Show("not_implemented", form=Form.HEX, says="bit set: the record does not exist"),
    Show("status_reporting", form=Form.HEX),
    Show("addressing_mode", form=Form.HEX, says="bit set: ERR<n>ADDR is logical"),
)
AEST_INTERRUPT: Final = (
    Show("type", words=AestInterruptType),
    Show("flags", form=Form.HEX, says="bit 0 level sensitive"),
    Show("gsiv"),
    Show("iort_id"),
)


def _add_header(view: View, header: TableHeader, source: bytes) -> None:
    view.add("length", header.length)
    view.add("revision", header.revision)
    right = checksum_of(source[: header.length]) == header.checksum
    view.add("checksum", hex_of(header.checksum), word="right" if right else "wrong")
    view.fields["checksum_right"] = right
    view.add("oem", header.oem_id.decode("latin-1"))
    view.add("oem_table", header.oem_table_id.decode("latin-1"))


def _gas(stored: bytes) -> list[Json]:
    gas = GenericAddress.decode(stored)
    return [gas.space_id, gas.bit_width, gas.bit_offset, gas.access_width, hex_of(gas.address)]


def _source_fields(source: Source) -> dict[str, Json]:
    if not isinstance(source, Ghes | GhesV2):
        return {"type": source.type, "body": source.body.hex()}
    notification = Notification.decode(source.notification)
    fields: dict[str, Json] = {
        "type": source.type,
        "source_id": source.source_id,
        "related": hex_of(source.related_source_id),
        "enabled": source.enabled,
        "prealloc": source.records_to_preallocate,
        "max_sections": source.max_sections_per_record,
        "max_raw": source.max_raw_data_length,
        "status_gas": _gas(source.error_status_address),
        "notify": notification.type,
        "notify_len": notification.length,
        "block_len": source.error_status_block_length,
    }
    if isinstance(source, GhesV2):
        fields["ack_gas"] = _gas(source.read_ack_register)
        fields["preserve"] = hex_of(source.read_ack_preserve)
        fields["write"] = hex_of(source.read_ack_write)
    return fields


def _source_view(source: Source, number: int) -> View:
    fields = _source_fields(source)
    view = View(f"source {number}: {word_of(SourceType, source.type)}", fields)
    view.rows += [Row(name, shown(value)) for name, value in fields.items()]
    if isinstance(source, Ghes | GhesV2):
        part = View("notification", {"source_id": source.source_id})
        add_fields(part, Notification.decode(source.notification), NOTIFICATION)
        view.parts.append(part)
    return view


def hest_view(source: bytes) -> View:
    """Hardware error source table."""
    table = Hest.decode(source)
    view = View("HEST")
    _add_header(view, table.header, source)
    view.add("count", len(table.sources))
    view.parts += [_source_view(entry, number) for number, entry in enumerate(table.sources)]
    view.fields["sources"] = [part.fields for part in view.parts]
    view.fields["notifications"] = [inner.fields for part in view.parts for inner in part.parts]
    return view


def bert_view(source: bytes) -> View:
    """Boot error record table."""
    table = Bert.decode(source)
    view = View("BERT")
    _add_header(view, table.header, source)
    view.add("region_length", table.body.region_length)
    view.add("region_address", hex_of(table.body.region_address))
    return view


def _node_view(node: AestNode, number: int) -> View:
    name = word_of(AestNodeType, node.head.type)
    view = View(f"RAS node {number}: {name}")
    view.add("type", node.head.type, word=name)
    view.fields["type_name"] = name
    view.add("timestamp_rate_hz", node.head.timestamp_rate_hz)
    view.add("injection_countdown_rate_hz", node.head.injection_countdown_rate_hz)
    add_fields(view, node.data, AEST_DATA[type(node.data)])
    interface = View("interface")
    add_fields(interface, node.interface, AEST_INTERFACE)
    interrupts = [_interrupt_view(interrupt) for interrupt in node.interrupts]
    view.fields["interface"] = interface.fields
    view.fields["interrupts"] = [part.fields for part in interrupts]
    view.parts += [interface, *interrupts]
    return view


def _interrupt_view(interrupt: AestInterrupt) -> View:
    view = View("interrupt")
    add_fields(view, interrupt, AEST_INTERRUPT)
    return view


def aest_view(source: bytes) -> View:
    """Arm error source table."""
    table = Aest.decode(source)
    view = View("AEST")
    _add_header(view, table.header, source)
    view.add("count", len(table.nodes))
    view.parts += [_node_view(node, number) for number, node in enumerate(table.nodes)]
    view.fields["nodes"] = [part.fields for part in view.parts]
    return view
