"""Random stories of one host: a seed makes commands and pauses, a host lives through them.

``python -m tests.simulation SEED`` tells the story of a seed again: its commands, its events, and which promise
broke. Everything is drawn from the seed alone.
"""

import random
from dataclasses import dataclass, field

import msgspec

from fleet.sample import BLOCK, make, make_malformed
from nodes.events import SErrorTaken, StatusBlockWritten
from nodes.events import commands as c
from nodes.hardware.fault import FAULT_INDEX, FAULTS
from nodes.hardware.ras_nodes import RasNodeKind, ras_node
from nodes.hardware.record import RecordRegister
from nodes.host import Host
from nodes.linux.pages import PageKind
from nodes.policy import Switches
from nodes.spec.err import ErrPfgctl
from nodes.spec.syndrome import abort_esr
from tests.blocks import block_of, memory_block, memory_entry

COMMANDS = 90  # of a story
PAUSES_NS = (0, 0, 700, 4_000, 60_000, 900_000, 40_000_000, 1_300_000_000, 11_000_000_000, 70_000_000_000)
MILD = tuple(fault.name for fault in FAULTS if not fault.name.endswith(("-ueu", "-uc")))
ALL = tuple(fault.name for fault in FAULTS)
KINDS = tuple(kind for kind in PageKind if kind not in (PageKind.OUTSIDE, PageKind.GUEST))
SYNDROMES = (0x1811, 0x0811, 0x0411, 0x0C11, 0x1000000, 0x0011, 0x0000, 0x1812, 0x1011)  # the last four: worst
PES = 3
GUESTS = 4


@dataclass
class Run:
    """A story that was lived through. ``policies``: the switches before each change of them, and the last."""

    host: Host
    policies: list[Switches]
    told: list[str] = field(default_factory=list)
    presented: set[bytes] = field(default_factory=set)  # blocks that came from no record
    raw: set[int] = field(default_factory=set)  # sequence of SErrors that were taken as they were pended
    unaccounted: str = ""  # the command after which the ledger did not balance

    @property
    def events(self):
        return self.host.events


