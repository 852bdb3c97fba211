"""What the sections of a record ask for."""

import itertools

import pytest

from nodes.linux.estatus import walk
from nodes.linux.memory_failure import FIFO_SIZE, Flag
from nodes.linux.sections import AerSeverity, DeviceRecovery, PageFailure, Unhandled, wanted
from nodes.linux.versions import BEHAVIOUR
from nodes.policy import Kernel
from nodes.spec.status_block import DataEntry
from tests.blocks import (
    BUS,
    CACHE,
    CORRECTED,
    FATAL,
    INFORMATIONAL,
    MICRO,
    RECOVERABLE,
    RESET,
    THRESHOLD,
    TLB,
    UNKNOWN,
    VENDOR_GUID,
    arm_entry,
    block_of,
    memory_entry,
    pcie_entry,
    pei,
)

PA = 0x5000_0100
OTHER = 0x5001_0000
SEVERITIES = (RECOVERABLE, CORRECTED, INFORMATIONAL, UNKNOWN, FATAL)
PAIRS = list(itertools.product(SEVERITIES, SEVERITIES))
CHECKS = [Kernel.V6_12, Kernel.V6_19]  # the lengths of ARM sections
kernels = pytest.mark.parametrize("version", list(Kernel))
synchrony = pytest.mark.parametrize("synchronous", [True, False])


def asked(*entries, severity=RECOVERABLE, version=Kernel.V6_12, synchronous=False):
    """What a block asks for, without what asks for nothing."""
    block = block_of(*entries, severity=severity)
    wants = wanted(block, walk(block), severity, BEHAVIOUR[version], synchronous=synchronous)
    return [want for want in wants if not isinstance(want, Unhandled)]


@kernels
@pytest.mark.parametrize(("block", "section"), PAIRS)
@pytest.mark.parametrize("flags", [0, THRESHOLD, 0x37])
def test_a_memory_section_is_acted_on_by_both_severities_and_the_threshold_flag(block, section, flags, version):
    soft = section == CORRECTED and flags == THRESHOLD
    hard = block == section == RECOVERABLE

    asks = asked(memory_entry(PA, section, flags), severity=block, version=version)

    flag = Flag.SOFT_OFFLINE if soft else Flag.NONE
    assert asks == ([PageFailure(PA, flag)] if soft or hard else [])


@pytest.mark.parametrize(("section", "flags"), [(RECOVERABLE, 0), (CORRECTED, THRESHOLD)])
def test_a_memory_section_without_an_address_asks_for_nothing(section, flags):
    assert asked(memory_entry(None, section, flags)) == []


@synchrony
def test_action_is_required_only_where_the_source_is_synchronous(synchronous):
    entries = memory_entry(PA), arm_entry(pei(CACHE, PA)), memory_entry(PA, CORRECTED, THRESHOLD)

    asks = asked(*entries, synchronous=synchronous)

    flag = Flag.ACTION_REQUIRED if synchronous else Flag.NONE
    assert [want.flags for want in asks] == [flag, flag, Flag.SOFT_OFFLINE]


@kernels
@pytest.mark.parametrize("with_address", [True, False])
@pytest.mark.parametrize("kind", [0, 1, CACHE, 3, TLB, CACHE | TLB, BUS, MICRO, CACHE | MICRO, 0x1E, 0x20, 0x82])
def test_only_a_cache_error_with_an_address_is_acted_on(kind, with_address, version):
    asks = asked(arm_entry(pei(kind, PA if with_address else None)), version=version)

    assert asks == ([PageFailure(PA, Flag.NONE)] if kind & CACHE and with_address else [])


@kernels
@pytest.mark.parametrize(("block", "section"), PAIRS)
@pytest.mark.parametrize("flags", [0, THRESHOLD])
def test_an_arm_section_is_acted_on_when_both_severities_are_recoverable(block, section, flags, version):
    asks = asked(arm_entry(pei(CACHE, PA), severity=section, flags=flags), severity=block, version=version)

    assert bool(asks) == (block == section == RECOVERABLE)


@kernels
@pytest.mark.parametrize("length", [16, 31, 33, 64])
def test_the_walk_steps_by_the_errors_own_length(length, version):
    asks = asked(arm_entry(pei(CACHE, PA, length), pei(CACHE, OTHER)), version=version)

    assert PageFailure(PA, Flag.NONE) in asks
    assert PageFailure(OTHER, Flag.NONE) not in asks


@kernels
def test_an_error_of_length_0_is_handled_again_in_place_of_the_next(version):
    asks = asked(arm_entry(pei(CACHE, PA, 0), pei(CACHE, OTHER)), version=version)

    assert asks == [PageFailure(PA, Flag.NONE)] * 2


