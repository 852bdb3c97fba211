"""``trace``: the form of its output, and ends that real programs showed."""

import json
import re

import pytest

from nodes.hardware.fault import FAULT_INDEX
from nodes.hardware.ras_nodes import RasNodeKind
from nodes.policy import Switches
from nodes.spec.err import ErrStatus
from tests.blocks import FATAL, arm_entry, block_of, memory_block, memory_entry, pei
from tests.cli import rasfleet

LEVELS = {"hardware", "el3", "hypervisor", "vmm", "guest_firmware", "guest_kernel"}
GUEST_PAGE = 0xE000_0000  # an application's page of guest 0
HOST_PAGE = 0x6_0000_0000  # a page of the host's own
HOST_KERNEL_PAGE = 0x4_8000_0000
HOST_TASK_PAGE = 0x9_0000_0000  # an application's page of the host


def ended(*words, given=b""):
    """The end of a trace."""
    done = rasfleet("trace", *words, "--json", given=given)
    assert not done.err, done.err
    return done.lines[-1]["end"]


def test_each_step_has_the_declared_keys():
    *steps, last = rasfleet("trace", "memory-uer", "--json").lines
    assert [step["step"] for step in steps] == list(range(1, len(steps) + 1))
    assert all(step["level"] in LEVELS for step in steps)
    assert all(isinstance(step["time_ns"], int) for step in steps)
    assert [step["time_ns"] for step in steps] == sorted(step["time_ns"] for step in steps)
    for step in steps:
        assert set(step) == {"step", "time_ns", "level", "guest", "event", "registers", "fields"}
        assert all(value.startswith("0x") and value == value.lower() for value in step["registers"].values())
    assert set(last) == {"end"}
    assert set(last["end"]) == {"host", "guest", "signals", "guest_esr_el1", "records", "ledger"}


def test_registers_are_those_of_the_level_that_was_reached():
    steps = rasfleet("trace", "memory-uer", "--json").lines[:-1]
    taken = next(step for step in steps if step["event"] == "SeaTaken")
    assert taken["registers"].keys() == {"ESR_EL3", "FAR_EL3"}
    recorded = next(step for step in steps if step["event"] == "ErrorRecorded")
    status = ErrStatus(int(recorded["registers"]["ERR<n>STATUS"], 16))
    assert (status.V, status.UE, status.UET) == (1, 1, 3)


def test_the_whole_chain_of_a_recoverable_memory_error():
    """As seen on machines: host page gone, SIGBUS to QEMU, its block, the guest's abort, SIGBUS to the task."""
    end = ended("memory-uer", "--address", hex(GUEST_PAGE))
    assert (end["host"], end["guest"]) == ("page_offlined", "application_killed")
    assert [(s["to"], s["signal"], s["code"], s["address_lsb"]) for s in end["signals"]] == [
        ("vmm", "SIGBUS", "BUS_MCEERR_AO", 12),
        ("vmm", "SIGBUS", "BUS_MCEERR_AR", 12),
        ("application", "SIGBUS", "BUS_MCEERR_AR", 12),
    ]
    assert end["guest_esr_el1"] == "0x92000410"
    host, guest = end["records"]["host"], end["records"]["guest"]
    assert len(host) == len(guest) == 1
    assert decoded(host[0])["physical_address"] == hex(GUEST_PAGE)
    assert decoded(guest[0])["physical_address"] == "0xa0000000"
    assert end["ledger"]["ended"]["reported"] == end["ledger"]["guests"]["ended"]["reported"] == 1


def decoded(block):
    return json.loads(rasfleet("decode", "block", block, "--json").out)


