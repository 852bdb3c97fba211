"""What a scenario expects of its run: counts of events, outcomes and ledger accounts.

``[expect.outcomes.guest_kernel]`` names kinds of events, ``[expect.ledger]`` and ``[expect.guests]`` accounts,
``[expect.topics]`` topics. Each count is a number, or a table with ``at_least`` and ``at_most``; what is not named
may be anything. A run whose size or seed the command line changed is another run: nothing is expected of it.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fleet.manifest import Summary
from fleet.scenario.selecting import Table
from nodes.events import HOST_EVENTS, HOST_TOPICS, OUTCOME, Level
from nodes.ledger import LOST_PREFIX, Account

Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]

TopicName = StrEnum("TopicName", {topic: topic for topic in HOST_TOPICS})  # type: ignore[misc]
LevelName = StrEnum("LevelName", {level.name: level.name.lower() for level in Level})  # type: ignore[misc]
OutcomeName = StrEnum(  # type: ignore[misc]
    "OutcomeName", {kind.__name__: kind.__name__ for kind in HOST_EVENTS if kind.topic == OUTCOME}
)
AccountName = StrEnum(  # type: ignore[misc]
    "AccountName", {"INJECTED": "injected"} | {account.name: account.name.lower() for account in Account}
)


class Range(Table, frozen=True, kw_only=True):
    """Bounds of a count, both included."""

    at_least: Annotated[Count, Meta(description="the smallest count that is right")] = 0
    at_most: Annotated[Count | UnsetType, Meta(description="the largest count that is right")] = UNSET


def _named(names: type[StrEnum], description: str) -> Meta:
    """What editors offer as keys."""
    return Meta(description=description, extra_json_schema={"propertyNames": {"enum": [str(n) for n in names]}})


class ExpectTable(Table, frozen=True, kw_only=True):
    """``[expect]``: counts that a run must come to; each a number, or a table of at_least and at_most."""

    topics: Annotated[dict[TopicName, Count | Range], _named(TopicName, "events by topic")] = {}
    outcomes: Annotated[
        dict[LevelName, Annotated[dict[OutcomeName, Count | Range], _named(OutcomeName, "outcomes by kind")]],
        _named(LevelName, "outcomes by level and kind"),
    ] = {}
    ledger: Annotated[dict[AccountName, Count | Range], _named(AccountName, "accounts of the hosts' ledger")] = {}
    guests: Annotated[dict[AccountName, Count | Range], _named(AccountName, "accounts of the guests' ledger")] = {}


class Unmet(msgspec.Struct, frozen=True):
    """A count that is not what was expected."""

    key: str
    expected: str
    found: int


def unmet(expect: ExpectTable, summary: Summary) -> list[Unmet]:
    """Every expectation that a run did not meet, in the scenario's order."""
    return [
        Unmet(key, _in_words(expected), found)
        for key, expected, found in _pairs(expect, summary)
        if not _holds(expected, found)
    ]


def _pairs(expect: ExpectTable, summary: Summary) -> Iterator[tuple[str, Count | Range, int]]:
    for topic, expected in expect.topics.items():
        yield f'topics."{topic}"', expected, summary.events.get(str(topic), 0)
    for level, kinds in expect.outcomes.items():
        for kind, expected in kinds.items():
            yield f"outcomes.{level}.{kind}", expected, summary.outcomes.get(str(level), {}).get(str(kind), 0)
    for name, accounts, ledger in (
        ("ledger", expect.ledger, summary.ledger),
        ("guests", expect.guests, summary.ledger["guests"]),
    ):
        for account, expected in accounts.items():
            yield f"{name}.{account}", expected, _in_ledger(ledger, str(account))


def _in_ledger(ledger: dict[str, Any], account: str) -> int:
    """The count of an account; lost ones stand by their reason, and only above 0."""
    if account == "injected":
        return int(ledger["injected"])
    if account.startswith(LOST_PREFIX):
        return int(ledger["ended"]["lost"].get(account.removeprefix(LOST_PREFIX), 0))
    return int((ledger["open"] | ledger["ended"])[account])


def _holds(expected: Count | Range, found: int) -> bool:
    if isinstance(expected, int):
        return found == expected
    return expected.at_least <= found and (expected.at_most is UNSET or found <= expected.at_most)


def _in_words(expected: Count | Range) -> str:
    if isinstance(expected, int):
        return f"{expected:,}"
    if expected.at_most is UNSET:
        return f"at least {expected.at_least:,}"
    return f"{expected.at_least:,} to {expected.at_most:,}"
