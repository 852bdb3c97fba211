"""The tables of a scenario, as declarations: keys, bounds, defaults, and what each key means.

The reader of scenarios, its error messages, the JSON Schema and the table of keys in
``deploy/scenarios/README.md`` all come from here and from ``fleet.scenario.script``.
"""

from typing import Annotated, Final

from msgspec import UNSET, Meta, UnsetType

from fleet.partition import PARTITIONS_MAX
from fleet.scenario.expectation import ExpectTable
from fleet.scenario.presets import PresetName, mix_of
from fleet.scenario.script import AnyStep, FaultName, PageName, Seconds, Small
from fleet.scenario.selecting import Name, Number, SelectingTable, Table
from fleet.scenario.topology import RACKS_MAX, REGIONS_MAX, ROWS_MAX
from nodes.hardware.fault import FAULTS
from nodes.policy import SwitchChanges, Switches

HOSTS_MAX: Final = 1_000_000
FAULTS_MAX: Final = 20_000_000  # of a run, drawn or expected
TABLES_MAX: Final = 1000  # of one kind

Count = Annotated[int, Meta(ge=1, le=HOSTS_MAX)]
Weight = Annotated[int, Meta(ge=0, le=1_000_000)]
Many = Annotated[int, Meta(ge=1, le=1_000_000)]
PerHour = Annotated[float, Meta(ge=1e-12, le=1e6)]
Fit = Annotated[float, Meta(ge=1e-6, le=1e15)]
Fraction = Annotated[float, Meta(ge=0, le=1)]

_MIX: Final = {  # what editors offer
    "properties": {
        fault.name: {"type": "integer", "minimum": 0, "maximum": 1_000_000, "description": fault.says}
        for fault in FAULTS
    },
    "additionalProperties": False,
}


class HostsTable(Table, frozen=True, kw_only=True):
    """``[[hosts]]``: a group of hosts that are alike."""

    name: Annotated[
        Name,
        Meta(
            description="pattern of the names: one {} or {:04d} that counts through the group, "
            "or {region}, {row}, {rack}, {host}, each such as {rack:03d}, counted within the one before"
        ),
    ] = "host-{:04d}"
    regions: Annotated[int, Meta(ge=1, le=REGIONS_MAX, description="regions")] = 1
    rows: Annotated[int, Meta(ge=1, le=ROWS_MAX, description="rows of a region")] = 1
    racks: Annotated[int, Meta(ge=1, le=RACKS_MAX, description="racks of a row")] = 1
    count: Annotated[Count, Meta(description="hosts; of each rack, where there are several")] = 1
    guests: Annotated[int, Meta(ge=0, le=64, description="guests of a host")] = 4
    memory_gib: Annotated[int, Meta(ge=2, le=65536, description="memory of a host in GiB")] = 64
    guest_memory_gib: Annotated[int, Meta(ge=1, le=1024, description="memory of a guest in GiB")] = 4
    sockets: Annotated[int, Meta(ge=1, le=8, description="sockets of a host, a power of two")] = 1
    channels: Annotated[
        int, Meta(ge=1, le=32, description="channels of a socket, one DIMM each, a power of two")
    ] = 8
    pes: Annotated[int, Meta(ge=1, le=256, description="PEs of a host")] = 16

    @property
    def layered(self) -> bool:
        """Whether its hosts stand in several racks."""
        return self.regions * self.rows * self.racks > 1

    @property
    def size(self) -> int:
        """Hosts in all."""
        return self.regions * self.rows * self.racks * self.count


class FirmwareTable(SelectingTable, frozen=True, kw_only=True):
    """``[[firmware]]``: a version of firmware; a host has the first one whose draw takes it."""

    name: Annotated[Name, Meta(description="the label that selections give")]
    fraction: Annotated[Fraction, Meta(description="share of these hosts that have it, each drawn by itself")] = (
        1.0
    )


class DimmBatchTable(SelectingTable, frozen=True, kw_only=True):
    """``[[dimm_batches]]``: DIMMs made together; a DIMM is of the first batch whose draw takes it."""

    name: Annotated[Name, Meta(description="the label that selections give")]
    fraction: Annotated[
        Fraction, Meta(description="share of these hosts' DIMMs that are of it, each drawn by itself")
    ] = 1.0


class OverrideTable(SelectingTable, frozen=True, kw_only=True):
    """``[[overrides]]``: switches that differ for some hosts; a later one has the last word."""

    switches: Annotated[SwitchChanges, Meta(description="the switches that differ")]


class MetByTable(Table, frozen=True, kw_only=True):
    """Who meets an error, as weights."""

    guest: Annotated[Weight, Meta(description="weight of a task in a guest")] = 0
    host: Annotated[Weight, Meta(description="weight of a task of the host")] = 0


