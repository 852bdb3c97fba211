"""Carries recordings through a run into a log, and sets what came of them beside what is recorded."""

from collections.abc import Sequence
from pathlib import Path

from fleet import __version__
from fleet.engine.console import carry_out
from fleet.log.files import FileLog
from fleet.manifest import IMPORT, Manifest, Options
from fleet.recordings.compare import Compared, compare
from fleet.recordings.model import RecordedHost, Recording
from fleet.recordings.outcomes import Modelled, outcomes_of
from fleet.recordings.plan import NAME, ImportPlan
from fleet.recordings.report import Imported


def carry(recordings: Sequence[Recording], out: Path) -> Imported:
    """Run what was read. Raises LogError, ScenarioError."""
    plan = ImportPlan(recordings)
    manifest = Manifest(
        name=NAME,
        scenario=plan.text,
        options=Options(),
        seed=plan.scenario.seed,
        start=plan.scenario.start,
        partitions=plan.scenario.partitions,
        source=IMPORT,
        version=__version__,
    )
    log = FileLog.create(out, manifest)
    summary, seconds = carry_out(log, plan)
    modelled = outcomes_of(log, plan.hosts)
    compared = {host.name: _compared(host, modelled[host.name]) for host in plan.hosts}
    return Imported(recordings, compared, summary, str(out), seconds)


def _compared(host: RecordedHost, modelled: Sequence[Modelled]) -> list[Compared]:
    """Every error on both sides; nothing came of one that was not put through."""
    came = iter(modelled)
    compared = []
    for error in host.errors:
        model = Modelled() if error.skipped else next(came)
        compared.append(Compared(error, model, compare(error, model)))
    return compared