class Story:
    """The draws of one seed."""

    def __init__(self, seed):
        self.draw = random.Random(f"story {seed}")
        self.mild = self.draw.random() < 0.7  # little that brings a whole host down
        self.scene = []  # commands that belong together and are still to be done
        self.switches = self.some_switches(0.5)
        self.host = Host("h1", switches=self.switches)
        self.pages = []  # that were spoken of: stories come back to them

    def some_switches(self, change):
        """Each switch is drawn anew with a likelihood."""
        values = {}
        for name, values_of in msgspec.structs.asdict(Switches()).items():
            if self.draw.random() < change and hasattr(type(values_of), "__members__"):
                values[name] = self.draw.choice(list(type(values_of)))
        if self.draw.random() < change:
            values["ce_threshold"] = self.draw.choice([1, 1, 2, 5])
            values["panic_on_oops"] = self.draw.random() < 0.3
        return Switches(**values)

    def one(self, *choices):
        return self.draw.choice(choices)

    def guest(self):
        return self.draw.randrange(GUESTS)

    def el(self):
        return self.one(0, 0, 0, 1)

    def pe(self):
        return self.draw.randrange(PES)

    def page(self):
        """A physical address and the guest whose it is; -1 for the host's own."""
        if self.pages and self.draw.random() < 0.5:
            return self.draw.choice(self.pages)
        platform, kind = self.host.platform, self.draw.choice(KINDS)
        guest = self.one(-1, 0, 0, 1, 3)
        memory = platform.host_map if guest < 0 else platform.guest_map
        first, _ = memory.range_of(kind)
        address = first + self.draw.randrange(4) * 4096 + self.one(0, 0, 64, 0x238)
        if guest >= 0:
            address = platform.address_of(guest, address)
        self.pages.append((address, guest))
        return address, guest

    def iss(self):
        return self.draw.choice(SYNDROMES[:5] if self.mild else SYNDROMES)

    def block(self):
        """A status block: of a page that was spoken of, or any, or a broken one."""
        index, roll = self.draw.randrange(60), self.draw.random()
        if roll < 0.2:
            return make_malformed(BLOCK, 5, index).octets
        if roll < 0.3 and not self.mild:
            return make(BLOCK, 5, index).octets
        address, guest = self.page()
        if guest >= 0 and self.draw.random() < 0.5:
            address = self.host.platform.ipa_of(address)
        if roll > 0.95:
            return block_of(*(memory_entry(address + 4096 * i) for i in range(20)))
        severity = self.one(0, 0, 2, 3) if self.mild else self.one(0, 0, 0, 1, 2, 3)
        return memory_block(address, severity, self.one(None, 0, 2), self.one(0, 8))

    def inject(self):
        address, owner = self.page()
        guest = self.one(owner, owner, -1, self.guest())
        name = self.draw.choice(MILD if self.mild else ALL)
        return c.InjectFault, FAULT_INDEX[name], address, guest, self.el(), self.pe()

    def read(self):
        address, owner = self.page()
        return c.ReadMemory, address, self.one(owner, owner, -1), self.el(), self.pe()

    def serror(self):
        iss = self.iss()
        esr = self.one(0xBE00_0000 | iss, 0xBC00_0000 | iss, abort_esr(0x24, fsc=self.one(0x10, 0x14, 0x18, 0x21)))
        return c.PendSError, esr, self.one(-1, self.guest()), self.el(), self.pe(), self.one(0, 0, 2)

    def vcpu_events(self):
        pending, has_esr, iss = (
            self.one(1, 1, 1, 0),
            self.one(1, 1, 1, 0),
            self.one(self.iss(), self.iss(), 1 << 25),
        )
        return c.SetVcpuEvents, self.guest(), pending, has_esr, iss, self.one(0, 0, 0, 1), self.one(0, 0, 0, 0, 1)

    def register(self):
        kind = self.draw.choice(list(RasNodeKind))
        node = ras_node(kind, self.pe() if kind in (RasNodeKind.CACHE, RasNodeKind.TLB) else 0)
        state = self.one("UER", "UEO", "DE", "CE") if self.mild else self.one("UC", "UEU", "UER", "UEO", "CE")
        control = ErrPfgctl.of(**{"CDNEN": 1, "ER": self.one(0, 1), state: 1})
        register, value = self.one(
            (RecordRegister.PFGCDN, self.one(1, 3_000)),
            (RecordRegister.PFGCTL, control),
            (RecordRegister.PFGCTL, 0),
            (RecordRegister.STATUS, 0xFFFF_FFFF),
            (RecordRegister.ADDR, self.page()[0]),
        )
        return c.WriteErrorRegister, node, register, int(value)

    def presented(self):
        return c.PresentBlock, self.block(), self.draw.randrange(3), self.one(-1, self.guest()), self.el()

    def some_pe(self):
        """Masked, SDEI masked, and the guest that runs there."""
        return self.one(0, 1), self.one(0, 0, 1), self.one(-1, -1, self.guest())

    def policy(self):
        return c.ChangePolicy, msgspec.json.encode(self.some_switches(0.3)).decode()

    def masked_guest(self):
        """A guest masks SErrors, gets one or two, and may defer them or unmask."""
        guest, el = self.guest(), self.el()
        of_user_space = c.SetVcpuEvents, guest, 1, 1, self.iss()
        of_hardware = c.PendSError, 0xBE00_0411, guest, el, self.pe(), 2
        self.scene = [
            of_user_space,
            self.one(of_user_space, of_hardware),
            self.one((c.RunBarrier, guest, 0), (c.SetGuest, guest, el, 0), (c.ResetGuest, guest)),
        ]
        return c.SetGuest, guest, el, 1

    def masked_pe(self):
        """The host masks SErrors on a PE, one comes, and firmware is called, or a barrier runs, or it unmasks."""
        pe, el = self.pe(), self.el()
        self.scene = [
            (c.PendSError, 0xBE00_0000 | self.iss(), -1, el, pe, 0),
            self.one((c.RunBarrier, -1, pe), (c.CallFirmware, pe), (c.SetPe, pe, el, 0)),
        ]
        return c.SetPe, pe, el, 1

    def again(self):
        """The same block is presented several times: duplicates, limits, a slot that is still unread."""
        block, source = self.block(), self.draw.randrange(3)
        self.scene = [(c.PresentBlock, block, source, self.one(-1, 0), self.el()) for _ in range(self.one(1, 3))]
        return c.PresentBlock, block, source

    def same_guest(self):
        """A guest meets one error after the other."""
        guest = self.guest()
        pages = [self.host.task_page(guest) + 4096 * i for i in range(3)]
        self.scene = [(c.InjectFault, FAULT_INDEX["memory-uer"], page, guest, self.el(), 0) for page in pages]
        return c.SetGuest, guest, self.el(), 0, self.one(1, 1, 0)

    def command(self):
        """One command, drawn by its likelihood; a scene goes on first."""
        if self.scene:
            return self.scene.pop(0)
        rows = (
            (30, self.inject),
            (14, self.read),
            (4, lambda: (c.ScrubMemory, self.page()[0])),
            (6, lambda: (c.SetGuest, self.guest(), self.el(), self.one(0, 1), self.one(1, 1, 0))),
            (4, lambda: (c.SetPe, self.pe(), self.el(), *self.some_pe())),
            (6, self.serror),
            (6, self.vcpu_events),
            (10, self.presented),
            (4, lambda: (c.InjectGuestError, self.guest(), self.block()[:1100])),
            (3, lambda: (c.RunBarrier, self.one(-1, self.guest()), self.pe())),
            (3, lambda: (c.CallFirmware, self.pe())),
            (5, self.register),
            (2, lambda: (self.one(c.StartGuest, c.StopGuest, c.ResetGuest, c.ResetGuest), self.guest())),
            (1, lambda: (c.WithdrawFirmware, self.guest())),
            (1, lambda: (c.ResetHost, self.one(0, 0, 1))),
            (1, self.policy),
            (3, self.masked_guest),
            (2, self.masked_pe),
            (2, self.again),
            (2, self.same_guest),
        )
        (row,) = self.draw.choices([row for _, row in rows], [weight for weight, _ in rows])
        return row()


def play(seed, commands=COMMANDS):
    """Live through the story of a seed; after every command and every pause the ledger is asked."""
    story = Story(seed)
    host = story.host
    run = Run(host, [story.switches])
    for _ in range(commands):
        kind, *fields = story.command()
        shown = [value.hex() if isinstance(value, bytes) else value for value in fields]
        run.told.append(f"{host.now:>16} {kind.__name__} {shown}")
        before = len(host.events)
        host.do(kind, *fields)
        for event in host.events[before:]:
            if kind is c.PresentBlock and isinstance(event, StatusBlockWritten):
                run.presented.add(event.block)
            if kind is c.PendSError and isinstance(event, SErrorTaken):
                run.raw.add(event.sequence)
        if kind is c.ChangePolicy:
            run.policies.append(host.platform.switches)
        if host.accounted():
            host.run_until(host.now + story.draw.choice(PAUSES_NS))
        if not host.accounted():
            run.unaccounted = run.told[-1]
            return run
    host.run()
    if not host.accounted():
        run.unaccounted = "the end"
    return run
