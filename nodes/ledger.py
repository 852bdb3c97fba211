"""The ledger: where every injected error is, or how it ended.

Its unit is one occurrence of an error. ``injected`` equals the sum of all open and ended accounts at every
moment; what carries an occurrence (an error record, a status block, a pool node, a queue entry, a poisoned
line, a pended virtual SError) says how many it carries, and moves them when it hands them on.

A host keeps two ledgers: one for what happened to its hardware, one for what its hypervisor took to its guests.

Source: the design's section 3, "The ledger"; these names are the keys in JSON.
"""

from array import array
from collections.abc import Sequence
from enum import IntEnum
from sys import byteorder
from typing import TYPE_CHECKING, Final, Self, cast

LOST_PREFIX: Final = "lost_"


class Account(IntEnum):
    """Where an occurrence can be. The first three are open, the rest ended."""

    IN_FLIGHT = 0  # on its way between two floors, or in a record or block that nobody has read yet
    PENDING = 1  # an SError that is masked
    LATENT = 2  # poison that nobody has met
    CORRECTED = 3  # corrected, and a kernel logged it so; or poison that a scrub or a write removed
    REPORTED = 4  # a kernel read its record or took its exception, and acted on it
    SWALLOWED = 5  # a syndrome that software saw and ignored
    COALESCED = 6  # went into a counter, or was dropped as identical to one just seen
    OVERWRITTEN = 7  # its record or syndrome gave way to a later one
    SILENT = 8  # nobody detected it
    LOST_SLOT_NOT_ACKNOWLEDGED = 9  # the block before it was still unread
    LOST_POOL_EMPTY = 10  # no memory to copy the block into
    LOST_FIFO_FULL = 11  # memory_failure's queue was full
    LOST_BLOCK_MALFORMED = 12  # the reader refused the block, cleared and acknowledged it
    LOST_BLOCK_TOO_LARGE = 13  # it does not fit the source's block, or (on demand) the communication buffer
    LOST_NOTIFICATION_REFUSED = 14  # the kernel was never told, and the block is gone
    LOST_HOST_RESET = 15  # the host was reset before anyone acted
    LOST_GUEST_GONE = 16  # the guest died, was stopped or was reset before it acted
    LOST_NO_SOURCE = 17  # no error source for it
    LOST_CALL_DENIED = 18  # on demand: firmware cannot be called where the error was taken
    LOST_DEADLINE_EXPIRED = 19  # on demand: the call did not come back in time
    LOST_CALL_NOT_SUPPORTED = 20  # on demand: there is no firmware to call, or it is too old
    LOST_CALL_NO_MEMORY = 21  # on demand: as many records waited already as the partition keeps


OPEN: Final = (Account.IN_FLIGHT, Account.PENDING, Account.LATENT)
_INJECTED: Final = len(Account)  # index of the sum
ENDED: Final = tuple(account for account in Account if account not in OPEN)


if TYPE_CHECKING:
    Counts = array[int]
else:
    Counts = array  # not subscriptable before Python 3.12


class Ledger(Counts):
    """Counts of occurrences, by account; behind them what was injected in all. Hosts are many, so it is small."""

    __slots__ = ()

    def __new__(cls) -> Self:
        """A ledger with nothing in it."""
        return cast("Self", super().__new__(cls, "I", bytes(4 * (len(Account) + 1))))

    @property
    def injected(self) -> int:
        """Occurrences ever injected."""
        return self[_INJECTED]

    def inject(self) -> None:
        """One new occurrence, in flight."""
        self[_INJECTED] += 1
        self[0] += 1

    def move(self, carried: int, source: Account, target: Account) -> None:
        """``carried`` occurrences change accounts; an ended one never does."""
        if carried:
            assert source <= Account.LATENT, f"{source.name} has ended"
            assert self[source] >= carried, f"{carried} to move, {self[source]} are {source.name}"
            self[source] -= carried
            self[target] += carried

    def add(self, other: Self) -> None:
        """Take in the counts of another ledger."""
        for index, count in enumerate(other):
            self[index] += count

    def open(self) -> int:
        """Occurrences that have not ended."""
        return sum(self[account] for account in OPEN)

    def balanced(self) -> bool:
        """Whether injected = open + ended."""
        return self.injected == sum(self[:_INJECTED])


class LedgerSum:
    """The sum of many ledgers as one number, 32 bits for each count: adding one is one step.

    A sum that no ledger can hold ends in OverflowError when it is asked for, as adding ledgers does.
    """

    __slots__ = ("_number",)

    def __init__(self) -> None:
        self._number = 0

    def add(self, ledger: Ledger) -> None:
        """Take in a ledger."""
        self._number += int.from_bytes(ledger, byteorder)

    def take(self, ledger: Ledger) -> None:
        """Leave out a ledger that was taken in, with the counts that it had then."""
        self._number -= int.from_bytes(ledger, byteorder)
        assert self._number >= 0, "what is left out was taken in"

    def ledger(self) -> Ledger:
        """The sum."""
        whole = Ledger()
        whole[:] = Counts("I", self._number.to_bytes(4 * len(whole), byteorder))
        return whole

    def copy(self) -> "LedgerSum":
        """Another sum that begins here."""
        other = LedgerSum()
        other._number = self._number
        return other


def ledger_json(ledger: Sequence[int]) -> dict[str, object]:
    """A ledger as JSON has it: ``injected``, ``open``, ``ended`` with ``lost`` by reason (those above 0)."""
    ended: dict[str, object] = {
        account.name.lower(): ledger[account]
        for account in ENDED
        if not account.name.lower().startswith(LOST_PREFIX)
    }
    ended["lost"] = {
        account.name.lower().removeprefix(LOST_PREFIX): ledger[account]
        for account in ENDED
        if account.name.lower().startswith(LOST_PREFIX) and ledger[account]
    }
    return {
        "injected": ledger[_INJECTED],
        "open": {account.name.lower(): ledger[account] for account in OPEN},
        "ended": ended,
    }
