"""BERT and AEST: built and read back, refused where they lie."""

from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.sample import BLOCK, make
from nodes.spec.boot_tables import (
    Aest,
    AestGic,
    AestInterface,
    AestInterrupt,
    AestMemory,
    AestNode,
    AestPcie,
    AestProcessor,
    AestProxy,
    AestSmmu,
    AestVendor,
    Bert,
    BertBody,
    aest_node,
    bert_blocks,
)
from nodes.spec.hest import TableHeader, with_checksum
from nodes.spec.layout import Malformed
from nodes.spec.status_block import StatusBlock
from tests.declared import mutated, structures

DATA = (AestProcessor, AestMemory, AestSmmu, AestVendor, AestGic, AestPcie, AestProxy)
ZERO = AestInterface.decode(bytes(48))


def table(signature, body):
    header = TableHeader(signature, 36 + len(body), 1, 0, b"OEM   ", b"TABLE   ", 1, b"RASF", 1)
    return with_checksum(header.encode() + body)


def zero(kind):
    return kind.decode(bytes(kind.codec.size))


EVERY_NODE = tuple(aest_node(zero(kind), ZERO, (zero(AestInterrupt),) * 2) for kind in DATA)
AEST = table(b"AEST", b"".join(node.encode() for node in EVERY_NODE))
nodes = st.builds(
    aest_node,
    st.one_of([structures(kind) for kind in DATA]),
    structures(AestInterface),
    st.lists(structures(AestInterrupt), max_size=3).map(tuple),
)


@given(st.lists(nodes, max_size=4))
def test_an_aest_of_nodes_is_read_back(given_nodes):
    stored = table(b"AEST", b"".join(node.encode() for node in given_nodes))

    aest = Aest.decode(stored)

    assert list(aest.nodes) == given_nodes
    assert aest.encode() == stored


@settings(max_examples=300)
@given(mutated([AEST]) | st.binary(max_size=200).map(lambda rest: b"AEST" + rest))
def test_any_bytes_give_an_aest_or_malformed(source):
    try:
        aest = Aest.decode(source)
    except Malformed:
        return

    assert aest.encode() == source[: aest.header.length]


@pytest.mark.parametrize(
    ("offset", "replaced"),
    [
        (0, b"\x07"),  # reserved type
        (1, b"\x00\x00"),  # length 0
        (1, b"\x2b\x00"),  # length within the head
        (1, b"\xff\xff"),  # length beyond the table
        (4, b"\x00\x00\x00\x00"),  # data within the head
        (4, b"\xff\xff\xff\xff"),
        (8, b"\xf0\x00\x00\x00"),  # interface beyond the node
        (12, b"\x00\x00\x00\x00"),  # interrupts within the head
        (16, b"\xff\xff\xff\xff"),  # four thousand million interrupts
    ],
)
def test_a_node_that_lies_is_refused(offset, replaced):
    node = EVERY_NODE[0].encode()
    lying = node[:offset] + replaced + node[offset + len(replaced) :]

    with pytest.raises(Malformed):
        Aest.decode(table(b"AEST", lying))


@pytest.mark.parametrize(("data", "group_format"), [(AestMemory(7), 1), (AestMemory(7), 2), (zero(AestVendor), 0)])
def test_what_lies_otherwise_in_revision_2_is_refused_there(data, group_format):
    interface = AestInterface.decode(bytes((1, group_format)) + bytes(46))
    stored = table(b"AEST", aest_node(data, interface, ()).encode())
    revised = with_checksum(stored[:8] + b"\2" + stored[9:])

    assert len(Aest.decode(stored).nodes) == 1
    with pytest.raises(Malformed):
        Aest.decode(revised)


def test_revision_2_with_groups_of_4_kib_is_read():
    stored = table(b"AEST", aest_node(AestMemory(7), ZERO, ()).encode())

    assert Aest.decode(stored[:8] + b"\2" + stored[9:]).nodes[0].data == AestMemory(7)


def test_a_node_is_read_by_its_offsets():
    interrupt = AestInterrupt.decode(bytes(range(12)))
    node = aest_node(AestMemory(7), ZERO, (interrupt,))

    read = AestNode.decode(node.encode(), 0)

    assert (read.data, read.interrupts) == (AestMemory(7), (interrupt,))


@given(st.integers(0, 0xFFFF_FFFF), st.integers(0, 2**64 - 1))
def test_a_bert_is_read_back(length, address):
    stored = table(b"BERT", BertBody(length, address).encode())

    bert = Bert.decode(stored)

    assert bert.body == BertBody(length, address)
    assert bert.encode() == stored


@given(st.binary(max_size=60).map(lambda rest: b"BERT" + rest))
def test_any_bytes_give_a_bert_or_malformed(source):
    try:
        bert = Bert.decode(source)
    except Malformed:
        return

    assert bert.encode() == source[:48]


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("behind", [b"", bytes(20), bytes(19)])
def test_a_boot_error_region_holds_blocks_up_to_a_free_one(count, behind):
    blocks = [make(BLOCK, 9, index).octets for index in range(count)]

    found = bert_blocks(b"".join(blocks) + behind)

    assert found == tuple(StatusBlock.decode(block) for block in blocks)


def test_a_region_full_of_empty_blocks_is_read_once():
    empty = StatusBlock(1, 2, ()).encode()

    began = process_time()
    found = bert_blocks(empty * 100_000)

    assert len(found) == 100_000
    assert process_time() - began < 5  # s; copying the rest of the region for each block takes some 10
