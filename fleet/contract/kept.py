"""What stands beside the events for those who read topics by themselves: what is said about runs, and checkpoints.

In the topic of all runs a key says what its value is, JSON without a tag; the schemas are those of the types that
are written and read there. A checkpoint is for workers of the same program alone, so of it there is only the key.

Sources: ``fleet.log.kafka.manifests``, ``turn`` and ``checkpoints``; JSON Schema draft 7.
"""

from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import fields

from fleet.engine.shard import ShardSummary
from fleet.log.kafka.names import CHECKPOINT, RUN_NAME, RUNS
from fleet.manifest import Manifest, Summary

OCTETS: Final = "application/octet-stream"
JSON: Final = "application/json"
_PLACE: Final = "#/components/schemas/"
_RUN: Final = f"^{RUN_NAME.pattern}"


class Kept(NamedTuple):
    """What stands under some keys."""

    topic: str
    name: str
    key: str  # pattern
    of_key: str
    says: str
    content_type: str
    payload: dict[str, Any]


def _of_runs(name: str, key: str, of_key: str, says: str, payload: dict[str, Any]) -> Kept:
    return Kept(RUNS, name, f"{_RUN}{key}$", of_key, says, JSON, payload)


def _reference(kind: type) -> dict[str, Any]:
    return {"$ref": f"{_PLACE}{kind.__name__}"}


KEPT: Final = (
    _of_runs("RunBegun", "", "the run", "What determines a run; it is there first.", _reference(Manifest)),
    _of_runs(
        "PlanTaken",
        "/writer",
        "run/writer",
        "Who writes the scenario's commands from now on: a word of its own. Whoever did so before ends.",
        {"type": "string", "pattern": "^[0-9a-f]{16}$"},
    ),
    _of_runs(
        "PlanEnded",
        "/end",
        "run/end",
        "By partition, the offsets behind which no command of the scenario comes.",
        {"type": "array", "items": {"type": "integer", "minimum": 0}},
    ),
    _of_runs(
        "ShardEnded", "/shard/[0-9]+", "run/shard/partition", "What a partition came to.", _reference(ShardSummary)
    ),
    _of_runs(
        "RunEnded", "/summary", "run/summary", "What a run came to; none while it runs.", _reference(Summary)
    ),
    Kept(
        CHECKPOINT,
        "CheckpointPart",
        "^[0-9]+/[01](/[0-9]+)?$",
        "partition/slot of the part that says where the others are; partition/slot/number of those",
        "Part of where a shard stood, for workers of the same program: a value means nothing to others.",
        OCTETS,
        {"type": "string", "contentEncoding": "base64"},
    ),
)


def schemas() -> dict[str, Any]:
    """The schemas that the messages name."""
    _, declared = msgspec.json.schema_components([Manifest, Summary, ShardSummary], ref_template=_PLACE + "{name}")
    found: dict[str, Any] = {name: _as_draft_7(of) for name, of in sorted(declared.items())}
    for item, field in zip(found[ShardSummary.__name__]["items"], fields(ShardSummary), strict=True):
        item["title"] = field.name
    return found


def _as_draft_7(declared: Any) -> Any:
    """Draft 2020-12 has another word for the items of an array that differ."""
    if isinstance(declared, list):
        return [_as_draft_7(each) for each in declared]
    if not isinstance(declared, dict):
        return declared
    found = {name: _as_draft_7(value) for name, value in declared.items()}
    if "prefixItems" in found:
        rest = {"additionalItems": found["items"]} if "items" in found else {}
        found = {name: of for name, of in found.items() if name not in ("prefixItems", "items")}
        found |= {"items": _as_draft_7(declared["prefixItems"])} | rest
    return found
