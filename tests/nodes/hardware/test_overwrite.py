"""The overwrite tables, cell by cell, against the rule as prose: who is worse, and what becomes of OF."""

from itertools import product

import pytest

from nodes.hardware.overwrite import COLUMNS, TABLES
from nodes.spec.err import CorrectedError, ErrAddr, ErrStatus, error_state
from nodes.spec.severity import ErrorState
from tests.nodes.hardware.records import (
    NEW_ADDRESS,
    NEW_SERR,
    OLD_ADDRESS,
    OLD_SERR,
    V1,
    V1P1,
    error,
    holding,
    ras_node_with,
    status,
)

NONE, CE, DE, UEO, UER, UEU, UC = ErrorState
WORSE = [NONE, CE, DE, UEO, UER, UEU, UC]  # the document's order
ONE_BEFORE_WRAP = 0x7FFF << 32
COUNTERS = {"none": ({}, 0), "counts": ({"CEC": 4}, 0), "wraps": ({"CEC": 4}, ONE_BEFORE_WRAP)}
every_cell = pytest.mark.parametrize(
    ("rev", "held", "new"), [(rev, h, n) for rev in (V1P1, V1) for h in ErrorState for n in COLUMNS]
)


def rule(rev, held, new, counter, ceo, of):
    """Whether the new syndrome stands, and OF afterwards."""
    loses = counter == "none" or (counter == "wraps" and new is CE)  # an error that nothing holds any more
    if held is NONE:
        return True, of or (new is CE and counter == "wraps")
    if new is CE:
        stands = held is CE and counter != "none" and ceo == 1 and not of
        return stands, of or loses
    if WORSE.index(new) <= WORSE.index(held):
        kept_quietly = rev is V1 and new is DE and held > DE
        return False, of or not kept_quietly
    return True, of or rev is V1P1 or held > DE


@every_cell
def test_each_cell_overwrites_keeps_and_overflows_as_the_rule_says(rev, held, new):
    for counter, ceo, of in product(COUNTERS, (0, 1), (0, 1)):
        fr, misc0 = COUNTERS[counter]
        record = holding(ras_node_with(misc0=misc0, CEO=ceo, **fr), held, OF=of)

        stands = record.record(error(new), rev)

        after = status(record)
        assert (stands, bool(after.OF)) == rule(rev, held, new, counter, ceo, bool(of)), (counter, ceo, of)
        assert after.V == 1
        assert (NEW_SERR if stands else OLD_SERR) == after.SERR
        assert record.addr == ErrAddr.of(NS=1, PADDR=NEW_ADDRESS if stands else OLD_ADDRESS)
        assert error_state(record.status) is max(held, new)


@every_cell
def test_each_cell_leaves_the_fields_that_the_table_marks_unchanged(rev, held, new):
    everything_below = {"CE": CorrectedError.PERSISTENT} if held > CE else {}
    record = holding(ras_node_with(CEC=4), held, **everything_below)
    before = status(record)

    record.record(error(new, corrected=CorrectedError.TRANSIENT), rev)

    after = status(record)
    assert (CorrectedError.TRANSIENT if new is CE else before.CE) == after.CE
    assert int(new is DE or before.DE) == after.DE
    assert int(new > DE or before.UE) == after.UE


@every_cell
def test_the_tables_name_one_action_for_each_cell(rev, held, new):
    for counter in (False, True):
        cell = TABLES[rev][counter][held][new - 1]

        assert cell.counts == (counter and new is CE)
        assert not (cell.overwrite and cell.overwrite_by_ceo)


def test_what_overwrites_names_the_whole_new_syndrome():
    record = holding(ras_node_with(UE=2, ctlr={"UE": 1}), UEO, PN=1, IERR=0x7F)

    record.record(error(UER, ierr=3, responded=True), V1P1)

    after = status(record)
    assert (after.UET, after.ER, after.PN, after.IERR, after.AV) == (3, 1, 0, 3, 1)


def test_what_overwrites_without_an_address_makes_addr_invalid():
    record = holding(ras_node_with(), CE)

    record.record(error(UER, address=None), V1P1)

    assert status(record).AV == 0


@pytest.mark.parametrize(("new", "types"), [(CE, (0, 0)), (DE, (0, 1)), (UEO, (1, 1))])
@pytest.mark.parametrize("rev", [V1, V1P1])
def test_what_an_invalid_record_had_is_no_part_of_the_new_state(rev, new, types):
    record = ras_node_with()
    record.status = int(ErrStatus.of(UE=1, DE=1, UET=0))

    record.record(error(new), rev)

    assert error_state(record.status) is new
    assert types == (status(record).UE, status(record).DE)
