"""The script of a scenario: every step is the command that it names, on the host, guest and page that it names."""

import pytest

from fleet.codec import decode_event
from fleet.engine.run import Run
from fleet.log.files import FileLog
from fleet.scenario.scenario import parse
from fleet.scenario.script import AnyStep, FaultName, PageName, command_of
from nodes.events import NO_GUEST, SYNDROME, SErrorTaken, VirtualSErrorTaken
from nodes.events import commands as c
from nodes.hardware.fault import FAULT_INDEX
from nodes.hardware.record import RecordRegister
from nodes.linux.pages import PAGE_SIZE, PageKind
from nodes.policy import Switches
from nodes.stack.platform import HostShape, platform_of
from tests.runs import carried_out, manifest_of, plan_of, records

PLATFORM = platform_of(HostShape(guests=3, pes=8), Switches())
WITHOUT_GUESTS = platform_of(HostShape(guests=0), Switches())
APPLICATION = PLATFORM.guest_map.range_of(PageKind.APPLICATION)[0]
HOSTS_OWN = PLATFORM.host_map.range_of(PageKind.APPLICATION)[0]
GUEST_1 = PLATFORM.address_of(1, APPLICATION)
UER = FAULT_INDEX["memory-uer"]


def made(fields, platform=PLATFORM):
    """The command that a step stands for: its kind and fields."""
    scenario = parse(f'name = "x"\n[[hosts]]\n[[script]]\nat_s = 1.0\n{fields}\n', "here")
    return command_of(scenario.script[0], platform)


INJECT = 'do = "inject"\nfault = "memory-uer"\n'
STEPS = {
    INJECT: (c.InjectFault, (UER, HOSTS_OWN, NO_GUEST, 0, 0)),
    INJECT + "guest = 1": (c.InjectFault, (UER, GUEST_1, 1, 0, 0)),
    INJECT + "guest = 4": (c.InjectFault, (UER, GUEST_1, 1, 0, 0)),
    INJECT + "guest = 1\nel = 1\npe = 10": (c.InjectFault, (UER, GUEST_1, 1, 1, 2)),
    INJECT + "guest = 1\npage_number = 7": (c.InjectFault, (UER, GUEST_1 + 7 * PAGE_SIZE, 1, 0, 0)),
    INJECT + "address = 0x80001000": (c.InjectFault, (UER, 0x8000_1000, NO_GUEST, 0, 0)),
    INJECT + "address = 0x80001000\nguest = 0": (c.InjectFault, (UER, 0x8000_1000, 0, 0, 0)),
    INJECT + "address = 0x80001000\nguest = 1": (c.InjectFault, (UER, 0x8000_1000, NO_GUEST, 0, 0)),
    'do = "read"': (c.ReadMemory, (HOSTS_OWN, NO_GUEST, 0)),
    'do = "read"\nguest = 1\nel = 1': (c.ReadMemory, (GUEST_1, 1, 1)),
    'do = "scrub"\nguest = 1': (c.ScrubMemory, (GUEST_1,)),
    'do = "set-guest"\nguest = 1': (c.SetGuest, (1, 0, 0, 1)),
    'do = "set-guest"\nguest = 2\nel = 1\nmasked = true\nacknowledges = false': (c.SetGuest, (2, 1, 1, 0)),
    'do = "set-pe"': (c.SetPe, (0, 0, 0, 0, -1)),
    'do = "set-pe"\npe = 9\nel = 2\nmasked = true': (c.SetPe, (1, 2, 1, 0, -1)),
    'do = "set-pe"\nsdei_masked = true': (c.SetPe, (0, 0, 0, 1, -1)),
    'do = "set-pe"\nguest = 3\nel = 1': (c.SetPe, (0, 1, 0, 0, 0)),
    'do = "start-guest"\nguest = 5': (c.StartGuest, (2,)),
    'do = "stop-guest"\nguest = 0': (c.StopGuest, (0,)),
    'do = "reset-guest"\nguest = 1': (c.ResetGuest, (1,)),
    'do = "reset-host"': (c.ResetHost, (0,)),
    'do = "reset-host"\ncold = true': (c.ResetHost, (1,)),
    'do = "change-policy"\nswitches = { kernel = "6.1", ce_threshold = 9 }': (
        c.ChangePolicy,
        ('{"kernel":"6.1","ce_threshold":9}',),
    ),
    'do = "change-policy"\nswitches = {}': (c.ChangePolicy, ("{}",)),
    'do = "write-register"\nras_node = "memory 1"\nregister = "pfgctl"\nvalue = 0x80000020': (
        c.WriteErrorRegister,
        (0x001, RecordRegister.PFGCTL, 0x8000_0020),
    ),
    'do = "write-register"\nras_node = "cache 9"\nregister = "misc0"\nvalue = 1': (
        c.WriteErrorRegister,
        (0x101, RecordRegister.MISC0, 1),
    ),
    'do = "write-register"\nras_node = "bus 5"\nregister = "ctlr"\nvalue = 0': (
        c.WriteErrorRegister,
        (0x300, RecordRegister.CTLR, 0),
    ),
    'do = "serror"\nesr = 0xbe000411': (c.PendSError, (0xBE00_0411, NO_GUEST, 0, 0)),
    'do = "serror"\nesr = 0xbe000411\nguest = 4\nel = 1\npe = 9': (c.PendSError, (0xBE00_0411, 1, 1, 1)),
    'do = "set-vcpu-events"\nguest = 1\nesr = 0x411': (c.SetVcpuEvents, (1, 1, 1, 0x411, 0)),
    'do = "set-vcpu-events"\nguest = 1\nabort = true\npending = false': (c.SetVcpuEvents, (1, 0, 0, 0, 1)),
    'do = "present-block"\nblock = "00ff"\nsource_id = 2\nguest = 3\nel = 1': (
        c.PresentBlock,
        (b"\x00\xff", 2, 0, 1),
    ),
    'do = "present-block"\nblock = "00ff"': (c.PresentBlock, (b"\x00\xff", 0, NO_GUEST, 0)),
    'do = "inject-guest-error"\nguest = 1\nblock = "00ff"': (c.InjectGuestError, (1, b"\x00\xff")),
    'do = "barrier"\nguest = 1': (c.RunBarrier, (1, 0)),
    'do = "barrier"\npe = 9': (c.RunBarrier, (NO_GUEST, 1)),
    'do = "call-firmware"\npe = 9': (c.CallFirmware, (1,)),
    'do = "withdraw-firmware"\nguest = 4': (c.WithdrawFirmware, (1,)),
}


