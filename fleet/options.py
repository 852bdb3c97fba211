"""Options that several commands have: how fast virtual time goes, and where metrics are shown.

Help of a command imports this, so what they mean is imported only where it is asked for.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from fleet.manifest import Manifest
    from fleet.service.metrics import Meter
    from fleet.service.serving import Address


class _Text(click.ParamType):  # type: ignore[type-arg]  # generic only in later versions
    """A text that means something else."""

    def __init__(self, name: str, meaning: Callable[[str], object]) -> None:
        self.name = name
        self._meaning = meaning

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """What it means."""
        if not isinstance(value, str):
            return value
        try:
            return self._meaning(value)
        except ValueError as fault:
            self.fail(str(fault), param, ctx)


def _speed(text: str) -> float | None:
    from fleet.engine.pace import speed_of

    return speed_of(text)


def _address(text: str) -> "Address":
    from fleet.service.serving import address_of

    return address_of(text)


at_speed: Final = click.option(
    "--speed",
    type=_Text("speed", _speed),
    metavar="SPEED",
    help="Virtual seconds in a real one: 1x, 60x, 0.5x; max by default, as fast as it goes.",
)
with_metrics: Final = click.option(
    "--metrics",
    type=_Text("address", _address),
    metavar="[ADDRESS:]PORT",
    help="Show /metrics, /healthz and /readyz there; on loopback unless an address is named.",
)


@contextmanager
def metered(
    address: "Address | None", manifest: "Manifest", run: str, group: str, say: Callable[[str], None]
) -> "Iterator[Meter | None]":
    """What a process shows of itself, where that is asked for. Raises OSError."""
    if address is None:
        yield None
        return
    from fleet.service.metrics import identity_of, shown_at

    with shown_at(address, identity_of(manifest, run, group), say) as meter:
        yield meter