@pytest.mark.parametrize("at", ["el0", "el1"])
@pytest.mark.parametrize(
    ("iss", "guest"),
    [
        (0x1811, "continues"),
        (0x0811, "continues"),
        (0x1A11, "continues"),
        (0x0011, "panicked"),
        (0x0411, "panicked"),
        (0x0C11, "panicked"),
        (0x1011, "panicked"),
        (0x1000000, "panicked"),
        (0x0000, "panicked"),
        (0x1812, "panicked"),
    ],
)
def test_what_a_guest_does_with_each_syndrome(iss, guest, at):
    end = ended(f"vserror:{iss:#x}", "--at", at)
    assert end["guest"] == guest
    assert end["guest_esr_el1"] == hex(0xBE00_0000 | iss)


def test_a_masked_guest_keeps_its_serror_pending():
    end = ended("vserror:0x411", "--masked", "--at", "el1")
    assert (end["guest"], end["guest_esr_el1"]) == ("not_involved", None)
    assert end["ledger"]["guests"]["open"]["pending"] == 1


@pytest.mark.parametrize("iss", ["0x2000000", "0x100000411", "0xbe000411"])
def test_a_syndrome_above_bit_24_is_refused(iss):
    done = rasfleet("trace", f"vserror:{iss}", "--json")
    assert done.code == 2
    assert "EINVAL" in done.err
    assert done.lines[-1]["end"]["guest"] == "not_involved"


@pytest.mark.parametrize(
    ("esr", "host"),
    [
        (0xBE00_1811, "continues"),
        (0xBE00_0811, "continues"),
        (0xBE00_0C11, "panicked"),
        (0xBE00_0411, "panicked"),
        (0xBE00_0011, "panicked"),
        (0xBE00_0000, "panicked"),
        (0xBF00_0000, "panicked"),
    ],
)
def test_an_serror_of_the_host_kernel(esr, host):
    end = ended(f"esr:{esr:#x}")
    assert (end["host"], end["guest"]) == (host, "killed" if host == "panicked" else "not_involved")


@pytest.mark.parametrize(
    ("esr", "policy", "ends", "guest_esr"),
    [
        (0xBE00_0811, "kvm", ("continues", "not_involved"), None),
        (0xBE00_0411, "kvm", ("continues", "panicked"), "0xbf000000"),
        (0xBE00_0C11, "kvm", ("continues", "panicked"), "0xbf000000"),
        (0xBE00_0011, "kvm", ("panicked", "killed"), None),
        (0xBE00_0411, "passthrough", ("continues", "panicked"), "0xbe000411"),
        (0xBE00_0811, "passthrough", ("continues", "continues"), "0xbe000811"),
    ],
)
def test_an_serror_that_a_guest_runs_into(esr, policy, ends, guest_esr):
    end = ended(f"guest-esr:{esr:#x}", "--set", f"virtual_syndrome={policy}")
    assert ((end["host"], end["guest"]), end["guest_esr_el1"]) == (ends, guest_esr)


def test_a_block_for_a_guests_page_goes_on_to_the_guest(tmp_path):
    path = tmp_path / "block"
    path.write_bytes(memory_block(GUEST_PAGE))
    end = ended(f"block:{path}")
    assert (end["host"], end["guest"]) == ("page_offlined", "application_killed")
    assert end["records"]["host"] == [memory_block(GUEST_PAGE).hex()]
    assert ended("block:-", given=memory_block(GUEST_PAGE).hex().encode()) == end, "hex is taken as bytes are"


def test_a_block_for_the_hosts_own_page_stays_there():
    end = ended("block:-", given=memory_block(HOST_PAGE))
    assert (end["host"], end["guest"]) == ("page_offlined", "not_involved")


def test_an_abort_told_of_the_hosts_own_page_is_met_by_a_task_of_the_host():
    end = ended("block:-", "--set", "notification=sea", given=memory_block(HOST_TASK_PAGE))
    assert (end["host"], end["guest"]) == ("application_killed", "not_involved")
    assert [(s["to"], s["code"]) for s in end["signals"]] == [("application", "BUS_MCEERR_AR")]


