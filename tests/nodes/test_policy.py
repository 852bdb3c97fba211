"""Every switch of a host shows: one story each, and what it came to for every value."""

from enum import Enum

import msgspec
import pytest

from nodes.events import (
    CallFailed,
    ErrorRecorded,
    FirmwareStopped,
    GuestStarted,
    KernelPanicked,
    Level,
    OsNotified,
    PageOfflined,
    RecordRead,
    SignalSent,
    TaskKilled,
    VirtualSErrorTaken,
    VmExited,
)
from nodes.events import commands as c
from nodes.linux.memory_failure import PAGE_TYPE_TEXT
from nodes.linux.pages import PageKind
from nodes.policy import DEFAULT_SWITCHES, Switches
from nodes.spec.err import ErrStatus
from nodes.spec.hest import NotificationType
from tests.blocks import memory_block
from tests.hosts import fields, guest_meets_error, guest_serror, host, of, open_accounts, present

SWITCH_VALUES = {
    field.name: list(field.type)
    for field in msgspec.structs.fields(Switches)
    if isinstance(field.type, type) and issubclass(field.type, Enum)
}


def who_suffers(machine):
    """Levels whose kernel panicked, or that signalled an application."""
    signalled = {event.sent_by for event in of(machine, SignalSent, receiver=0)}
    return signalled | {event.by for event in of(machine, KernelPanicked)}, len(of(machine, KernelPanicked))


def handling(machine):
    guest_meets_error(machine)
    return who_suffers(machine)


def virtual_syndrome(machine):
    for guest, esr in enumerate((0xBE00_0411, 0xBE00_1811)):
        guest_serror(machine, esr, guest)
    return fields(of(machine, VirtualSErrorTaken), "guest", "esr")


def record_location(machine):
    guest_meets_error(machine, el=1)
    machine.do(c.ResetGuest, 0)
    return len(of(machine, RecordRead, read_by=Level.GUEST_KERNEL)), of(machine, GuestStarted)[0].hest


def record_delivery(machine):
    for page in range(2):
        guest_meets_error(machine, page=page, el=1)
    return len(of(machine, VmExited)), fields(of(machine, CallFailed), "code")


def notification(machine):
    guest_meets_error(machine)
    told = of(machine, OsNotified, notified_by=Level.EL3)
    return [NotificationType(event.notification).name for event in told]


def record_format(machine):
    machine.inject("cache-ce")
    machine.inject("cache-uer")
    return [ErrStatus(event.status).OF for event in of(machine, ErrorRecorded)]


def kernel(machine):
    address, _ = machine.platform.host_map.range_of(PageKind.KERNEL)
    present(machine, memory_block(address))
    guest_serror(machine, 0xBE00_0411)
    (page,) = of(machine, PageOfflined)
    return PAGE_TYPE_TEXT[page.page_type], hex(of(machine, VirtualSErrorTaken)[0].esr)


def guest_kernel(machine):
    ipa, _ = machine.platform.guest_map.range_of(PageKind.PINNED)
    machine.inject("memory-uer", address=machine.platform.address_of(0, ipa), guest=0)
    machine.run_until(50_000_000)
    pages = [PAGE_TYPE_TEXT[event.page_type] for event in of(machine, PageOfflined, by=Level.GUEST_KERNEL)]
    return pages[:1], len(of(machine, SignalSent, sent_by=Level.GUEST_KERNEL))


def qemu(machine):
    for page in range(2):
        guest_meets_error(machine, page=page, el=1)
    return fields(of(machine, VmExited), "reason")


def firmware_stops(machine):
    guest_meets_error(machine)
    return fields(of(machine, FirmwareStopped), "reason")


def aest(machine):
    machine.inject("memory-ueo")
    machine.run()
    return len(of(machine, PageOfflined)), open_accounts(machine)


def severity_policy(machine):
    machine.inject("memory-ueu", guest=0)
    machine.run_until(10**9)
    return fields(of(machine, RecordRead), "severity"), len(of(machine, KernelPanicked))


def corrected_errors(machine):
    for _ in range(3):
        machine.inject("memory-ce")
        machine.run()
    return len(of(machine, RecordRead))


def oops(machine):
    guest_meets_error(machine, el=1)
    return len(of(machine, TaskKilled)), fields(of(machine, KernelPanicked), "reason")


