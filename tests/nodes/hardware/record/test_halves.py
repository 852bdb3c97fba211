"""Controls of reads and writes apart (fields of FR with the value 3): interrupts and in-band responses."""

from itertools import product

import pytest

from nodes.events import InterruptRaised, SeaTaken, SErrorTaken
from nodes.events import commands as c
from nodes.hardware.ras_nodes import Lines, RasNodeKind, ras_node
from nodes.hardware.record import RecordRegister
from nodes.spec.err import ErrCtlr
from nodes.spec.severity import ErrorState
from tests.hosts import host, of
from tests.nodes.hardware.records import V1P1, error, ras_node_with, status

CE, DE, UEO, UER = ErrorState.CE, ErrorState.DE, ErrorState.UEO, ErrorState.UER
BUS_0 = ras_node(RasNodeKind.BUS, 0)
WAYS = {  # an error: feature, its controls for reads and for writes, the output
    "UE by UI": (UER, "UI", {}, Lines.ERI),
    "DE by DUI": (DE, "DUI", {"UI": 2}, Lines.ERI),
    "UE by FI": (UER, "FI", {"CFI": 2}, Lines.FHI),
    "DE by FI": (DE, "FI", {"CFI": 2}, Lines.FHI),
    "CE by CFI": (CE, "CFI", {"FI": 2}, Lines.FHI),
    "CE by FI": (CE, "FI", {}, Lines.FHI),
    "DE by DFI": (DE, "DFI", {"FI": 2, "CFI": 2}, Lines.FHI),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(("reads", "writes", "write"), [*product((0, 1), repeat=3)])
def test_an_interrupt_asks_the_half_of_the_access_that_met_the_error(way, reads, writes, write):
    state, name, features, line = way
    record = ras_node_with({name: reads, f"W{name}": writes}, **features, **{name: 3})

    record.record(error(state, write=bool(write)), V1P1)

    assert record.lines() == (line if (writes if write else reads) else 0)


@pytest.mark.parametrize(("dfi", "fi", "fires"), [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_the_halves_of_writes_of_dfi_and_fi_exclude_each_other_too(dfi, fi, fires):
    record = ras_node_with({"WDFI": dfi, "WFI": fi}, FI=3, DFI=3, CFI=2)

    record.record(error(DE, write=True), V1P1)

    assert record.lines() == fires * Lines.FHI


@pytest.mark.parametrize("first", [False, True])
def test_a_record_that_both_met_asks_both_halves(first):
    record = ras_node_with({"WUI": 1}, UI=3)

    for write in (first, not first):
        record.record(error(UEO, write=write), V1P1)

    assert record.lines() == Lines.ERI


def test_who_met_an_error_is_forgotten_with_it():
    record = ras_node_with({"WUI": 1}, UI=3)
    record.record(error(UEO, write=True), V1P1)
    record.write_status(record.status, V1P1)

    record.record(error(UEO), V1P1)

    assert record.lines() == 0


@pytest.mark.parametrize("write", [False, True])
def test_a_counter_that_a_write_wrapped_is_an_event_of_writes(write):
    record = ras_node_with({"WCFI": 1}, 0x7FFF << 32, CEC=4, FI=2, CFI=3)

    record.record(error(CE, write=write), V1P1)

    assert record.lines() == write * Lines.FHI


@pytest.mark.parametrize(("reads", "writes", "write"), [*product((0, 1), repeat=3)])
def test_an_in_band_response_asks_the_half_of_its_access(reads, writes, write):
    record = ras_node_with({"UE": reads, "WUE": writes}, UE=3)

    record.record(error(UER, responded=True, write=bool(write)), V1P1)

    assert (writes if write else reads) == status(record).ER


@pytest.mark.parametrize(("fields", "taken"), [({"UE": 1}, [SeaTaken]), ({"WUE": 1}, [SErrorTaken])])
def test_the_interconnect_answers_loads_and_stores_by_controls_of_their_own(fields, taken):
    machine = host()
    machine.do(c.WriteErrorRegister, BUS_0, RecordRegister.CTLR, int(ErrCtlr.of(ED=1, **fields)))

    machine.inject("bus-uer")  # a load
    machine.inject("bus-ueu", pe=1)  # a store

    assert [type(event) for event in of(machine, SeaTaken, SErrorTaken)] == taken
    assert of(machine, InterruptRaised) == []