@pytest.mark.parametrize(("at", "signals"), [("el0", ["vmm", "application"]), ("el1", ["vmm"])])
def test_a_guest_that_ran_into_its_page_does_not_touch_it_again(at, signals):
    end = ended("block:-", "--at", at, "--set", "notification=sea", given=memory_block(GUEST_PAGE))
    assert (end["host"], end["guest"]) == ("page_offlined", "application_killed")
    assert [(s["to"], s["code"]) for s in end["signals"]] == [(to, "BUS_MCEERR_AR") for to in signals]


def test_a_guest_that_ran_into_one_of_two_pages_meets_the_other_later():
    block = block_of(memory_entry(GUEST_PAGE), memory_entry(GUEST_PAGE + 4096))
    end = ended("block:-", "--set", "notification=sea", given=block)
    assert (end["host"], end["guest"]) == ("page_offlined", "application_killed")
    assert [s["to"] for s in end["signals"]] == ["vmm", "application"] * 2
    assert len(end["records"]["guest"]) == 2


@pytest.mark.parametrize("version", ["6.1", "6.12", "6.19"])
@pytest.mark.parametrize("fault", ["vserror:0x1811", "guest-esr:0xbe001811"])
def test_the_host_is_involved_wherever_kvm_is(fault, version):
    end = ended(fault, "--set", "virtual_syndrome=passthrough", "--set", f"kernel={version}")
    assert (end["host"], end["guest"]) == ("continues", "continues")


@pytest.mark.parametrize(
    ("esr", "signals"),
    [
        (0x9200_0010, ["BUS_OBJERR"]),
        (0x8200_0010, ["BUS_OBJERR"]),
        (0x9200_0014, ["SI_KERNEL"]),
        (0x9600_0010, []),
        (0x8600_0014, []),
    ],
)
@pytest.mark.parametrize("at", ["el0", "el1"])
def test_an_abort_of_the_host_was_taken_where_its_class_says(esr, signals, at):
    end = ended(f"esr:{esr:#x}", "--at", at)
    assert end["host"] == "application_killed"
    assert [s["code"] for s in end["signals"]] == signals


def test_a_block_names_the_guest_that_owns_its_page():
    end = ended("block:-", given=memory_block(GUEST_PAGE + (2 << 32)))
    assert end["guest"] == "application_killed"
    assert ended("block:-", "--guest", 1, given=memory_block(GUEST_PAGE + (2 << 32)))["guest"] == "not_involved"


@pytest.mark.parametrize(
    ("block", "host"),
    [
        (memory_block(HOST_PAGE, FATAL), "panicked"),
        (memory_block(None), "continues"),
        (block_of(arm_entry(pei(address=HOST_PAGE))), "page_offlined"),
        (block_of(arm_entry(pei(0x04, address=HOST_PAGE))), "continues"),
        (memory_block(HOST_PAGE)[:60], "continues"),
    ],
)
def test_what_the_host_kernel_does_with_a_block(block, host):
    assert ended("block:-", given=block)["host"] == host


@pytest.mark.parametrize("fault", FAULT_INDEX)
def test_every_fault_is_accounted_for(fault):
    ledger = ended(fault)["ledger"]
    assert ledger["injected"] == 1
    ends = ledger["ended"]
    assert (
        sum(ledger["open"].values())
        + sum(ends["lost"].values())
        + sum(count for name, count in ends.items() if name != "lost")
        == 1
    )


def test_a_fault_of_the_host_leaves_the_guests_alone():
    end = ended("memory-uer", "--guest", "none")
    assert (end["host"], end["guest"]) == ("application_killed", "not_involved")


