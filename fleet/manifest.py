"""A run's manifest: what the run is, written before anything else.

The behaviour number names everything that decides output bytes. A test pins the digest of the bundled scenarios to
it: whoever changes behaviour must raise it.

Source: the design's section 4, "A run has a name and a manifest".
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from fleet.partition import PARTITIONS_MAX

BEHAVIOUR: Final = 1  # raise it with every change of output bytes
FORMAT: Final = 1  # of the manifest and the files beside it
SCENARIO: Final = "scenario"
IMPORT: Final = "import"


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the command line put in place of the scenario's own values; None: the scenario's."""

    hosts: int | None = None
    guests: int | None = None  # of each host
    faults: int | None = None
    seed: int | None = None
    until_s: float | None = None  # virtual time of the last command but the clock's


class Form(msgspec.Struct, frozen=True):
    """Of a manifest, what says how to read the rest."""

    format: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that determines a run."""

    name: str
    scenario: str  # TOML text
    options: Options
    seed: int
    start: str  # real time of virtual time 0, ISO 8601
    partitions: Annotated[int, Meta(ge=1, le=PARTITIONS_MAX)]
    behaviour: int = BEHAVIOUR
    format: int = FORMAT
    source: str = SCENARIO  # where the commands come from
    version: str = ""  # of the program, for people
    place: str = ""  # the scenario as it was asked for: a file, or a name


class Summary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a run came to; there is none while it runs, and after it was cut off."""

    digest: str
    faults: int
    commands: int  # the clock's included
    events: dict[str, int]  # by topic, the watermarks included
    outcomes: dict[str, dict[str, int]]  # by level and kind
    ledger: dict[str, Any]
    counts: dict[str, list[int]]  # by topic: the records of each partition; of commands those that were handled
    interrupted: bool = False  # stopped before its last command
    dead_letters: dict[str, int] = {}  # commands that were not done, by reason
