"""TF-A's uncontainable test, old and new, for every syndrome that its words speak of."""

from itertools import product

import pytest

from nodes.el3.classify import uncontainable
from nodes.policy import Tfa

SERROR, IABT_LOWER, IABT_CURRENT, DABT_LOWER, DABT_CURRENT = 0x2F, 0x20, 0x21, 0x24, 0x25
CODES = range(64)


def asynchronous(ids, aet, dfsc):
    return SERROR << 26 | 1 << 25 | ids << 24 | aet << 10 | dfsc


def uncontainable_serrors(ids, tfa):
    """Every AET and DFSC that the test finds uncontainable."""
    cells = product(range(8), CODES)
    return {(aet, dfsc) for aet, dfsc in cells if uncontainable(asynchronous(ids, aet, dfsc), tfa)}


def synchronous(ec, isv, state, fsc):
    return ec << 26 | 1 << 25 | isv << 24 | state << 11 | fsc


@pytest.mark.parametrize("ids", [0, 1])
def test_old_an_serror_is_uncontainable_when_aet_says_so_in_the_architected_format(ids):
    assert uncontainable_serrors(ids, Tfa.OLD) == (set() if ids else {(0, 0x11)})


@pytest.mark.parametrize("ids", [0, 1])
def test_new_an_serror_is_judged_without_asking_ids(ids):
    assert uncontainable_serrors(ids, Tfa.NEW) == {(0, 0x11)}


@pytest.mark.parametrize("ec", [IABT_LOWER, DABT_LOWER])
@pytest.mark.parametrize("isv", [0, 1])
@pytest.mark.parametrize("tfa", Tfa)
def test_an_abort_is_uncontainable_by_set_and_fsc_old_or_by_either_of_them_new(ec, isv, tfa):
    for state, fsc in product(range(4), CODES):
        both, either = state == 2 and fsc == 0x10, state == 2 or fsc == 0x10

        assert uncontainable(synchronous(ec, isv, state, fsc), tfa) is (both if tfa is Tfa.OLD else either)


@pytest.mark.parametrize("ec", [0x00, 0x12, 0x17, 0x18, IABT_CURRENT, DABT_CURRENT, 0x3C])
@pytest.mark.parametrize("tfa", Tfa)
def test_no_other_exception_is_asked(ec, tfa):
    assert not any(uncontainable(synchronous(ec, 0, state, fsc), tfa) for state, fsc in product(range(4), CODES))