def test_the_text_shows_registers_decoded_and_blocks_as_linux_prints_them():
    out = rasfleet("trace", "memory-uer").out
    assert "UET=0x3 (UER)" in out
    assert "ESR_EL1 0x92000410" in out
    assert "physical_address: 0x00000000e0000000" in out
    assert "guest  application_killed (guest 0)" in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("version", "address", "line"),
    [
        ("6.1", HOST_PAGE, "Memory failure: 0x600000: recovery action for clean LRU page: Recovered"),
        ("6.12", HOST_TASK_PAGE, "Memory failure: 0x900000: recovery action for dirty LRU page: Recovered"),
        ("6.1", HOST_KERNEL_PAGE, "Memory failure: 0x480000: recovery action for unknown page: Ignored"),
        ("6.12", HOST_KERNEL_PAGE, "Memory failure: 0x480000: recovery action for get hwpoison page: Ignored"),
        ("6.19", 1 << 44, "Memory failure: 0x100000000: memory outside kernel control"),
    ],
)
def test_the_text_shows_what_linux_prints_of_a_page(version, address, line):
    out = rasfleet("trace", "block:-", "--set", f"kernel={version}", given=memory_block(address)).out
    assert f"| {line}\n" in out


def test_two_ways_side_by_side():
    out = rasfleet("trace", "guest-esr:0xbe000411", "--compare", "virtual_syndrome=kvm,passthrough").out
    pended = next(line for line in out.splitlines() if "VirtualSErrorTaken" in line)
    assert pended.count("VirtualSErrorTaken") == 2
    ends = rasfleet(
        "trace", "guest-esr:0xbe000411", "--compare", "virtual_syndrome=kvm,passthrough", "--json"
    ).lines
    assert [(line["set"], line["end"]["guest_esr_el1"]) for line in ends if "end" in line] == [
        ({"virtual_syndrome": "kvm"}, "0xbf000000"),
        ({"virtual_syndrome": "passthrough"}, "0xbe000411"),
    ]


def test_the_list_names_every_fault():
    out = rasfleet("trace", "--list").out
    assert all(fault in out for fault in FAULT_INDEX)
    assert json.loads(rasfleet("trace", "--list", "--json").out).keys() > FAULT_INDEX.keys()


def test_the_list_names_every_switch_and_value_that_set_takes():
    listed = json.loads(rasfleet("trace", "--list", "--json").out)["switches"]
    assert set(listed) == set(Switches.__struct_fields__)
    assert listed["virtual_syndrome"] == ["kvm", "passthrough", "vmm"]
    assert "virtual_syndrome    kvm  passthrough  vmm" in rasfleet("trace", "--list").out
    for name, values in listed.items():
        for value in values:
            assert rasfleet("trace", "memory-ce", "--set", f"{name}={value}").code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["memory-uerr"], 'did you mean "memory-uer"?'),
        (["memory-uer", "--set", "kernal=6.1"], 'did you mean "kernel"?'),
        (["memory-uer", "--set", "kernel=5.4"], "expected one of 6.12, 6.1, 6.19"),
        (["memory-uer", "--set", "kernel"], "expected SWITCH=VALUE"),
        (["memory-uer", "--compare", "kernel=6.1"], "expected SWITCH=A,B"),
        (["memory-uer", "--set", "ce_threshold=0"], "ce_threshold = 0"),
        (["memory-uer", "--guest", "64"], "expected 0 to 63"),
        (["memory-uer", "--address", "zz"], "expected an address"),
        (["memory-uer", "--address", "0x1e0000000", "--guest", "0"], "belongs to guest 1"),
        (["esr:0xzz"], "expected a number"),
        (["esr:"], "expected a number"),
        (["vserror:0x411", "--guest", "none"], "concerns a guest"),
        (["guest-esr:0x92000010", "--address", hex(HOST_PAGE)], "concerns a guest"),
        (["guest-esr:0xbe000411", "--address", hex(GUEST_PAGE)], "guest-esr:0xbe000411 concerns no address"),
        (
            ["esr:0xbe000411", "--address", hex(HOST_PAGE)],
            "esr:0xbe000411 concerns no address: an SError has no FAR",
        ),
        (["esr:0x92000410", "--address", hex(HOST_PAGE)], "its FnV says that FAR is not valid"),
        (["vserror:0x411", "--address", hex(GUEST_PAGE)], "vserror:0x411 concerns no address"),
        (
            ["memory-uer", "--address", "0x1234"],
            "address 0x1234 is outside the host's memory, 0x80000000 to 0x107fffffff",
        ),
        (["cache-ce", "--address", "0x1080000000"], "outside the host's memory"),
        (["esr:0x92000010", "--address", "0x7fffffff"], "outside the host's memory"),
        (["vserror:zz"], 'as in "vserror:0x411"'),
        (["esr:0x56000000"], "expected an SError (EC 0x2f)"),
        (["esr:0x411"], "expected an SError (EC 0x2f)"),
        (["guest-esr:0x92000021"], "or an external abort"),
        (
            ["memory-uer", "--address", "0x1e0000000", "--guest", "none"],
            "belongs to guest 1, not to the host alone",
        ),
        (["block:/nonexistent"], "No such file"),
        (["block:"], "block: names no file"),
        (["block:/dev/null"], "/dev/null: empty"),
        ([], "Missing argument"),
    ],
)
def test_what_cannot_be_traced_is_said_in_a_line(words, said):
    done = rasfleet("trace", *words)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("at", ["el0", "el1"])
