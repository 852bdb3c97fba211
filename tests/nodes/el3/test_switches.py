"""Each switch that EL3 or the hardware reads shows a different outcome of the same fault."""

import pytest

from nodes.hardware.ras_nodes import RasNodeKind, ras_node
from nodes.policy import Aest, Handling, NotificationSwitch, Probes, SeverityPolicy, Tfa
from nodes.spec.err import ErrStatus, RecordFormat
from nodes.spec.status_block import SectionFlag, StatusBlock
from tests.nodes.el3.hosts import facts, firmware_first, ran, stopped_by


def outcome(fault, *names, **switches):
    """The kinds of events (of these names) that a fault brings about."""
    host = firmware_first(**switches)
    host.inject(fault)
    return [type(event).__name__ for event in facts(ran(host), *names)]


def test_record_format_decides_whether_a_worse_error_over_a_corrected_one_is_an_overflow():
    overflowed = {}
    for record_format in RecordFormat:
        host = firmware_first(record_format=record_format, ce_threshold=2)
        for fault in ("memory-ce", "memory-ueo"):
            host.inject(fault)
        (written,) = facts(ran(host), "StatusBlockWritten")
        overflowed[record_format] = StatusBlock.decode(written.block).entries[0].flags & SectionFlag.OVERFLOW

    assert overflowed == {RecordFormat.V1: 0, RecordFormat.V1P1: SectionFlag.OVERFLOW}


@pytest.mark.parametrize(("record_format", "critical"), [(RecordFormat.V1P1, 1), (RecordFormat.V1, 0)])
def test_record_format_decides_whether_a_record_can_be_critical(record_format, critical):
    host = firmware_first(record_format=record_format)

    host.inject("bus-uc")

    assert critical == ErrStatus(host.record(ras_node(RasNodeKind.BUS, 0)).status).CI


@pytest.mark.parametrize(("tfa", "stops"), [(Tfa.OLD, 0), (Tfa.NEW, 1)])
def test_the_newer_tfa_takes_every_plain_abort_for_uncontainable(tfa, stops):
    host = firmware_first(tfa=tfa)

    host.inject("memory-uer", guest=0)
    host.run()

    assert len(stopped_by(host)) == stops


@pytest.mark.parametrize(("probes", "stops"), [(Probes.PRESENT, 0), (Probes.ABSENT, 1)])
def test_without_probes_an_abort_stops_the_system(probes, stops):
    host = firmware_first(probes=probes)

    host.inject("memory-uer")
    host.run()

    assert len(stopped_by(host)) == stops


@pytest.mark.parametrize(
    ("policy", "panics"), [(SeverityPolicy.STRICT, ["KernelPanicked"]), (SeverityPolicy.NEOVERSE_RD, [])]
)
def test_the_severity_policy_decides_whether_an_unrecoverable_error_panics_the_kernel(policy, panics):
    assert outcome("memory-ueu", "KernelPanicked", severity_policy=policy) == panics


@pytest.mark.parametrize(
    ("handling", "reads"),
    [
        (Handling.FIRMWARE_FIRST, ["RecordCleared", "StatusBlockWritten", "RecordRead"]),
        (Handling.KERNEL_FIRST, ["RecordCleared"]),
    ],
)
def test_handling_decides_who_reads_the_record(handling, reads):
    names = ("RecordCleared", "StatusBlockWritten", "RecordRead")

    assert outcome("memory-ueo", *names, handling=handling) == reads


@pytest.mark.parametrize(("handling", "target"), [(Handling.FIRMWARE_FIRST, 3), (Handling.KERNEL_FIRST, 2)])
def test_handling_decides_who_takes_an_serror(handling, target):
    host = firmware_first(handling=handling, aest=Aest.NONE)

    host.inject("tlb-ueo")

    assert [event.target_el for event in facts(host, "SErrorTaken")] == [target]


def test_notification_decides_how_the_kernel_hears_of_one_and_the_same_abort():
    ways = {
        switch: outcome("memory-uer", "OsNotified", "SeaTaken", "RecordRead", notification=switch)[:4]
        for switch in NotificationSwitch
    }

    assert ways["sdei"] == ways["gsiv"] == ways["gpio"] == ["SeaTaken", "OsNotified", "RecordRead"]
    assert ways["sea"] == ["SeaTaken", "OsNotified", "SeaTaken", "RecordRead"]
    assert ways["polled"][0] == "SeaTaken"
    assert "OsNotified" not in ways["polled"]
