"""One PE: what is pending merges, what ESB defers, when a level synchronises by itself."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.hardware.pe import NOTHING, SCTLR_AFTER_BOOT, Pe, implicitly_synchronised, merged
from nodes.hardware.routing import PENDING
from nodes.spec.aarch64 import HCR_GUEST, HCR_NVHE_HOST, HCR_VHE_HOST, HcrEl2, ScrEl3, SctlrElx
from nodes.spec.severity import Aet
from nodes.spec.syndrome import IDS, serror_iss

KERNEL_FIRST, FIRMWARE_FIRST = ScrEl3.of(), ScrEl3.of(EA=1)
CE, UEO, UER, UEU, UC = (serror_iss(aet) for aet in (Aet.CE, Aet.UEO, Aet.UER, Aet.UEU, Aet.UC))
UNCATEGORIZED, IMPDEF, RESERVED = 0, IDS | 2, serror_iss(5)
FROM_MILD_TO_BAD = [CE, UEO, UER, UEU, IMPDEF, UC]
syndromes = st.sampled_from([*FROM_MILD_TO_BAD, UNCATEGORIZED, RESERVED])


def pe_at(el, masked, scr=KERNEL_FIRST, hcr=HCR_VHE_HOST):
    pe = Pe(scr)
    pe.el, pe.masked, pe.hcr = el, masked, hcr
    return pe


@pytest.mark.parametrize(("first", "second"), [*permutations(range(len(FROM_MILD_TO_BAD)), 2)])
def test_of_two_pending_serrors_the_worse_state_is_reported(first, second):
    worst = FROM_MILD_TO_BAD[max(first, second)]

    assert merged(FROM_MILD_TO_BAD[first], FROM_MILD_TO_BAD[second]) == worst


@given(st.lists(syndromes, min_size=1, max_size=6))
def test_nothing_hides_an_uncontainable_error(pended):
    pe = pe_at(2, masked=True)

    for iss in pended:
        pe.pend(iss, NOTHING)

    assert (pe.pending == UC) is (UC in pended)


@pytest.mark.parametrize(("first", "second"), [*permutations([UNCATEGORIZED, IMPDEF, RESERVED], 2)])
def test_of_two_syndromes_without_a_state_the_later_stays(first, second):
    assert merged(first, second) == second


def test_what_is_taken_is_pending_no_more_and_names_every_record():
    pe = pe_at(2, masked=True)
    pe.pend(UEO, 7)
    pe.pend(UEU, NOTHING)
    pe.pend(CE, 9)

    taken = pe.take()

    assert (taken.iss, taken.nodes) == (UEU, (7, 9))
    assert (pe.pending, pe.target()) == (NOTHING, PENDING)


@pytest.mark.parametrize(
    ("scr", "hcr", "el", "masked", "deferred"),
    [
        (KERNEL_FIRST, HCR_VHE_HOST, 0, True, True),  # masked at EL2
        (KERNEL_FIRST, HCR_VHE_HOST, 2, True, True),
        (KERNEL_FIRST, HCR_NVHE_HOST, 0, True, True),  # masked at EL1
        (KERNEL_FIRST, HCR_NVHE_HOST, 1, True, True),
        (KERNEL_FIRST, HCR_NVHE_HOST, 2, False, True),  # EL2 with EA=AMO=TGE=0: not taken whatever PSTATE.A says
        (KERNEL_FIRST, HCR_VHE_HOST, 3, False, True),  # EL3 with EA=0
        (FIRMWARE_FIRST, HCR_VHE_HOST, 3, True, True),  # masked at EL3
        (KERNEL_FIRST, HCR_VHE_HOST, 2, False, False),  # taken by its vector
        (KERNEL_FIRST, HCR_GUEST, 1, True, False),  # goes to EL2
        (FIRMWARE_FIRST, HCR_VHE_HOST, 2, True, False),  # goes to EL3
        (ScrEl3.of(EA=1, NMEA=1), HCR_VHE_HOST, 3, True, False),
    ],
)
def test_esb_defers_what_is_masked_or_cannot_be_taken(scr, hcr, el, masked, deferred):
    pe = pe_at(el, masked, scr, hcr)
    pe.pend(UEO, 7)

    taken = pe.defer()

    assert (taken is not None) is deferred
    assert (pe.disr, pe.pending) == ((0x8000_0811, NOTHING) if deferred else (0, UEO))


def test_esb_leaves_disr_as_it_is_when_nothing_is_pending():
    pe = pe_at(2, masked=True)
    pe.pend(UEO, NOTHING)
    pe.defer()

    assert pe.defer() is None
    assert pe.disr == 0x8000_0811


@pytest.mark.parametrize(
    ("iss", "disr"),
    [
        (UEU, 0x8000_0411),
        (UEU | 1 << 9, 0x8000_0611),  # EA
        (0x00FF_FFFF, 0x8003_1EFF),  # bits 15:13, of which IESB, are RES0
        (UNCATEGORIZED, 0x8000_0000),
        (IMPDEF, 0x8100_0002),
        (IDS | 0xFF_FFFF, 0x81FF_FFFF),
    ],
)
def test_disr_has_the_fields_of_its_format(iss, disr):
    pe = pe_at(2, masked=True)
    pe.pend(iss, NOTHING)

    pe.defer()

    assert pe.disr == disr


@pytest.mark.parametrize(
    ("scr", "el", "seen"), [(KERNEL_FIRST, 2, True), (FIRMWARE_FIRST, 2, False), (FIRMWARE_FIRST, 3, True)]
)
def test_disr_reads_as_zero_below_el3_when_el3_takes_serrors(scr, el, seen):
    pe = pe_at(el, masked=True, scr=scr)
    pe.disr = 0x8000_0811

    assert pe.read_disr() == (pe.disr if seen else 0)


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize(("iesb", "ea", "nmea"), [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1)])
def test_a_level_synchronises_by_iesb_and_el3_also_by_nmea_with_ea(level, iesb, ea, nmea):
    pe = Pe(ScrEl3.of(EA=ea, NMEA=nmea))
    pe.sctlr = tuple(SctlrElx.of(IESB=iesb) if el == level else 0 for el in range(4))

    assert pe.implicit_barrier(level) is bool(iesb or (level == 3 and ea and nmea))
    assert not pe.implicit_barrier(level - 1)


def test_software_sets_iesb_for_every_level_at_boot():
    assert [bool(SctlrElx(sctlr).IESB) for sctlr in SCTLR_AFTER_BOOT] == [False, True, True, True]


@pytest.mark.parametrize(("iss", "bit_13"), [(UEO, 1), (CE, 1), (UNCATEGORIZED, 0), (IMPDEF, 0), (0x12, 0)])
def test_the_syndrome_tells_of_iesb_only_in_the_architected_format(iss, bit_13):
    assert implicitly_synchronised(iss) == iss | bit_13 << 13


@pytest.mark.parametrize(
    ("guest", "el", "hcr", "runs_at"),
    [(-1, 0, HCR_VHE_HOST, 0), (-1, 1, HCR_VHE_HOST, 2), (0, 0, HCR_GUEST, 0), (0, 1, HCR_GUEST, 1)],
)
def test_the_host_runs_at_el0_and_el2_and_a_guest_at_el0_and_el1(guest, el, hcr, runs_at):
    pe = Pe(KERNEL_FIRST)

    pe.run(guest, el)

    assert (pe.hcr, pe.el, pe.guest) == (hcr, runs_at, guest)
    assert (guest >= 0) == HcrEl2(pe.hcr).AMO


@pytest.mark.parametrize(
    ("name", "value"),
    [("masked", True), ("sdei_masked", True), ("disr", 1 << 31), ("carried", 1), ("pending", UEO), ("el", 3)],
)
def test_a_pe_that_something_distinguishes_is_not_idle(name, value):
    pe = Pe(KERNEL_FIRST)
    assert pe.idle()

    setattr(pe, name, value)

    assert not pe.idle()