UNREAD = "OSPM does not acknowledge previous error, so can not record CPER for current error anymore: exit(1)"
ABORT = "failed to record the error: abort()"
KERNEL_FIRST = {"handling": "kernel_first"}
STORIES = {  # switch: story, further switches, outcome by value
    "handling": (
        handling,
        {},
        {
            "firmware_first": ({Level.GUEST_KERNEL}, 0),  # the application is killed
            "kernel_first": ({Level.GUEST_KERNEL}, 1),  # the guest panics
        },
    ),
    "virtual_syndrome": (
        virtual_syndrome,
        {},
        {
            "kvm": [(0, 0xBF00_0000)],
            "passthrough": [(0, 0xBE00_0411), (1, 0xBE00_1811)],
            "vmm": [(0, 0xBE00_0411)],
        },
    ),
    "record_location": (
        record_location,
        {},
        {"contract": (0, 0x7BFF_F000), "mm_communicate": (1, 0x7AFF_F000)},
    ),
    "record_delivery": (record_delivery, {}, {"pointers": (1, []), "on_demand": (0, [(-3,), (-3,)])}),
    "notification": (
        notification,
        {},
        {"sdei": ["SDEI"], "sea": ["SEA"], "gsiv": ["GSIV"], "gpio": ["GPIO"], "polled": []},
    ),
    "record_format": (record_format, {**KERNEL_FIRST, "aest": "none"}, {"v1p1": [0, 1], "v1": [0, 0]}),
    "kernel": (
        kernel,
        {},
        {
            "6.12": ("get hwpoison page", "0xbf000000"),
            "6.1": ("unknown page", "0xbf000000"),
            "6.19": ("get hwpoison page", "0xbd000000"),
        },
    ),
    "guest_kernel": (
        guest_kernel,
        {},
        {
            "6.12": (["get hwpoison page"], 0),
            "6.1": (["unknown page"], 0),
            "6.19": (["get hwpoison page"], 1),
        },
    ),
    "qemu": (qemu, {}, {"11.1": [(UNREAD,)], "10.0": [(ABORT,)], "7.2": [(ABORT,)]}),  # 10.0 and 7.2 are alike
    "tfa": (firmware_stops, {}, {"old": [], "new": [("plat_handle_uncontainable_ea: uncontainable error",)]}),
    "aest": (aest, KERNEL_FIRST, {"driver": (1, {}), "none": (0, {"in_flight": 1})}),
    "probes": (firmware_stops, {}, {"present": [], "absent": [("assertion: info->probe != NULL",)]}),
    "severity_policy": (severity_policy, {}, {"strict": ([(1,)], 1), "neoverse_rd": ([(0,)], 0)}),
    "ce_threshold": (corrected_errors, {}, {1: 3, 2: 1, 4: 0}),
    "panic_on_oops": (
        oops,
        {},
        {False: (1, []), True: (0, [("synchronous external abort: Fatal exception",)])},
    ),
}


def test_every_switch_has_a_story_with_all_its_values():
    assert set(STORIES) == {field.name for field in msgspec.structs.fields(Switches)}
    for name, values in SWITCH_VALUES.items():
        assert list(map(str, STORIES[name][2])) == list(map(str, values)), name


def cases():
    return [(name, value) for name, (_, _, outcomes) in STORIES.items() for value in outcomes]


@pytest.mark.parametrize(("switch", "value"), cases())
def test_the_story_of_a_switch_ends_as_its_value_says(switch, value):
    story, others, outcomes = STORIES[switch]
    switches = msgspec.convert({**others, switch: value}, Switches)

    machine = host(**msgspec.structs.asdict(switches))

    assert story(machine) == outcomes[value]
    assert machine.accounted()


@pytest.mark.parametrize("switch", STORIES)
def test_no_switch_is_without_consequence(switch):
    outcomes = list(STORIES[switch][2].values())

    assert any(outcome != outcomes[0] for outcome in outcomes[1:])


def test_the_first_value_is_the_default():
    defaults = {name: getattr(DEFAULT_SWITCHES, name) for name in STORIES}

    assert {name: next(iter(outcomes)) for name, (_, _, outcomes) in STORIES.items()} == defaults


@pytest.mark.parametrize("text", ['{"kernel": "5.17"}', '{"colour": "red"}', '{"ce_threshold": "many"}'])
def test_a_switch_or_a_value_that_does_not_exist_is_refused(text):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Switches)
