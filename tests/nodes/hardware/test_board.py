"""The hardware of one host: who detects what, poison on its way, who is told; and the ledger of it."""

import pytest

from nodes.events import NO_GUEST
from nodes.hardware.dram import DramAddress, DramGeometry
from nodes.hardware.fault import FAULT_INDEX, FAULTS, Delivery
from nodes.hardware.ras_nodes import RasNodeKind, ras_node
from nodes.hardware.record import RecordRegister
from nodes.ledger import Account
from nodes.spec.err import ErrCtlr, ErrStatus, Serr
from tests.nodes.hardware.records import FIRMWARE_FIRST, KERNEL_FIRST, V1, V1P1, board_with

LINE = 0x8000_1000  # first byte of a poisoned line, on DIMM 0
ADDRESS = LINE + 0x28
DIMM_0, CACHE_0 = ras_node(RasNodeKind.MEMORY, 0), ras_node(RasNodeKind.CACHE, 0)
every_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
both_routings = pytest.mark.parametrize(
    "scr", [KERNEL_FIRST, FIRMWARE_FIRST], ids=["kernel-first", "firmware-first"]
)


def inject(board, name, address=ADDRESS, pe=0, guest=NO_GUEST, el=0, **how):
    board.inject(FAULT_INDEX[name], address, pe, guest, el, **how)


def status(board, node):
    return ErrStatus(board.record_of(node).status)


def poisoned(scr=FIRMWARE_FIRST):
    """A board with a deferred error in one line, already told, and what it asks from now on."""
    board, asked = board_with(scr)
    inject(board, "memory-de")
    record = board.record_of(DIMM_0)
    record.write_status(record.status, V1P1)
    board.handled(DIMM_0)
    asked.calls.clear()
    return board, asked


@every_fault
@both_routings
def test_every_fault_is_recorded_by_its_ras_node_in_its_state(fault, scr):
    board, asked = board_with(scr)

    inject(board, fault.name, pe=3)

    node = ras_node(fault.kind, 3 if fault.kind in (RasNodeKind.CACHE, RasNodeKind.TLB) else 0)
    assert asked.of("ErrorRecorded")[0][:2] == (node, board.record_of(node).status)
    assert fault.serr == status(board, node).SERR
    assert board.ledger.injected == 1
    assert board.ledger.open() == board.carried() == 1


@every_fault
@both_routings
def test_a_fault_reaches_the_pe_in_the_way_its_row_says(fault, scr):
    board, asked = board_with(scr)

    inject(board, fault.name)

    told = {"serror_taken": Delivery.SERROR, "sea_taken": Delivery.SEA}
    assert [told[name] for name in asked.names() if name in told] == [d for d in [fault.delivery] if d]


@every_fault
def test_el3_is_interrupted_only_where_no_abort_takes_it_to_the_record(fault):
    board, asked = board_with(FIRMWARE_FIRST)

    inject(board, fault.name)

    assert len(asked.of("ras_interrupt")) == (fault.delivery is Delivery.NONE)


@every_fault
def test_kernel_first_the_interrupt_comes_besides_the_abort(fault):
    board, asked = board_with(KERNEL_FIRST)

    inject(board, fault.name)

    assert len(asked.of("ras_interrupt")) == 1


@pytest.mark.parametrize("name", ["memory-uer", "tlb-ueu", "bus-uer"])
@pytest.mark.parametrize("consumed", [True, False])
def test_er_says_that_a_pe_got_the_response(name, consumed):
    board, asked = board_with()

    inject(board, name, consumed=consumed)

    record = next(iter(board.records.values()))
    assert consumed == ErrStatus(record.status).ER
    assert bool(asked.of("ras_interrupt")) is not consumed


@pytest.mark.parametrize(("name", "pn"), [("memory-de", 0), ("cache-de", 0), ("bus-de", 1), ("pcie-de", 1)])
def test_pn_tells_poison_from_elsewhere_from_a_value_that_became_corrupt_here(name, pn):
    board, asked = board_with()

    inject(board, name)

    assert pn == ErrStatus(asked.of("ErrorRecorded")[0][1]).PN


def test_without_in_band_response_only_the_interrupt_tells():
    board, asked = board_with()
    board.write(DIMM_0, RecordRegister.CTLR, int(ErrCtlr.of(ED=1, FI=1)))

    inject(board, "memory-uer")

    assert status(board, DIMM_0).ER == 0
    assert asked.names()[-1] == "ras_interrupt"
    assert asked.of("sea_taken") == []


