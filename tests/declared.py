"""Everything that nodes.spec declares, and test strategies made from the declarations."""

import importlib
import pkgutil

import pytest
from hypothesis import strategies as st

import nodes.spec
from nodes.spec.bits import Register
from nodes.spec.layout import Layout

WIDTHS = {"B": 8, "H": 16, "I": 32, "Q": 64}  # bits of a format character

for module in pkgutil.iter_modules(nodes.spec.__path__):
    importlib.import_module(f"nodes.spec.{module.name}")


def declared_in_spec(base):
    return sorted(
        (kind for kind in base.__subclasses__() if kind.__module__.startswith("nodes.spec.")),
        key=lambda k: k.__name__,
    )


LAYOUTS = declared_in_spec(Layout)
REGISTERS = declared_in_spec(Register)
every_layout = pytest.mark.parametrize("kind", LAYOUTS, ids=lambda kind: kind.__name__)
every_register = pytest.mark.parametrize("kind", REGISTERS, ids=lambda kind: kind.__name__)


def values_of(code):
    """Values of one field, by its format character."""
    if code.endswith("s"):
        return st.binary(min_size=int(code[:-1]), max_size=int(code[:-1]))
    return st.integers(0, (1 << WIDTHS[code]) - 1)


def structures(kind):
    """Structures of a declared kind with any value in every field."""
    return st.builds(kind, **{name: values_of(code) for name, code in kind.wire.items()})


def words(kind):
    """Any value of a register."""
    return st.integers(0, (1 << kind.width) - 1).map(kind)


def mutated(originals):
    """Some bytes of an original replaced, or its end cut off."""
    place = st.tuples(st.floats(0, 1, exclude_max=True), st.sampled_from([0, 1, 0x7F, 0x80, 0xFE, 0xFF]))

    def changed(original, places, keep):
        octets = bytearray(original)
        for share, value in places:
            octets[int(share * len(octets))] = value
        return bytes(octets[: len(octets) - int(keep * len(octets))])

    return st.builds(
        changed,
        st.sampled_from(originals),
        st.lists(place, max_size=6),
        st.sampled_from([0, 0, 0, 0.01, 0.3, 0.9]),
    )
