"""Whole hosts for tests, and what is asked of them afterwards."""

import msgspec

from nodes.actor import PLAN, Hosts
from nodes.events import ClockAdvanced
from nodes.events import commands as c
from nodes.host import Host
from nodes.policy import Switches

S = 1_000_000_000  # ns
POLLED = S + S // 5  # ns after which a polled source was looked at, and all was done


class Taking(Hosts):
    """Hosts that take whatever they are given for their plan, in that order."""

    def handle(self, mail):
        return super().handle(as_planned(mail, self._planned))


def as_planned(mail, n):
    """A command of the plan, or a clock, as its n-th one; others as they are."""
    if isinstance(mail, ClockAdvanced) or getattr(mail, "origin", None) == PLAN:
        return msgspec.structs.replace(mail, n=n)
    return mail


def host(**switches):
    return Host("h1", switches=Switches(**switches))


def of(host, *kinds, **fields):
    """The events of these kinds whose fields have these values, oldest first."""
    return [
        event
        for event in host.events
        if isinstance(event, kinds) and all(getattr(event, name) == value for name, value in fields.items())
    ]


def names(host, since=0):
    """Names of the events, oldest first."""
    return [type(event).__name__ for event in host.events[since:]]


def fields(events, *wanted):
    return [tuple(getattr(event, name) for name in wanted) for event in events]


def ended(host, *, guests=False):
    """The ended accounts that are not 0, lost ones by their reason."""
    ledger = host.ledger()["guests"] if guests else host.ledger()
    lost = {f"lost {reason}": count for reason, count in ledger["ended"]["lost"].items()}
    return {name: n for name, n in ledger["ended"].items() if name != "lost" and n} | lost


def open_accounts(host, *, guests=False):
    ledger = host.ledger()["guests"] if guests else host.ledger()
    return {name: count for name, count in ledger["open"].items() if count}


def present(host, block, source_id=0, *, guest=-1, el=0):
    """The host's firmware presents a block to its kernel, and all that follows from it happens."""
    host.do(c.PresentBlock, block, source_id, guest, el)
    host.run_until(host.now + POLLED)


def guest_serror(host, esr, guest=0, el=0):
    """A physical SError is taken to EL2 while a guest runs."""
    host.do(c.PendSError, esr, guest, el, 0, 2)


def guest_meets_error(host, guest=0, *, page=0, el=0):
    """A guest's code meets an uncorrectable line of memory; everything happens that follows at once."""
    host.inject("memory-uer", address=host.task_page(guest) + 4096 * page, guest=guest, el=el)
    host.run_until(host.now + S)
