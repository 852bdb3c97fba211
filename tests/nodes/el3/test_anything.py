"""Any faults, masks, calls, barriers, register writes and resets, close together, on hardware and EL3."""

from hypothesis import given
from hypothesis import strategies as st

from nodes.events import commands as c
from nodes.hardware.fault import FAULTS
from nodes.hardware.pe import NOTHING
from nodes.hardware.ras_nodes import MODELS, RasNodeKind, ras_node
from nodes.hardware.record import RecordRegister
from nodes.hardware.routing import PENDING
from nodes.host import Host, Switches
from nodes.policy import Aest, Handling, NotificationSwitch, Probes, SeverityPolicy, Tfa
from nodes.spec.err import RecordFormat

LINES = [0x8000_0000 + 64 * line for line in range(3)]
ESRS = [0xBE00_0011, 0xBE00_0411, 0xBE00_0811, 0xBE00_0C11, 0xBE00_1811, 0xBE00_0000, 0xBF00_0002]
PES = st.integers(0, 1)
BIT = st.integers(0, 1)
GUESTS = st.integers(-1, 1)
switches = st.builds(
    Switches,
    handling=st.sampled_from(Handling),
    notification=st.sampled_from(NotificationSwitch),
    record_format=st.sampled_from(RecordFormat),
    tfa=st.sampled_from(Tfa),
    probes=st.sampled_from(Probes),
    severity_policy=st.sampled_from(SeverityPolicy),
    aest=st.sampled_from(Aest),
    ce_threshold=st.sampled_from([1, 2, 40]),
)
nodes = st.sampled_from(
    [
        ras_node(model.kind, instance)
        for model in MODELS
        for instance in range(1 if model.kind in (RasNodeKind.BUS, RasNodeKind.PCIE) else 3)
    ]
)
control = st.sampled_from([0, 0x8000_0008, 0xC000_0040, 0x8000_0808, 0x8000_0206, 0x8000_0210])
writes = st.one_of(
    st.tuples(st.just(RecordRegister.PFGCTL), control),
    st.tuples(st.just(RecordRegister.PFGCDN), st.integers(0, 20_000)),
    st.tuples(st.just(RecordRegister.CTLR), st.integers(0, 0xFFFF)),
    st.tuples(st.just(RecordRegister.STATUS), st.integers(0, (1 << 32) - 1)),
    st.tuples(st.just(RecordRegister.MISC0), st.integers(0, (1 << 64) - 1)),
)


def command(kind, *fields):
    return st.tuples(st.just(kind), st.tuples(*fields))


steps = st.one_of(
    command(c.InjectFault, st.integers(0, len(FAULTS) - 1), st.sampled_from(LINES), st.just(-1), BIT, PES),
    command(c.ReadMemory, st.sampled_from(LINES), st.just(-1), BIT, PES),
    command(c.ScrubMemory, st.sampled_from(LINES)),
    command(c.SetPe, PES, BIT, BIT, BIT),
    command(c.PendSError, st.sampled_from(ESRS), GUESTS, BIT, PES, st.sampled_from([0, 2])),
    command(c.RunBarrier, GUESTS, PES),
    command(c.CallFirmware, PES),
    command(c.ResetHost, BIT),
    st.tuples(st.just(c.WriteErrorRegister), st.tuples(nodes, writes).map(lambda each: (each[0], *each[1]))),
)
delays = st.sampled_from([0, 0, 100, 500, 1_000, 5_000, 30_000, 61_000, 1_000_000, 20_000_000_000])


def held_back(pe):
    """Whether what is pending at a PE is held by something: PSTATE.A, or a level that does not take it."""
    return pe.pending == NOTHING or pe.target() == PENDING


@given(switches=switches, plan=st.lists(st.tuples(delays, steps), min_size=10, max_size=25))
def test_whatever_happens_every_occurrence_is_somewhere_and_nothing_waits_unheld(switches, plan):
    host = Host(switches=switches)

    for delay, (kind, fields) in plan:
        host.run_until(host.now + delay)
        host.do(kind, *fields)

        assert host.accounted(), kind
        assert all(held_back(pe) for pe in host.machine.board.pes.touched.values()), kind


@given(switches=switches, plan=st.lists(st.tuples(delays, steps), min_size=5, max_size=15))
def test_whatever_happens_it_comes_to_rest(switches, plan):
    host = Host(switches=switches)
    for delay, (kind, fields) in plan:
        host.run_until(host.now + delay)
        host.do(kind, *fields)

    host.run()

    assert not host.step()
    assert host.machine.monitor.carried() == 0
    assert not host.machine.down
    assert host.accounted()
