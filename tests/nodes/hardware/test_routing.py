"""Where SErrors and aborts go: the document's table and formula, for every combination of what decides."""

from itertools import product

import pytest

from nodes.hardware.routing import (
    PENDING,
    Disr,
    disr_reached,
    effective_amo,
    route_sea,
    route_serror,
    serror_masked,
    serror_target,
    vector_offset,
    virtual_barrier,
    virtual_serror_deliverable,
)
from nodes.spec.aarch64 import HcrEl2, ScrEl3

LEVELS = (0, 1, 2, 3)
BITS = (0, 1)
TABLE = {  # (SCR_EL3.EA, HCR_EL2.(AMO|TGE)): from EL0, EL1, EL2, EL3; None: not taken
    (0, 0): (1, 1, None, None),
    (0, 1): (2, 2, 2, None),
    (1, 0): (3, 3, 3, 3),
    (1, 1): (3, 3, 3, 3),
}
TAKEN_ANYWAY = [  # EA, hcr, from: PSTATE.A does not hold these
    (1, {}, 0), (1, {}, 1), (1, {}, 2), (0, {"AMO": 1}, 0), (0, {"AMO": 1}, 1), (0, {"TGE": 1}, 0),
]  # fmt: skip
HELD_BY_A = [
    (0, {}, 0),
    (0, {}, 1),
    (0, {"TGE": 1, "E2H": 1}, 0),
    (0, {"AMO": 1}, 2),
    (0, {"TGE": 1}, 2),
    (1, {}, 3),
]


def formula(ea, nmea, amo, tge, e2h, cur, a):
    """AArch64.PhysicalSErrorTarget as the notes restate it; NMEA takes PSTATE.A's power at EL3 away."""
    amo = (not e2h) if tge else amo  # EffectiveHCR_AMO
    in_host = cur == 0 and e2h and tge
    route3 = cur != 3 and ea
    route2 = not route3 and ((cur == 1 and amo) or (cur == 0 and not in_host and (tge or amo)))
    if cur == 3:
        masked = not ea or (a and not nmea)
    elif cur == 2:
        masked = not route3 and ((not tge and not amo) or a)
    else:
        masked = not route3 and not route2 and a
    if route3 or (cur == 3 and not masked):
        return 3
    if route2 or ((cur == 2 or in_host) and not masked):
        return 2
    return 1 if not masked else PENDING


@pytest.mark.parametrize("cell", TABLE)
def test_a_physical_serror_goes_where_the_table_says(cell):
    ea, amo = cell

    targets = tuple(serror_target(ScrEl3.of(EA=ea), HcrEl2.of(AMO=amo), el) for el in LEVELS)

    assert targets == tuple(PENDING if target is None else target for target in TABLE[cell])


@pytest.mark.parametrize("el", LEVELS)
def test_routing_and_masking_agree_with_the_formula_in_every_combination(el):
    for ea, nmea, amo, tge, e2h, a in product(BITS, repeat=6):
        scr, hcr = ScrEl3.of(EA=ea, NMEA=nmea), HcrEl2.of(AMO=amo, TGE=tge, E2H=e2h)

        target = route_serror(scr, hcr, el, masked=bool(a))

        assert target == formula(ea, nmea, amo, tge, e2h, el, a), (ea, nmea, amo, tge, e2h, a)


@pytest.mark.parametrize(("ea", "hcr", "el"), TAKEN_ANYWAY)
def test_pstate_a_does_not_hold_what_goes_to_a_higher_level(ea, hcr, el):
    scr, word = ScrEl3.of(EA=ea), HcrEl2.of(**hcr)

    assert route_serror(scr, word, el, masked=True) == route_serror(scr, word, el, masked=False) > el


@pytest.mark.parametrize(("ea", "hcr", "el"), HELD_BY_A)
def test_pstate_a_holds_what_the_level_would_take_itself(ea, hcr, el):
    scr, word = ScrEl3.of(EA=ea), HcrEl2.of(**hcr)

    assert serror_masked(scr, word, el, serror_target(scr, word, el))
    assert route_serror(scr, word, el, masked=True) == PENDING


