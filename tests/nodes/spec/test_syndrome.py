"""Syndromes: how one becomes another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.spec.aarch64 import ABORT_CLASSES, ExceptionClass
from nodes.spec.severity import Aet, Set
from nodes.spec.syndrome import (
    IDS,
    ISS_MASK,
    EsrAbort,
    EsrImpdef,
    EsrOther,
    EsrSError,
    abort_esr,
    deferred,
    disr_register,
    disr_to_esr,
    esr_register,
    exception_class,
    serror_esr,
    serror_iss,
    vserror_esr,
)

iss = st.integers(0, ISS_MASK)


@given(iss)
def test_a_virtual_serror_carries_all_25_bits_of_vsesr(value):
    assert vserror_esr(value) == 0xBE000000 | value
    assert vserror_esr(value | 0xFF << 56) == vserror_esr(value)


@given(iss)
def test_what_an_esb_defers_linux_reads_without_il(value):
    esr = disr_to_esr(deferred(value))

    assert esr >> 26 == 0x2F
    assert not EsrSError(esr).IL
    assert esr & ISS_MASK == (value if value & IDS else value & 0x1E3F)


@given(st.sampled_from(Aet))
def test_an_serror_tells_the_state_of_the_pe(aet):
    register = esr_register(serror_esr(serror_iss(aet)))

    assert isinstance(register, EsrSError)
    assert (aet, 0x11, 1) == (register.AET, register.DFSC, register.IL)


@given(st.integers(0, (1 << 32) - 1))
def test_the_form_of_an_esr_follows_its_class_and_ids(value):
    ec = exception_class(value)
    expected = EsrAbort if ec in ABORT_CLASSES else EsrOther
    if ec == ExceptionClass.SERROR:
        expected = EsrImpdef if value & IDS else EsrSError

    assert type(esr_register(value)) is expected


@pytest.mark.parametrize(("value", "esr"), [(0x92000410, (0x24, False)), (0x96000010, (0x25, True))])
def test_an_external_abort_says_whether_its_address_is_valid(value, esr):
    ec, far_valid = esr

    assert abort_esr(ec, far_valid=far_valid) == value


@given(st.sampled_from(Set))
def test_an_abort_tells_the_state_of_the_pe(state):
    assert state == EsrAbort(abort_esr(ExceptionClass.DABT_CURRENT, set_=state)).SET


@given(iss)
def test_the_form_of_a_deferred_syndrome_follows_ids(value):
    register = disr_register(deferred(value))

    assert register.A == 1
    assert value >> 24 == register.IDS
