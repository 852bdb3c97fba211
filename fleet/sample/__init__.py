"""Varied status blocks and CPER records, valid or broken, for those who test readers of them.

A sample is a pure function of (seed, what is asked for, index): the first hundred of a thousand are the same as
a hundred. ``make`` gives its bytes and its description, which for a valid one is the decoded view.
"""

from typing import Final, NamedTuple

from fleet.decode.kinds import Options, decode
from fleet.decode.view import Json
from fleet.sample.broken import BLOCK_BREAKS, RECORD_BREAKS
from fleet.sample.containers import block_of, kinds_of, record_with
from fleet.scenario.draws import Stream
from nodes.linux.estatus import check
from nodes.spec.layout import Malformed

BLOCK: Final = "block"
RECORD: Final = "cper"
KINDS: Final = (BLOCK, RECORD)
_BREAKS: Final = {BLOCK: BLOCK_BREAKS, RECORD: RECORD_BREAKS}


class Sample(NamedTuple):
    """One sample and what is to be known of it."""

    octets: bytes
    described: dict[str, Json]


def make(kind: str, seed: int, index: int) -> Sample:
    """Valid sample ``index`` of a seed; ``kind`` is BLOCK or RECORD."""
    stream = Stream(seed, f"sample.{kind}", index)
    kinds = kinds_of(stream, index)
    octets = (block_of if kind == BLOCK else record_with)(stream, kinds).encode()
    described = decode(kind, octets, Options()).fields
    return Sample(octets, {**described, "seed": seed, "index": index, "drawn": [body.name for body in kinds]})


def make_malformed(kind: str, seed: int, index: int) -> Sample:
    """Broken sample ``index`` of a seed; the ways to be wrong follow each other."""
    broken = _BREAKS[kind][index % len(_BREAKS[kind])]
    octets = broken.make(Stream(seed, f"sample.{kind}.malformed", index))
    described: dict[str, Json] = {"kind": kind, "seed": seed, "index": index, "wrong": broken.what}
    try:
        decode(kind, octets, Options())
    except Malformed as fault:
        described |= {"malformed": fault.reason, "offset": fault.offset, "what": fault.what}
    else:
        raise AssertionError(f"{kind} {index} of seed {seed} should be refused: {broken.what}")
    if kind == BLOCK:
        described["linux"] = check(octets) or "accepted"
    return Sample(octets, described)