@kernels
def test_an_error_of_length_0_is_repeated_no_more_often_than_makes_a_difference(version):
    asks = asked(arm_entry(pei(CACHE, PA, 0), count=65535), version=version)

    assert asks == [PageFailure(PA, Flag.NONE)] * (FIFO_SIZE + 1)


@kernels
@pytest.mark.parametrize("length", [33, 64, 255])
def test_an_error_that_claims_more_than_is_left_is_handled_only_before_6_12(length, version):
    asks = asked(arm_entry(pei(CACHE, PA, length)), version=version)

    assert bool(asks) == (version not in CHECKS)


@kernels
def test_a_cut_error_is_handled_only_before_6_12(version):
    asks = asked(arm_entry(pei(CACHE, PA), cut=1), memory_entry(None), version=version)

    assert bool(asks) == (version not in CHECKS)


@kernels
def test_an_error_needs_all_its_bytes_since_6_12_whatever_its_own_length(version):
    asks = asked(arm_entry(pei(0), pei(CACHE, OTHER, 16), cut=8), version=version)

    assert asks == ([] if version in CHECKS else [PageFailure(0, Flag.NONE)])


@kernels
def test_a_section_length_that_wraps_is_negative_since_6_12(version):
    entry = bytearray(arm_entry(pei(CACHE, PA)).encode().ljust(192, b"\0"))
    entry[24:28] = (-8 & 0xFFFF_FFFF).to_bytes(4, "little")
    block = (1).to_bytes(12, "little") + len(entry).to_bytes(4, "little") + bytes(4) + entry

    entries = walk(block)
    wants = wanted(block, entries, RECOVERABLE, BEHAVIOUR[version], synchronous=False)

    assert entries[0].body_length == 0xFFFF_FFF8
    assert (PageFailure(PA, Flag.NONE) in wants) == (version not in CHECKS)


@kernels
@pytest.mark.parametrize("count", [2, 5, 65535])
def test_a_count_that_is_too_big_finds_nothing_behind_the_block(count, version):
    assert asked(arm_entry(pei(CACHE, PA), count=count), version=version) == [PageFailure(PA, Flag.NONE)]


def test_what_6_1_reads_behind_the_section_may_be_an_error_of_another_one():
    hidden = DataEntry(VENDOR_GUID, RECOVERABLE, pei(CACHE, OTHER).encode())
    gap = pei(0, None, 32 + 72)  # it ends where the body of the next section begins

    asks = {version: asked(arm_entry(gap, count=2), hidden, version=version) for version in Kernel}

    assert asks == {Kernel.V6_1: [PageFailure(OTHER, Flag.NONE)], Kernel.V6_12: [], Kernel.V6_19: []}


@kernels
@pytest.mark.parametrize("length", [0, 8, 32, 39])
def test_an_arm_section_without_its_header_asks_for_nothing(length, version):
    body = arm_entry(pei(CACHE, PA)).body[:length]

    assert asked(DataEntry(arm_entry().section_type, RECOVERABLE, body), version=version) == []


@pytest.mark.parametrize(
    ("section", "flags", "severity"),
    [
        (RECOVERABLE, 0, AerSeverity.NONFATAL),
        (RECOVERABLE, RESET, AerSeverity.FATAL),
        (FATAL, 0, AerSeverity.FATAL),
        (CORRECTED, 0, AerSeverity.CORRECTABLE),
        (CORRECTED, RESET, AerSeverity.FATAL),
        (INFORMATIONAL, 0, AerSeverity.CORRECTABLE),
        (UNKNOWN, 0, AerSeverity.CORRECTABLE),
    ],
)
@pytest.mark.parametrize("block", [RECOVERABLE, CORRECTED, INFORMATIONAL])
def test_a_pcie_section_is_recovered_by_its_own_severity_alone(block, section, flags, severity):
    entry = pcie_entry(section, flags, segment=1, bus=2, device=3, function=4)

    assert asked(entry, severity=block) == [DeviceRecovery(0x1021C, severity)]


@pytest.mark.parametrize("valid", [0, 1 << 3, 1 << 7, 0xF7, 0x7F])
def test_a_pcie_section_needs_both_the_device_and_its_aer_registers(valid):
    assert asked(pcie_entry(valid=valid)) == []


@pytest.mark.parametrize("length", [0, 8, 30, 207])
def test_a_short_pcie_section_is_read_all_the_same(length):
    body = pcie_entry().body[:length]

    asks = asked(DataEntry(pcie_entry().section_type, RECOVERABLE, body))

    assert asks == ([DeviceRecovery(0, AerSeverity.NONFATAL)] if length else [])


def test_an_unknown_section_asks_for_nothing():
    assert asked(DataEntry(VENDOR_GUID, RECOVERABLE, bytes(80))) == []