@pytest.mark.parametrize(
    ("esr", "el", "signals"), [(0x92000010, 0, 1), (0x82000010, 0, 1), (0x96000010, 2, 0), (0x86000010, 2, 0)]
)
def test_an_aborts_class_says_where_the_host_was(esr, el, signals, at):
    first, *_, last = rasfleet("trace", f"esr:{esr:#x}", "--at", at, "--json").lines
    assert (first["event"], first["fields"]["from_el"]) == ("SeaTaken", el)
    assert len(last["end"]["signals"]) == signals


@pytest.mark.parametrize(
    ("fault", "address", "far"),
    [
        ("esr:0x92000010", HOST_TASK_PAGE + 0x123, "0xaaaa00000123"),
        ("esr:0x82000010", GUEST_PAGE + 0x123, "0xfffe60000123"),  # the VMM's mapping of its guest
        ("guest-esr:0x92000010", GUEST_PAGE + 0x123, "0xaaaa00000123"),
    ],
)
def test_the_far_of_a_raw_abort_is_where_who_runs_has_the_address_mapped(fault, address, far):
    first, *_, last = rasfleet("trace", fault, "--address", hex(address), "--json").lines

    assert first["registers"]["FAR_EL2"] == far
    assert {s["address"] for s in last["end"]["signals"]} <= {far}


@pytest.mark.parametrize("words", [["--json"], []])
def test_what_comes_again_and_again_is_told_three_times_and_counted(words):
    out = rasfleet("trace", "memory-uer", "--address", hex(HOST_KERNEL_PAGE), *words).out
    reads, folded = out.count("MemoryRead"), re.findall(r"\.\.\. the same (\d+) more times until [\d,.]+ us", out)

    assert reads + sum(map(int, folded)) == 149
    assert bool(folded) is not bool(words)


def test_the_syndrome_of_a_virtual_serror_is_decoded():
    assert "VSESR_EL2 0x811  ISS=0x811 AET=0x2 (UEO) DFSC=0x11" in rasfleet("trace", "vserror:0x811").out


def test_a_raw_fault_of_a_level_shows_no_level_below_it():
    steps = rasfleet("trace", "block:-", "--json", given=memory_block(GUEST_PAGE)).lines[:-1]
    assert not any(step["event"] in {"ErrorRecorded", "SErrorTaken", "RecordCleared"} for step in steps)


def test_the_kind_of_a_ras_node_is_named():
    steps = rasfleet("trace", "tlb-ce", "--json").lines[:-1]
    assert steps[0]["fields"]["ras_node"] == f"{RasNodeKind.TLB.name.lower()} 0"