def test_a_disabled_ras_node_records_nothing_and_the_error_is_silent():
    board, asked = board_with()
    board.write(DIMM_0, RecordRegister.CTLR, 0)

    inject(board, "memory-uer")

    assert asked.calls == []
    assert (status(board, DIMM_0), board.ledger[Account.SILENT]) == (0, 1)


@pytest.mark.parametrize("rev", [V1, V1P1])
def test_an_uncontainable_bus_error_is_critical(rev):
    board, _ = board_with(record_format=rev)

    inject(board, "bus-uc")

    assert (rev is V1P1) == status(board, ras_node(RasNodeKind.BUS, 0)).CI


def test_a_bus_error_is_recorded_by_the_socket_that_the_address_belongs_to():
    board, asked = board_with(geometry=DramGeometry(sockets=2))
    address = DramGeometry(sockets=2).address_of(DramAddress(1, 0, 0, 0, 0, 0, 0))

    inject(board, "bus-ce", address=address)

    assert asked.of("ErrorRecorded")[0][0] == ras_node(RasNodeKind.BUS, 1)


# Poison


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        *(("memory-ce", 0), ("memory-de", 1), ("memory-ueo", 1), ("memory-uer", 1), ("memory-ueu", 1)),
        *(("memory-uc", 0), ("cache-de", 1), ("bus-de", 1), ("tlb-de", 0), ("pcie-de", 0), ("cache-uer", 0)),
    ],
)
def test_a_line_becomes_poison_where_data_is_bad_and_its_place_is_known(name, stored):
    board, asked = board_with()

    inject(board, name)

    assert asked.of("PoisonStored") == [(LINE,)] * stored


def test_a_deferred_error_is_latent_until_somebody_meets_it():
    board, _ = poisoned()

    assert board.ledger[Account.LATENT] == board.carried() == 1
    assert board.poison == {LINE: 1}


@pytest.mark.parametrize("offset", [0, 63])
def test_a_load_from_a_poisoned_line_aborts_and_the_cache_records_it_as_poison(offset):
    board, asked = poisoned()

    assert board.read(LINE + offset, 0, NO_GUEST, 0)

    after = status(board, CACHE_0)
    assert (after.UE, after.PN, after.ER, after.SERR) == (1, 1, 1, Serr.DEFERRED_NOT_SUPPORTED_REQUESTER)
    assert [call[:2] for call in asked.of("sea_taken")] == [(0, 3)]
    assert board.ledger[Account.IN_FLIGHT] == 1


@pytest.mark.parametrize("address", [LINE - 1, LINE + 64])
def test_a_load_beside_a_poisoned_line_meets_nothing(address):
    board, asked = poisoned()

    assert not board.read(address, 0, NO_GUEST, 0)
    assert asked.names() == ["MemoryRead"]


def test_poison_stays_poison_and_is_consumed_again_without_a_new_occurrence():
    board, asked = poisoned()
    board.read(ADDRESS, 0, NO_GUEST, 0)

    assert board.read(ADDRESS, 1, NO_GUEST, 0)
    assert len(asked.of("sea_taken")) == 2
    assert (board.ledger.injected, board.ledger.open(), board.carried()) == (1, 1, 1)


def test_a_second_deferred_error_in_a_line_waits_with_the_first():
    board, asked = poisoned()

    inject(board, "memory-de", address=LINE)

    assert board.poison == {LINE: 2}
    assert asked.of("PoisonStored") == []


def test_writing_the_whole_line_removes_poison_and_ends_what_it_carried():
    board, asked = poisoned()

    board.scrub(ADDRESS)
    board.scrub(ADDRESS)

    assert asked.calls == [("PoisonRemoved", LINE)]
    assert board.ledger[Account.CORRECTED] == 1
    assert not board.read(ADDRESS, 0, NO_GUEST, 0)


def test_poison_in_a_page_that_was_taken_away_will_never_be_read():
    board, _ = poisoned()
    inject(board, "memory-de", address=LINE + 4096)

    board.forget_page(LINE, 4096)

    assert list(board.poison) == [LINE + 4096]
    assert board.ledger[Account.REPORTED] == 1


def test_poison_that_a_disabled_ras_node_lets_through_is_silent():
    board, asked = poisoned()
    board.write(CACHE_0, RecordRegister.CTLR, 0)

    assert not board.read(ADDRESS, 0, NO_GUEST, 0)
    assert asked.names() == ["MemoryRead"]
    assert board.ledger[Account.SILENT] == 1


