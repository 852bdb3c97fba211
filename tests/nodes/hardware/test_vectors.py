"""The published vectors that belong to the hardware: routing, barriers, counters, overwriting."""

import pytest

from nodes.hardware.pe import Pe
from nodes.hardware.ras_nodes import Lines
from nodes.hardware.routing import PENDING, serror_target, virtual_barrier, virtual_serror_deliverable
from nodes.spec.aarch64 import HcrEl2, ScrEl3
from nodes.spec.err import CorrectedError, RecordFormat, error_state
from nodes.spec.severity import Aet, ErrorState
from nodes.spec.syndrome import disr_to_esr, serror_esr, vserror_esr
from tests.nodes.hardware.records import NEW_SERR, OLD_SERR, V1P1, error, holding, ras_node_with, status
from tests.vectors import VECTORS


def of_kind(kind, name=""):
    vectors = [v for v in VECTORS.values() if v["kind"] == kind and name in v["name"]]
    assert vectors, kind
    return pytest.mark.parametrize("vector", vectors, ids=lambda vector: vector["name"])


def number(word):
    return int(word, 16)


@of_kind("serror_route")
def test_an_serror_is_routed_as_the_vector_says(vector):
    value = vector["value"]
    scr, hcr = ScrEl3.of(EA=value["SCR_EA"]), HcrEl2.of(AMO=value["HCR_AMO_or_TGE"])

    targets = [serror_target(scr, hcr, el) for el in value["from_el"]]

    assert [None if target == PENDING else target for target in targets] == vector["meaning"]["target"]


@of_kind("vesb")
@pytest.mark.parametrize("el", [0, 1])
def test_a_barrier_in_a_guest_defers_as_the_vector_says(vector, el):
    value = vector["value"]
    hcr = HcrEl2.of(AMO=value["hcr_AMO"], TGE=value["hcr_TGE"], VSE=value["hcr_VSE"])

    vdisr = virtual_barrier(hcr, number(value["vsesr"]), el, masked=bool(value["pstate_A"]))

    assert vdisr == number(vector["meaning"]["vdisr_el2"])
    assert not virtual_serror_deliverable(hcr & ~HcrEl2.VSE.mask, el, masked=False)  # VSE is 0 afterwards


@of_kind("disr_to_esr")
def test_a_deferred_serror_is_judged_by_the_esr_of_the_vector(vector):
    disr = number(vector["value"]["disr"])
    pe = Pe(ScrEl3.of())
    pe.el, pe.masked = 2, True
    pe.pend(disr & 0x1FF_FFFF, -1)

    pe.defer()

    assert pe.disr == disr
    assert disr_to_esr(pe.read_disr()) == number(vector["meaning"]["esr"])


@of_kind("vsesr_to_esr_el1")
def test_a_virtual_serror_is_taken_with_the_esr_of_the_vector(vector):
    assert vserror_esr(number(vector["value"]["vsesr"])) == number(vector["value"]["esr_el1"])


@of_kind("esr_encode")
def test_the_pe_reports_its_state_as_the_vector_says(vector):
    pe = Pe(ScrEl3.of(EA=1))
    pe.pend(Aet[vector["meaning"]["AET"]] << 10 | 0x11, -1)

    assert serror_esr(pe.take().iss) == number(vector["value"])


@of_kind("record_overwrite")
def test_a_second_error_overwrites_as_the_vector_says(vector):
    value, meaning = vector["value"], vector["meaning"]
    held = value["prev"] if isinstance(value["prev"], str) else value["prev"]["state"]
    record = holding(ras_node_with(), ErrorState[held])
    before = status(record)

    stands = record.record(error(ErrorState[value["new"]]), RecordFormat(value.get("rev", "v1p1")))

    after = status(record)
    assert (error_state(after).name, str(after.OF)) == (meaning["state"], str(meaning["OF"])[0])
    assert (stands, after.SERR) == ((True, NEW_SERR) if meaning["syndrome"] == "new" else (False, OLD_SERR))
    assert after.CE == before.CE
    assert meaning.get("DE", before.DE) == after.DE
    assert "UET" not in meaning or after.UET == before.UET == 0b01


@of_kind("err_misc0", "preloaded")
def test_a_preloaded_counter_wraps_as_the_vector_says(vector):
    record = ras_node_with({"CFI": 1}, number(vector["value"]), CEC=4, FI=2, CFI=2)
    assert record.misc0 >> 32 == number(vector["meaning"]["CEC"])

    record.record(error(ErrorState.CE, corrected=CorrectedError.TRANSIENT), V1P1)

    assert (record.misc0 >> 47 & 1, record.misc0 >> 32 & 0x7FFF) == (1, 0)
    assert record.lines() == Lines.FHI