class FaultsTable(SelectingTable, frozen=True, kw_only=True):
    """``[[faults]]``: random faults; one key says how many: a share of a total, a rate, or a number for each."""

    name: Annotated[Name, Meta(description="what its draws are named after")]
    share: Annotated[
        Many | UnsetType,
        Meta(
            description="share of what is neither scripted, by rate nor for each; 1, "
            "unless another key says how many",
        ),
    ] = UNSET
    rate_per_host_h: Annotated[PerHour | UnsetType, Meta(description="faults an hour of each host")] = UNSET
    fit_per_dimm: Annotated[
        Fit | UnsetType, Meta(description="faults in 10^9 hours of each DIMM; memory faults only")
    ] = UNSET
    fit_per_device: Annotated[
        Fit | UnsetType, Meta(description="faults in 10^9 hours of each of a DIMM's 36 DRAM devices; memory only")
    ] = UNSET
    fit_per_pe: Annotated[
        Fit | UnsetType, Meta(description="faults in 10^9 hours of each PE; cache and TLB faults only")
    ] = UNSET
    each: Annotated[
        Many | UnsetType,
        Meta(description="faults of each host, or of each DIMM where dimm_batch is said"),
    ] = UNSET
    preset: Annotated[
        PresetName | UnsetType,
        Meta(description="DRAM faults of a field study, by FIT a device, in place of mix and number"),
    ] = UNSET
    mix: Annotated[
        dict[FaultName, Weight] | UnsetType,
        Meta(description="weight of each kind of fault", extra_json_schema=_MIX),
    ] = UNSET
    dimm_batch: Annotated[Name | UnsetType, Meta(description="DIMMs of this `[[dimm_batches]]`")] = UNSET
    host: Annotated[Number | UnsetType, Meta(description="one host by number, counted round")] = UNSET
    met_by: Annotated[MetByTable, Meta(description="who meets the error, as weights")] = MetByTable(
        guest=8, host=2
    )
    guest: Annotated[Small | UnsetType, Meta(description="one guest by number, counted round")] = UNSET
    page: Annotated[PageName | UnsetType, Meta(description="kind of page; any, unless it is said")] = UNSET
    dimm: Annotated[Small | UnsetType, Meta(description="one DIMM by number, counted round")] = UNSET
    row: Annotated[Small | UnsetType, Meta(description="one row of DRAM, counted round")] = UNSET
    from_s: Annotated[Seconds, Meta(description="beginning in virtual seconds")] = 0.0
    to_s: Annotated[
        Seconds | UnsetType, Meta(description="end in virtual seconds; the scenario's, unless it is said")
    ] = UNSET

    @property
    def batch(self) -> str:
        """The batch of DIMMs that is meant; empty: none."""
        return "" if self.dimm_batch is UNSET else self.dimm_batch

    @property
    def sizes(self) -> list[str]:
        """The keys that say how many."""
        return [key for key in SIZES if getattr(self, key) is not UNSET]

    @property
    def size_by(self) -> str:
        """The key that says how many."""
        return (self.sizes or ["share"])[0]

    @property
    def weight(self) -> int:
        """Its share of what is neither scripted, by rate nor for each."""
        return 1 if self.share is UNSET else self.share

    @property
    def of_dimms(self) -> bool:
        """Whether its faults are those of DIMMs, each with draws of its own, rather than of hosts."""
        return self.size_by in ("fit_per_dimm", "fit_per_device", "preset") or self.dimm_batch is not UNSET

    @property
    def weights(self) -> dict[str, int]:
        """The kinds of faults with a weight above 0."""
        if self.preset is not UNSET:
            return mix_of(self.preset)
        return {} if self.mix is UNSET else {str(name): weight for name, weight in self.mix.items() if weight}


SIZES: Final = ("share", "rate_per_host_h", "fit_per_dimm", "fit_per_device", "fit_per_pe", "each", "preset")


class Scenario(Table, frozen=True, kw_only=True):
    """A whole scenario: what hosts there are, and what happens to them."""

    name: Annotated[str, Meta(max_length=63, description="small letters, digits and hyphens")]
    seed: Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="what chance draws from")] = 1
    start: Annotated[
        str, Meta(max_length=40, description="real time of virtual time 0, like 2026-01-01T00:00:00Z")
    ] = "2026-01-01T00:00:00Z"
    duration_s: Annotated[float, Meta(gt=0, le=10 * 366 * 86400, description="virtual seconds")] = 3600.0
    partitions: Annotated[int, Meta(ge=1, le=PARTITIONS_MAX, description="of each topic of the log")] = 12
    faults_total: Annotated[
        Annotated[int, Meta(ge=0, le=FAULTS_MAX)] | UnsetType,
        Meta(
            description="faults in all, those by rate and for each left out; 100 a host, unless it is said",
        ),
    ] = UNSET
    switches: Annotated[Switches, Meta(description="switches of every host")] = Switches()
    hosts: Annotated[list[HostsTable], Meta(min_length=1, max_length=TABLES_MAX, description="groups of hosts")]
    firmware: Annotated[list[FirmwareTable], Meta(max_length=TABLES_MAX, description="versions of firmware")] = []
    dimm_batches: Annotated[
        list[DimmBatchTable], Meta(max_length=TABLES_MAX, description="DIMMs made together")
    ] = []
    overrides: Annotated[
        list[OverrideTable], Meta(max_length=TABLES_MAX, description="switches that differ for some hosts")
    ] = []
    faults: Annotated[list[FaultsTable], Meta(max_length=TABLES_MAX, description="random faults")] = []
    script: Annotated[list[AnyStep], Meta(max_length=100_000, description="what happens at set times")] = []
    expect: Annotated[ExpectTable, Meta(description="counts that a run must come to")] = ExpectTable()