@pytest.mark.parametrize(("ea", "nmea", "target"), [(1, 0, PENDING), (1, 1, 3), (0, 1, PENDING)])
def test_nmea_takes_a_masked_serror_at_el3_when_it_is_routed_there(ea, nmea, target):
    assert route_serror(ScrEl3.of(EA=ea, NMEA=nmea), 0, 3, masked=True) == target


@pytest.mark.parametrize(
    ("amo", "tge", "e2h", "effective"),
    [(0, 0, 0, False), (1, 0, 0, True), (1, 0, 1, True), (0, 1, 0, True), (1, 1, 1, False), (0, 1, 1, False)],
)
def test_amo_counts_as_e2h_says_while_tge_is_set(amo, tge, e2h, effective):
    assert effective_amo(HcrEl2.of(AMO=amo, TGE=tge, E2H=e2h)) is effective


@pytest.mark.parametrize("el", LEVELS)
def test_a_synchronous_abort_goes_by_tea_tge_ea_and_stage_2_and_not_by_amo(el):
    for ea, tea, tge, amo, stage_2 in product(BITS, repeat=5):
        scr, hcr = ScrEl3.of(EA=ea), HcrEl2.of(TEA=tea, TGE=tge, AMO=amo)

        target = route_sea(scr, hcr, el, stage_2=bool(stage_2))

        to_el2 = el == 2 or tea or tge or stage_2
        assert target == (3 if el == 3 or ea else 2 if to_el2 else 1)


@pytest.mark.parametrize("el", LEVELS)
def test_a_virtual_serror_is_delivered_or_deferred_exactly_when_it_is_enabled(el):
    for vse, amo, tge, a in product(BITS, repeat=4):
        hcr = HcrEl2.of(VSE=vse, AMO=amo, TGE=tge)
        enabled = bool(vse and amo and not tge and el <= 1)

        assert virtual_serror_deliverable(hcr, el, masked=bool(a)) is (enabled and not a)
        assert bool(virtual_barrier(hcr, 0x411, el, masked=bool(a))) is bool(enabled and a)


@pytest.mark.parametrize("vsesr", [0, 0x811, 0x0100_0000, 0x01FF_FFFF])
def test_a_deferred_virtual_serror_keeps_all_25_bits_of_its_syndrome(vsesr):
    assert virtual_barrier(HcrEl2.of(VSE=1, AMO=1), vsesr, 1, masked=True) == 1 << 31 | vsesr


@pytest.mark.parametrize("el", LEVELS)
def test_an_access_to_disr_reaches_the_virtual_one_nothing_or_itself(el):
    for ea, amo, tge in product(BITS, repeat=3):
        reached = disr_reached(ScrEl3.of(EA=ea), HcrEl2.of(AMO=amo, TGE=tge), el)

        assert reached is (Disr.VIRTUAL if el < 2 and amo else Disr.ZERO if el < 3 and ea else Disr.OWN)


@pytest.mark.parametrize(
    ("el", "target", "sp0", "sync", "serror"),
    [
        (0, 1, False, 0x400, 0x580),
        (1, 1, False, 0x200, 0x380),
        (1, 2, False, 0x400, 0x580),
        (2, 2, False, 0x200, 0x380),
        (1, 3, False, 0x400, 0x580),
        (3, 3, True, 0x000, 0x180),
    ],
)
def test_an_exception_enters_where_its_source_and_its_kind_say(el, target, sp0, sync, serror):
    assert vector_offset(0, el, target, serror=False, sp0=sp0) == sync
    assert vector_offset(0, el, target, serror=True, sp0=sp0) == serror


@pytest.mark.parametrize(("target", "offset"), [(3, 0x580), (2, 0x400)])
def test_with_ease_an_abort_to_el3_enters_at_the_vector_of_serrors(target, offset):
    assert vector_offset(ScrEl3.of(EASE=1), 1, target, serror=False) == offset
