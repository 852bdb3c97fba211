"""``rasfleet hest``: the table of error sources, as a host's firmware or as QEMU builds it."""

import json
import sys
from typing import Final

import click

LIKE: Final = ("qemu-7.2", "qemu-10.0", "qemu-11.1")
NOTIFICATIONS: Final = ("sdei", "sea", "gsiv", "gpio", "polled")
HOST_BASE: Final = 0x7F00_0000  # where the host's firmware keeps its block addresses; assumed
SOURCES_MAX: Final = 2  # error sources that QEMU knows

HELP: Final = """Build a Hardware Error Source Table: hex in one line, or decoded.

Without --like it is the table of the simulated host's firmware; with it, the one that this QEMU builds for a guest
(-M virt,ras=on). --base is the address of the first error_block_address, in the blob that follows the table's
addresses; by default it is where a simulated guest's firmware puts it.
"""


@click.command(help=HELP)
@click.option("--like", type=click.Choice(LIKE), help="As this QEMU builds it.")
@click.option("--base", metavar="A", help="Address of the first error_block_address.")
@click.option(
    "--sources", type=click.IntRange(1, SOURCES_MAX), help="Sources, with --like; QEMU's own count by default."
)
@click.option(
    "--notification",
    type=click.Choice(NOTIFICATIONS),
    default="sdei",
    show_default=True,
    help="How the host's firmware notifies, without --like.",
)
@click.option("--decode", "decoded", is_flag=True, help="Show the fields.")
@click.option("--json", "as_json", is_flag=True, help="Show the fields as one JSON object.")
def hest(
    like: str | None, base: str | None, sources: int | None, notification: str, *, decoded: bool, as_json: bool
) -> None:
    """Build a Hardware Error Source Table."""
    if like is None and sources is not None:
        raise click.UsageError(
            "--sources goes with --like: the host's firmware has one source for each component."
        )
    table = _of_host(notification, base) if like is None else _like(like.removeprefix("qemu-"), base, sources)
    if not (decoded or as_json):
        click.echo(table.hex())
        return
    from fleet.decode.kinds import Options, decode
    from fleet.decode.text import write
    from nodes.spec.arm_section import Dialect

    view = decode("hest", table, Options(Dialect.MASK_2_9A, "16", "cache"))
    if as_json:
        click.echo(json.dumps(view.fields))
    else:
        write(view, sys.stdout)


def _address(text: str | None, default: int) -> int:
    if text is None:
        return default
    try:
        address = int(text, 0)
    except ValueError:
        address = -1
    if not 0 <= address < 1 << 63:
        raise click.BadParameter(f"{text!r}: expected an address such as 0x415c0000", param_hint="--base")
    return address


def _of_host(notification: str, base: str | None) -> bytes:
    from nodes.el3.sources import host_hest
    from nodes.policy import NotificationSwitch

    return host_hest(NotificationSwitch(notification), _address(base, HOST_BASE))


def _like(version: str, base: str | None, sources: int | None) -> bytes:
    from nodes.apei.qemu_tables import HardwareErrors, qemu_hest
    from nodes.policy import Qemu, Switches
    from nodes.stack.platform import HostShape, platform_of

    platform = platform_of(HostShape(), Switches(qemu=Qemu(version)))
    placed = platform.hardware_errors()
    assert placed is not None, "a guest's firmware runs the loader by default"
    count = platform.qemu.source_count if sources is None else sources
    return qemu_hest(HardwareErrors(_address(base, placed.base), count), count)


command = hest
