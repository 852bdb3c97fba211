"""What an import came to, for people and for scripts.

Per recording what was read and what was not understood, line by line; per error the comparison; then a table.
Text of a recording is shown with everything but printable characters escaped.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from fleet.manifest import Summary
from fleet.recordings.compare import BLANKS, Aspect, Compared, Comparison, Verdict
from fleet.recordings.model import ErrorKind, RecordedError, RecordedHost, Recording, TextLine
from fleet.recordings.outcomes import NOT_READ, Modelled
from nodes.linux.dmesg import severity_name
from nodes.linux.traps import SEA_SIGNALS
from nodes.spec.guid import guid_text
from nodes.spec.sections import section_name
from nodes.spec.status_block import DataEntry, StatusBlock
from nodes.spec.syndrome import DFSC_MASK

NOT_UNDERSTOOD_MAX: Final = 200  # lines of a recording that are printed; --json has more of them
ERRORS_MAX: Final = 200  # errors that are printed one by one; --json has them all
DIFFERENCES_MAX: Final = 12  # lines of one error that are printed
RANGES_MAX: Final = 12  # ranges of lines about something else
NOT_PRINTED: Final = (
    "block status and raw data, flags of entries and of times, entry revision, the brand of a processor, validity "
    "bits behind which nothing is printed, everything of CXL events, the capability structure of PCIe sections"
)

_VERDICTS: Final = ("matches", "differs", "not recorded")  # as Verdict has them


class Imported(NamedTuple):
    """Everything that an import came to."""

    recordings: Sequence[Recording]
    compared: dict[str, list[Compared]]  # by simulated host
    summary: Summary
    out: str
    seconds: float


def lines_of(imported: Imported) -> Iterator[str]:
    """The report for people."""
    for recording in imported.recordings:
        yield from _recording_lines(recording)
    told = 0
    for recording in imported.recordings:
        for compared in _errors(imported, recording):
            if told < ERRORS_MAX:
                yield ""
                yield from _error_lines(compared.error, compared.comparison)
            told += 1
    if told > ERRORS_MAX:
        yield f"\n... and {told - ERRORS_MAX:,} further errors (--json has them)"
    yield ""
    yield from _table(imported)
    yield ""
    if any(compared.error.lines for pairs in imported.compared.values() for compared in pairs):
        yield f"not printed by Linux, so not known of what was read from text: {NOT_PRINTED}"
        yield ""
    yield f"log     {imported.out}"
    yield f"digest  {imported.summary.digest}"


def _errors(imported: Imported, recording: Recording) -> list[Compared]:
    """The errors of a recording, in its order."""
    found = [compared for host in recording.hosts for compared in imported.compared[host.name]]
    return sorted(found, key=lambda compared: compared.error.first)


def _recording_lines(recording: Recording) -> Iterator[str]:
    yield f"{shown(recording.name)}: {_what(recording)}"
    for host in recording.hosts:
        named = f"{host.recorded_name} as " if host.recorded_name else ""
        why = f"kernel {host.kernel} ({host.kernel_why})"
        yield f"  host {shown(named)}{host.name}: {_count(len(host.errors), 'error')}; {shown(why)}"
        for outcome in host.loose:
            yield f"  line {outcome.line}, no error before it fits: {shown(outcome.says)}"
    for line in recording.not_understood[:NOT_UNDERSTOOD_MAX]:
        yield f"  not understood, line {line.number}: {shown(line.text)}"
    left = recording.not_understood_count - min(len(recording.not_understood), NOT_UNDERSTOOD_MAX)
    if left:
        yield f"  ... and {left:,} further lines that are not understood"
    if recording.other:
        yield f"  about something else: {_ranges(recording.other)}"


def _what(recording: Recording) -> str:
    if not recording.line_count:
        kinds = Counter(error.kind.value for error in recording.errors)
        found = ", ".join(_count(count, kind) for kind, count in sorted(kinds.items()))
        return f"{recording.size:,} bytes, {found}"
    parts = [f"{recording.understood:,} understood"]
    parts.append(f"{recording.not_understood_count:,} not understood")
    if recording.other_count:
        parts.append(f"{recording.other_count:,} about something else")
    return f"{_count(recording.line_count, 'line')}, {', '.join(parts)}"


def _ranges(ranges: list[tuple[int, int]]) -> str:
    told = [f"{first}" if first == last else f"{first}-{last}" for first, last in ranges[:RANGES_MAX]]
    more = f" and {len(ranges) - RANGES_MAX:,} further stretches" if len(ranges) > RANGES_MAX else ""
    return f"line {', '.join(told)}{more}"


def _error_lines(error: RecordedError, comparison: Comparison) -> Iterator[str]:
    yield f"{shown(error.host.recording)}, {error.where}, on {error.host.name} at {error.at_ns / 1e9:.6f} s"
    yield f"  {'error':9} {shown(title(error))}"
    for double in error.doubles:
        yield f"  {'double':9} {double}"
    for note in error.notes:
        yield f"  {'note':9} {shown(note)}"
    if error.skipped:
        yield f"  {'result':9} not put through: {shown(error.skipped)}"
        return
    for name, aspect in comparison._asdict().items():
        yield f"  {name:9} {aspect.verdict}: {shown(aspect.says)}"
        yield from _difference_lines(aspect)


def _difference_lines(aspect: Aspect) -> Iterator[str]:
    blanks = [difference for difference in aspect.lines if difference.why == BLANKS]
    if blanks:
        yield f"    {_count(len(blanks), 'line')} from line {blanks[0].number} on: {BLANKS}"
    others = [difference for difference in aspect.lines if difference.why != BLANKS]
    for difference in others[:DIFFERENCES_MAX]:
        place = f"line {difference.number}" if difference.number else "added"
        yield f"    {place}, {difference.why}"
        for side, text in (("recorded", difference.recorded), ("model", difference.modelled)):
            if text is not None:
                yield f"      {side:9}{shown(text)}"
    if len(others) > DIFFERENCES_MAX:
        yield f"    ... and {_count(len(others) - DIFFERENCES_MAX, 'further line')}"


def title(error: RecordedError) -> str:
    """An error in a few words."""
    if error.kind is ErrorKind.SERROR:
        return f"SError on PE {error.pe}, ESR {error.esr:#x}"
    if error.kind is ErrorKind.SEA:
        far = f", FAR {error.far:#x}" if error.far else ""
        return f"{SEA_SIGNALS[error.esr & DFSC_MASK].name} on PE {error.pe}, ESR {error.esr:#x}{far}"
    if not error.block:
        return f"{error.kind.value} of {_count(len(error.lines), 'line')}"
    entries = StatusBlock.decode(error.block).entries
    sections = ", ".join(_section(entry, error.severity) for entry in entries) or "no section"
    return f"{error.kind.value}, source {error.source_id}, {severity_name(error.severity)}: {sections}"


def _section(entry: DataEntry, severity: int) -> str:
    """One section: its type, and its own severity where the block has another."""
    name = section_name(entry.section_type)
    known = name if name != "unknown" else f"unknown section {guid_text(entry.section_type)}"
    return known if entry.error_severity == severity else f"{known} ({severity_name(entry.error_severity)})"


def _table(imported: Imported) -> Iterator[str]:
    head: tuple[str, ...] = ("recording", "host", "lines", "understood", "not", "errors", *_VERDICTS)
    rows = [head]
    rows += [_row(imported, recording, host) for recording in imported.recordings for host in recording.hosts]
    totals = tuple(str(sum(int(row[index]) for row in rows[1:])) for index in range(2, len(head)))
    rows.append(("in all", "", *totals))
    widths = [max(len(row[index]) for row in rows) for index in range(len(head))]
    for row in rows:
        names = "  ".join(word.ljust(width) for word, width in zip(row[:2], widths[:2], strict=True))
        counts = "  ".join(word.rjust(width) for word, width in zip(row[2:], widths[2:], strict=True))
        yield f"{names}  {counts}"


def _row(imported: Imported, recording: Recording, host: RecordedHost) -> tuple[str, ...]:
    verdicts = Counter(compared.comparison.verdict for compared in imported.compared[host.name])
    counts = (
        host.line_count,
        host.understood,
        host.not_understood,
        len(host.errors),
        *(verdicts[verdict] for verdict in Verdict),
    )
    return (shown(recording.name), host.name, *(str(count) for count in counts))


def as_object(imported: Imported) -> dict[str, Any]:
    """The report as one object."""
    summary = imported.summary
    return {
        "recordings": [_recording_object(imported, recording) for recording in imported.recordings],
        "matches": _verdicts(imported)[Verdict.SAME],
        "differs": _verdicts(imported)[Verdict.DIFFERS],
        "not_recorded": _verdicts(imported)[Verdict.NOT_RECORDED],
        "not_printed_by_linux": NOT_PRINTED,
        "faults": summary.faults,
        "commands": summary.commands,
        "events": summary.events,
        "outcomes": summary.outcomes,
        "ledger": summary.ledger,
        "digest": summary.digest,
        "seconds": round(imported.seconds, 3),
        "out": imported.out,
        "interrupted": summary.interrupted,
    }


def _verdicts(imported: Imported) -> Counter[Verdict]:
    return Counter(compared.comparison.verdict for pairs in imported.compared.values() for compared in pairs)


def _recording_object(imported: Imported, recording: Recording) -> dict[str, Any]:
    return {
        "name": recording.name,
        "kind": recording.kind,
        "bytes": recording.size,
        "lines": recording.line_count,
        "understood": recording.understood,
        "not_understood": recording.not_understood_count,
        "lines_not_understood": [_line_object(line) for line in recording.not_understood],
        "lines_about_something_else": recording.other,
        "hosts": [_host_object(host) for host in recording.hosts],
        "errors": [_error_object(*compared) for compared in _errors(imported, recording)],
    }


def _line_object(line: TextLine) -> dict[str, Any]:
    return {"line": line.number, "text": shown(line.text)}


def _host_object(host: RecordedHost) -> dict[str, Any]:
    return {
        "host": host.name,
        "recorded_name": shown(host.recorded_name),
        "recorded_kernel": shown(host.version),
        "kernel": host.kernel,
        "kernel_why": shown(host.kernel_why),
        "errors": len(host.errors),
        "loose_outcomes": [{"line": outcome.line, "says": shown(outcome.says)} for outcome in host.loose],
    }


def _error_object(error: RecordedError, modelled: Modelled, comparison: Comparison) -> dict[str, Any]:
    return {
        "host": error.host.name,
        "kind": error.kind.value,
        "first": error.first,
        "last": error.last,
        "unit": "byte" if error.in_bytes else "line",
        "time_ns": error.at_ns,
        "title": title(error),
        "severity": severity_name(error.severity) if error.block else None,
        "source_id": error.source_id,
        "esr": hex(error.esr) if error.kind in {ErrorKind.SERROR, ErrorKind.SEA} else None,
        "far": hex(error.far) if error.far else None,
        "block": error.block.hex(),
        "addresses": [hex(address) for address in error.addresses],
        "cut_off": error.cut,
        "put_through": not error.skipped,
        "doubles": error.doubles,
        "notes": [shown(note) for note in error.notes],
        "recorded_outcomes": [
            {"line": outcome.line, "kind": outcome.kind.value, "says": shown(outcome.says)}
            for outcome in error.outcomes
        ],
        "model_read": modelled.severity != NOT_READ,
        "model_printed": modelled.printed,
        "model_outcomes": [{"kind": outcome.kind.value, "says": outcome.says} for outcome in modelled.outcomes],
        "verdict": comparison.verdict.value,
        "comparison": {name: _aspect_object(aspect) for name, aspect in comparison._asdict().items()},
    }


def _aspect_object(aspect: Aspect) -> dict[str, Any]:
    return {
        "verdict": aspect.verdict.value,
        "says": shown(aspect.says),
        "lines": [
            {
                "line": difference.number or None,
                "recorded": None if difference.recorded is None else shown(difference.recorded),
                "model": None if difference.modelled is None else shown(difference.modelled),
                "why": difference.why,
                "differs": difference.counts,
            }
            for difference in aspect.lines
        ],
    }


def shown(text: str) -> str:
    """Text of a recording as a terminal may have it."""
    return "".join(character if character.isprintable() else json.dumps(character)[1:-1] for character in text)


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
