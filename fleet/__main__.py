"""The command ``rasfleet``: one table of commands, each loaded only when it is called.

Exit codes: 0, 1 an expectation failed or bytes differ, 2 usage or scenario, 3 no broker answers or lets
anybody in, 4 corrupt data, 130 interrupted, 141 the reader of the output is gone.
"""

import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import Final

import click

from fleet import __version__
from fleet.terminal import wants_plain

DIFFERS: Final = 1
CORRUPT: Final = 4
UNREACHABLE: Final = 3
USAGE: Final = 2
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141  # 128 + SIGPIPE, as shells say it; 1 would be a difference found
DEFECT: Final = 70  # sysexits.h EX_SOFTWARE
TRACEBACK: Final = "RASFLEET_TRACEBACK"  # environment: show where a failure comes from
COMMANDS: Final = {  # name -> what it does, in the order of help
    "run": "Run a scenario: a fault storm through many hosts.",
    "worker": "Join a run on Kafka and work on its partitions.",
    "resume": "Carry a run on that was stopped, cut off, or sent further commands.",
    "inject": "Send a fault to a host of a run.",
    "trace": "Send one fault through one host, and show what each level does.",
    "decode": "Show a syndrome, register, record or table as fields with their meaning.",
    "sample": "Write varied status blocks or CPER records, for testing what reads them.",
    "hest": "Build the table of error sources: a host's, or a guest's as QEMU builds it.",
    "import": "Put recorded errors through the stack, and compare the outcome.",
    "tail": "Print the events of a run.",
    "info": "Say what a run is and holds.",
    "state": "Show a host's registers, records, pages, guests and ledger at a time.",
    "verify": "Run a run again and compare every event.",
    "log": "Look after a run's log: verify, copy.",
    "runs": "List the runs that Kafka keeps.",
    "topics": "Show a run's topics on Kafka, make or remove them.",
    "validate": "Check a scenario and print its plan.",
    "schema": "Print the JSON Schema of scenarios, events and commands, or what topics hold.",
}


class Lazy(click.Group):
    """Commands that are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (what click calls)
        """The names, in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, from its module."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"fleet.commands.{cmd_name.replace('import', 'import_')}")
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> object:
        """The command. A reader of its output that has read enough ends it, as SIGPIPE would; click says 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _drop_output()
            raise click.exceptions.Exit(BROKEN_PIPE) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _drop_output() -> None:
    """Python flushes at its end what is not written yet, and would wait for a reader that is gone or asleep."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: ARG001, FBT001
    """The version, and the number of what runs must have in common to be the same."""
    from fleet.manifest import BEHAVIOUR

    if value and not ctx.resilient_parsing:
        click.echo(f"rasfleet, version {__version__}, behaviour {BEHAVIOUR}")
        ctx.exit()


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 115})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_say_version, help="Show it, and exit."
)
def cli() -> None:
    """Simulate hardware errors in a fleet of Arm servers, from the error record to the guest's kernel."""


def main() -> None:
    """Run a command; whatever goes wrong is one line and an exit code."""
    if sys.stdout is None:  # else the first file that is opened, a log's perhaps, would take its place
        click.echo("rasfleet: standard output is closed; send it to /dev/null if nobody is to read it", err=True)
        sys.exit(USAGE)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends a command wherever it is, as SIGINT does
    try:
        code = cli.main(prog_name="rasfleet", standalone_mode=False, color=False if wants_plain() else None)
    except (click.exceptions.Abort, KeyboardInterrupt):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # it ends already: another one changes nothing
        _drop_output()
        sys.exit(INTERRUPTED)
    except click.ClickException as fault:
        fault.show()
        sys.exit(fault.exit_code)
    except Exception as fault:
        if TRACEBACK in os.environ:
            raise
        code, said = _explained(fault)
        click.echo(f"rasfleet: {said}", err=True)
    sys.exit(code)


def _explained(fault: Exception) -> tuple[int, str]:
    """The exit code of a failure, and one line about it."""
    from fleet.log.protocol import Contradiction, CorruptLog, LogError, Unreachable
    from fleet.scenario.scenario_errors import ScenarioError
    from fleet.scenario.times import NoTime
    from nodes.spec.layout import Malformed

    while isinstance(fault, ExceptionGroup):  # of a run's tasks; the first one ended the others
        fault = fault.exceptions[0]
    if isinstance(fault, Contradiction):
        return DIFFERS, str(fault)
    if isinstance(fault, CorruptLog | Malformed):
        return CORRUPT, str(fault)
    if isinstance(fault, Unreachable):
        return UNREACHABLE, str(fault)
    if isinstance(fault, LogError | ScenarioError | NoTime):
        return USAGE, str(fault)
    if isinstance(fault, OSError):
        return USAGE, f"{fault.filename or 'the system'}: {fault.strerror or fault}"
    return DEFECT, f"a defect of rasfleet, {type(fault).__name__}: {fault} ({TRACEBACK}=1 shows where)"


if __name__ == "__main__":
    main()