@pytest.mark.parametrize(("fields", "command"), STEPS.items(), ids=[text.replace("\n", ", ") for text in STEPS])
def test_a_step_is_the_command_that_it_names(fields, command):
    assert made(fields) == command


def test_every_kind_of_step_is_tried():
    tried = {line for fields in STEPS for line in fields.splitlines() if line.startswith("do = ")}

    assert tried == {f'do = "{kind.__struct_config__.tag}"' for kind in AnyStep.__args__}


@pytest.mark.parametrize("fields", STEPS, ids=[text.replace("\n", ", ") for text in STEPS])
def test_a_step_holds_for_a_host_without_guests(fields):
    kind, values = made(fields, WITHOUT_GUESTS)

    if kind in (c.InjectFault, c.ReadMemory):
        assert values[2 if kind is c.InjectFault else 1] == NO_GUEST


@pytest.mark.parametrize("page", PageName)
@pytest.mark.parametrize("guest", [None, 0, 2])
def test_a_page_is_of_its_kind_and_its_owner(page, guest):
    of = "" if guest is None else f"guest = {guest}\n"
    _, (address,) = made(f'do = "scrub"\n{of}page = "{page.value}"\npage_number = 65536\n')

    owner = PLATFORM.host_map.page_of(address)
    if guest is None:
        assert owner[:2] == (page.kind, -1)
    else:
        assert owner[:2] == (PageKind.GUEST, guest)
        assert PLATFORM.guest_map.page_of(PLATFORM.ipa_of(address)).kind is page.kind


def test_every_fault_and_every_page_has_its_name():
    assert [str(name) for name in FaultName] == list(FAULT_INDEX)
    assert {page.kind for page in PageName} == set(PageKind) - {PageKind.OUTSIDE, PageKind.GUEST}


ON_A_PE = """name = "on-a-pe"
[switches]
handling = "HANDLING"
[[hosts]]
count = 1
[[script]]
at_s = 1.0
do = "set-pe"
pe = 3
guest = 1
el = 1
[[script]]
at_s = 2.0
do = "write-register"
ras_node = "cache 3"
register = "pfgcdn"
value = 100
[[script]]
at_s = 3.0
do = "write-register"
ras_node = "cache 3"
register = "pfgctl"
value = 0x80000208
"""  # PFGCTL: CDNEN, ER, UER


def syndromes(log):
    return [value for (topic, _), part in records(log).items() if topic == SYNDROME for _, _, value in part]


@pytest.mark.parametrize(("handling", "target", "virtual"), [("firmware_first", 3, []), ("kernel_first", 2, [1])])
def test_an_error_injected_by_register_meets_the_guest_that_the_script_put_on_the_pe(
    tmp_path, handling, target, virtual
):
    text = ON_A_PE.replace("HANDLING", handling)
    plan = plan_of(text)
    log = FileLog.create(tmp_path, manifest_of(plan, text))
    carried_out(Run(log, plan), log)

    events = [decode_event(value) for value in syndromes(log)]
    taken = [event for event in events if isinstance(event, SErrorTaken)]
    assert [(event.pe, event.guest, event.from_el, event.target_el) for event in taken] == [(3, 1, 1, target)]
    assert [event.guest for event in events if isinstance(event, VirtualSErrorTaken)] == virtual
