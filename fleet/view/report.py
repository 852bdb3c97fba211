"""What a run came to, for people and for scripts."""

import json
import shlex
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import click

from fleet.manifest import Summary
from fleet.scenario.expectation import Unmet
from nodes.events import Level


class Told(NamedTuple):
    """A run that has ended."""

    scenario: str
    seed: int
    hosts: int
    guests: int  # in all
    workers: int
    summary: Summary
    seconds: float
    repeat: list[str]
    out: str  # folder, or name of the run on Kafka
    unmet: Sequence[Unmet] = ()  # what the scenario expects otherwise
    place: str = ""  # of the scenario: a file, or a name
    unchecked: bool = False  # the scenario expects something, and of another size or seed
    kafka: str = ""  # its brokers
    signal: int = 0  # that stopped it


def show(told: Told, *, as_json: bool) -> None:
    """Print a run on stdout."""
    if as_json:
        click.echo(json.dumps(as_object(told)))
        return
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    summary = told.summary
    events = sum(summary.events.values())
    with console.capture() as printed:  # written by click: rich ends a broken pipe in its own way
        console.print(
            f"[bold]{told.scenario}[/bold], seed {told.seed}: {told.hosts:,} hosts, {told.guests:,} guests, "
            f"{summary.faults:,} faults, {events:,} events in {told.seconds:.1f} s"
        )
        for title, rows in (
            ("events", list(summary.events.items())),
            ("outcomes", _outcome_rows(summary)),
            ("ledger", [("", "hosts", "guests"), *ledger_rows(summary.ledger)]),
            *([("dead letters", list(summary.dead_letters.items()))] if summary.dead_letters else []),
        ):
            console.print(f"\n[bold]{title}[/bold]")
            for words in rows:
                console.print(_row(words), markup=False)
        console.print()
        for name, text in (("log", told.out), ("digest", summary.digest), ("repeat", shlex.join(told.repeat))):
            console.print(f"[bold]{name:8}[/bold]{text}")
    click.echo(printed.get(), nl=False)


def as_object(told: Told) -> dict[str, Any]:
    """A run as the object that ends ``run --json``."""
    summary = told.summary
    return {
        "scenario": told.scenario,
        "seed": told.seed,
        "hosts": told.hosts,
        "guests": told.guests,
        "workers": told.workers,
        "faults": summary.faults,
        "events": summary.events,
        "outcomes": summary.outcomes,
        "ledger": summary.ledger,
        "dead_letters": summary.dead_letters,
        "digest": summary.digest,
        "seconds": round(told.seconds, 3),
        "repeat": shlex.join(told.repeat),
        "out": told.out,
        **({"kafka": told.kafka} if told.kafka else {}),
        "interrupted": summary.interrupted,
        "unmet": [{"key": each.key, "expected": each.expected, "found": each.found} for each in told.unmet],
    }


def _row(words: tuple[Any, ...]) -> str:
    name, *counts = words
    return f"  {name:<40}" + "".join(
        f"{count:>12,}" if isinstance(count, int) else f"{count:>12}" for count in counts
    )


def _outcome_rows(summary: Summary) -> list[tuple[Any, ...]]:
    return [
        (f"{level.name.lower():16}{event}", count)
        for level in Level
        for event, count in summary.outcomes.get(level.name.lower(), {}).items()
    ]


def ledger_rows(ledger: dict[str, Any]) -> list[tuple[Any, ...]]:
    """A ledger of hosts and guests side by side: accounts that are 0 in both are left out."""
    flat = [_flat(ledger), _flat(ledger["guests"])]
    names = list(dict.fromkeys([*flat[0], *flat[1]]))
    rows: list[tuple[Any, ...]] = []
    for name in names:
        counts = [column.get(name, 0) for column in flat]
        if any(counts):
            rows.append((name, *counts))
    ended = [
        sum(count for name, count in column.items() if not name.startswith(("injected", "open")))
        for column in flat
    ]
    opened = [sum(count for name, count in column.items() if name.startswith("open")) for column in flat]
    rows.append(("= open + ended", *(o + e for o, e in zip(opened, ended, strict=True))))
    return rows


def _flat(ledger: dict[str, Any]) -> dict[str, int]:
    ended = ledger["ended"]
    return {
        "injected": ledger["injected"],
        **{f"open            {name}": count for name, count in ledger["open"].items()},
        **{f"ended           {name}": count for name, count in ended.items() if name != "lost"},
        **{f"ended, lost     {name}": count for name, count in ended["lost"].items()},
    }
