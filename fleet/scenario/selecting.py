"""Tables that are about some hosts: one way to select, for faults, steps, overrides and labels alike."""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fleet.scenario.topology import Selection, Where

Name = Annotated[str, Meta(min_length=1, max_length=64)]
Number = Annotated[int, Meta(ge=0, le=1_000_000)]  # of a host, a region, a row, a rack
Numbers = Number | Annotated[list[Number], Meta(min_length=1, max_length=1000)]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of a scenario: unknown keys are refused."""


class SelectingTable(Table, frozen=True, kw_only=True):
    """A table for some hosts: those for which all of these keys hold."""

    hosts: Annotated[Name | UnsetType, Meta(description="shell pattern of the hosts' names")] = UNSET
    region: Annotated[Numbers | UnsetType, Meta(description="a region by number, or several")] = UNSET
    rack_row: Annotated[
        Numbers | UnsetType, Meta(description="a row of racks by its number in the region, or several")
    ] = UNSET
    rack: Annotated[Numbers | UnsetType, Meta(description="a rack by its number in the row, or several")] = UNSET
    firmware: Annotated[Name | UnsetType, Meta(description="hosts with this `[[firmware]]`")] = UNSET

    def selecting(self) -> list[str]:
        """The keys that select."""
        return [key for key in _SELECTING if getattr(self, key, UNSET) is not UNSET]

    @property
    def batch(self) -> str:
        """The batch of DIMMs that is meant; empty: none."""
        return ""

    def selection(self) -> Selection:
        """The hosts, or DIMMs, that are meant."""
        return Selection(
            "*" if self.hosts is UNSET else self.hosts,
            Where(_several(self.region), _several(self.rack_row), _several(self.rack)),
            "" if self.firmware is UNSET else self.firmware,
            self.batch,
        )


_SELECTING: Final = ("hosts", "region", "rack_row", "rack", "firmware", "dimm_batch")


def _several(numbers: Numbers | UnsetType) -> tuple[int, ...] | None:
    if numbers is UNSET:
        return None
    return (numbers,) if isinstance(numbers, int) else tuple(numbers)
