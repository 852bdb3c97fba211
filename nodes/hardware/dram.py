"""Where a physical address lies in DRAM: socket, channel with its DIMM, rank, bank, row, column.

The mapping is a list of bit fields from the lowest address bit up, the same for every host of a topology; real
controllers hash, this one does not, so that a row fault is a plain pattern of addresses. Assumed, not from a
document. Memory of a host is one range that starts at ``DRAM_BASE``.
"""

from typing import Final, NamedTuple

DRAM_BASE: Final = 0x8000_0000  # physical address of the first byte; Arm's server base platforms put DRAM there
LINE_SIZE: Final = 64  # bytes: unit of poison and of a burst
LINE_MASK: Final = ~(LINE_SIZE - 1)
PAGE_SHIFT: Final = 12  # log2 of Linux's page on arm64, 4 KiB

# Bits of (address - DRAM_BASE), lowest first. Channel and socket widths depend on the topology.
_COLUMN_BITS: Final = 7  # bursts of 8 in a row of 1024 columns
_BANK_GROUP_BITS: Final = 3  # DDR5: 8 groups
_BANK_BITS: Final = 2  # of 4 banks
_RANK_BITS: Final = 1
_BURST_SHIFT: Final = 3  # a line is 8 columns
ROW_BITS: Final = 18  # memory section 1 holds 16 of them, the rest goes to its extended byte
_COLUMNS, _BANK_GROUPS, _BANKS, _RANKS, _ROWS = (
    (1 << bits) - 1 for bits in (_COLUMN_BITS, _BANK_GROUP_BITS, _BANK_BITS, _RANK_BITS, ROW_BITS)
)  # their masks


class DramAddress(NamedTuple):
    """A place in DRAM, each part counted from 0."""

    socket: int
    channel: int  # of the socket; one DIMM each
    rank: int
    bank_group: int
    bank: int
    row: int
    column: int


class DramGeometry(NamedTuple):
    """How many of each; powers of two."""

    sockets: int = 1
    channels: int = 8  # of a socket

    @property
    def dimm_count(self) -> int:
        """DIMMs of the host."""
        return self.sockets * self.channels

    def dimm(self, place: DramAddress) -> int:
        """Index of the DIMM, over all sockets."""
        return place.socket * self.channels + place.channel

    def dimm_of(self, address: int) -> int:
        """Index of the DIMM that holds an address; addresses below DRAM are taken as DIMM 0's."""
        line = max(0, address - DRAM_BASE) // LINE_SIZE
        channel = line & self.channels - 1
        return channel if self.sockets == 1 else self.dimm(self.place_of(address))

    def socket_of(self, address: int) -> int:
        """The socket that an address belongs to."""
        return 0 if self.sockets == 1 else self.place_of(address).socket

    def place_of(self, address: int) -> DramAddress:
        """The place of an address."""
        rest, channel = divmod(max(0, address - DRAM_BASE) // LINE_SIZE, self.channels)
        rest, column = rest >> _COLUMN_BITS, (rest & _COLUMNS) << _BURST_SHIFT
        rest, bank_group = rest >> _BANK_GROUP_BITS, rest & _BANK_GROUPS
        rest, bank = rest >> _BANK_BITS, rest & _BANKS
        rest, rank = rest >> _RANK_BITS, rest & _RANKS
        row, socket = divmod(rest, self.sockets)
        return DramAddress(socket, channel, rank, bank_group, bank, row & _ROWS, column)

    def address_of(self, place: DramAddress) -> int:
        """The lowest address of a place; the inverse of ``place_of`` for the first byte of a line."""
        rest = place.row
        for value, count in (
            (place.socket, self.sockets),
            (place.rank, 1 << _RANK_BITS),
            (place.bank, 1 << _BANK_BITS),
            (place.bank_group, 1 << _BANK_GROUP_BITS),
            (place.column >> _BURST_SHIFT, 1 << _COLUMN_BITS),
            (place.channel, self.channels),
        ):
            assert 0 <= value < count, f"{place} lies outside {self}"
            rest = rest * count + value
        return DRAM_BASE + rest * LINE_SIZE