def test_poison_met_without_an_in_band_response_interrupts_and_aborts_nobody():
    board, asked = poisoned()
    board.write(CACHE_0, RecordRegister.CTLR, int(ErrCtlr.of(ED=1, FI=1)))

    assert not board.read(ADDRESS, 0, NO_GUEST, 0)
    assert asked.names()[-1] == "ras_interrupt"
    assert status(board, CACHE_0).ER == 0


# Who carries an occurrence


def test_a_corrected_error_below_the_threshold_was_only_counted():
    board, asked = board_with(ce_threshold=2)

    inject(board, "memory-ce")
    assert board.ledger[Account.COALESCED] == 1
    inject(board, "memory-ce")

    assert asked.of("ras_interrupt") == [(DIMM_0,)]
    assert board.ledger[Account.IN_FLIGHT] == 1


def test_an_error_whose_syndrome_is_kept_out_is_overwritten_in_the_ledger():
    board, _ = board_with()
    inject(board, "memory-ueu", consumed=False)

    inject(board, "memory-uer", consumed=False)

    assert board.ledger[Account.OVERWRITTEN] == 1
    assert status(board, DIMM_0).OF == 1


def test_an_interrupt_that_is_on_its_way_is_not_sent_again():
    board, asked = board_with()

    for _ in range(3):
        inject(board, "memory-ce")

    assert len(asked.of("ras_interrupt")) == 1


def test_a_condition_that_still_holds_interrupts_again():
    board, asked = board_with()
    inject(board, "memory-ce")

    board.handled(DIMM_0)

    assert asked.of("ras_interrupt") == [(DIMM_0,)] * 2


def test_a_record_that_firmware_might_have_just_set_up_is_forgotten():
    board, _ = poisoned()

    assert board.records == {}


def test_a_record_that_two_paths_handled_is_forgotten_once():
    board, _ = poisoned()

    board.handled(DIMM_0)

    assert board.records == {}


def test_a_record_that_a_tester_set_up_is_kept():
    board, _ = board_with()
    board.write(DIMM_0, RecordRegister.PFGCDN, 5)

    board.handled(DIMM_0)

    assert list(board.records) == [DIMM_0]


# PEs


def test_code_that_does_not_mask_takes_what_was_pending_before_it_ran():
    board, asked = board_with(KERNEL_FIRST)
    state = board.pe_of(0)
    state.el, state.masked = 2, True
    inject(board, "tlb-ueo", el=1)

    inject(board, "memory-uer", guest=0)

    assert asked.names().index("serror_taken") < asked.names().index("sea_taken")


@pytest.mark.parametrize(
    ("scr", "guest", "el", "target", "ec"),
    [
        (FIRMWARE_FIRST, NO_GUEST, 0, 3, 0x24),
        (FIRMWARE_FIRST, NO_GUEST, 1, 3, 0x24),
        (KERNEL_FIRST, NO_GUEST, 0, 2, 0x24),
        (KERNEL_FIRST, NO_GUEST, 1, 2, 0x25),
        (KERNEL_FIRST, 0, 1, 2, 0x24),
    ],
)
def test_an_abort_tells_whether_it_came_from_a_lower_level(scr, guest, el, target, ec):
    board, asked = board_with(scr)

    inject(board, "memory-uer", guest=guest, el=el)

    ((pe, taken_at, esr, address, node),) = asked.of("sea_taken")
    assert (pe, taken_at, esr >> 26, esr & 0x3F) == (0, target, ec, 0x10)
    assert (address, node) == (ADDRESS, DIMM_0)


# Reset


def test_an_error_recovery_reset_keeps_records_and_what_they_carry():
    board, _ = board_with(KERNEL_FIRST)
    board.pe_of(0).el, board.pe_of(0).masked = 2, True
    inject(board, "tlb-ueo", el=1)
    assert board.ledger[Account.PENDING] == 1

    board.lose_power(cold=False)

    assert status(board, ras_node(RasNodeKind.TLB, 0)).UE == 1
    assert board.ledger[Account.IN_FLIGHT] == board.carried() == 1


def test_a_cold_reset_loses_records_and_what_they_carry():
    board, _ = board_with(KERNEL_FIRST)
    inject(board, "memory-ueo")

    board.lose_power(cold=True)

    assert status(board, DIMM_0) == 0
    assert board.ledger[Account.LOST_HOST_RESET] == 1
    assert board.carried() == 0


@pytest.mark.parametrize("cold", [False, True])
def test_memory_is_initialised_by_either_reset(cold):
    board, _ = poisoned()

    board.lose_power(cold=cold)

    assert board.poison == {}
    assert board.ledger[Account.LOST_HOST_RESET] == 1
