"""``rasfleet decode``: any syndrome, register, record or table as fields with their meaning."""

import json
import sys
from typing import Final, TypedDict, Unpack

import click

CORRUPT: Final = 4  # exit code: the bytes are no such thing
KERNELS: Final = ("6.1", "6.12", "6.19")
DIALECTS: Final = ("enumeration", "2.9A", "2.11")
FORMATS: Final = ("16", "8", "16-pair", "8-pair", "none")
ERRORS: Final = ("cache", "tlb", "bus", "micro-arch")

HELP: Final = """Show a value as fields with their meaning.

VALUE is hex: 0x411, plain bytes with or without spaces, or the text of xxd, hexdump or od; or a FILE with bytes
or such text; or - for standard input. KIND is guessed where it can be: bytes by their signature, else they are a
status block; a number as ESR_ELx of an SError or an abort, as DISR_EL1, or as a valid ERR<n>STATUS.

\b
Syndromes   esr disr vdisr vsesr
Records     errstatus errfr errctlr erraddr errmisc0 errpfgf errpfgctl errpfgcdn erridr errselr
Control     scr hcr sctlr spsr (pstate) isr
Words       guid timestamp errinfo errtype
Containers  block blockprefix cper
Sections    memory memory2 arm armras pcie processor firmware
Tables      hest aest bert

Bytes that are no such thing: exit code 4, with the offset and the reason.
"""


class Given(TypedDict):
    """The options of the command line."""

    as_json: bool
    reader: str | None
    kernel: str
    source_id: int
    dialect: str
    misc0: str
    error: str


@click.command(help=HELP)
@click.argument("words", nargs=-1, required=True, metavar="[KIND] VALUE|FILE|-")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--as", "reader", type=click.Choice(["linux"]), help="Print a status block as Linux prints it.")
@click.option("--kernel", type=click.Choice(KERNELS), default="6.12", show_default=True, help="For --as linux.")
@click.option(
    "--source-id",
    type=click.IntRange(0, 0xFFFF),
    default=0,
    show_default=True,
    help="For --as linux: the error source that Linux names.",
)
@click.option(
    "--dialect",
    type=click.Choice(DIALECTS),
    default="2.9A",
    show_default=True,
    help="How the type byte of ARM error information is read.",
)
@click.option(
    "--format", "misc0", type=click.Choice(FORMATS), default="16", show_default=True, help="Counters of errmisc0."
)
@click.option(
    "--type", "error", type=click.Choice(ERRORS), default="cache", show_default=True, help="Whose word errinfo is."
)
def decode(words: tuple[str, ...], **given: Unpack[Given]) -> None:
    """Show a value as fields with their meaning."""
    from nodes.spec.layout import Malformed

    kind, value = _split(words)
    try:
        if given["reader"] is None:
            _show(kind, value, given)
        else:
            _show_as_linux(kind, value, given)
    except Malformed as fault:
        click.echo(f"rasfleet decode: {fault}", err=True)
        raise SystemExit(CORRUPT) from None


def _split(words: tuple[str, ...]) -> tuple[str | None, str]:
    """The kind, if one is named, and the value."""
    from fleet.decode.kinds import KINDS

    if words[0].lower() in KINDS:
        if len(words) == 1:
            raise click.UsageError(f"Give a value, a file or - after {words[0]!r}.")
        return words[0].lower(), " ".join(words[1:])
    if len(words) > 1 and not all(set(word) <= set("0123456789abcdefABCDEFxX,") for word in words):
        from difflib import get_close_matches

        near = get_close_matches(words[0].lower(), KINDS, 1)
        raise click.UsageError(f"There is no kind {words[0]!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
    return None, " ".join(words)


def _content(value: str) -> bytes:
    from fleet.decode.given import NotGiven, load

    try:
        return load(value, sys.stdin.buffer)
    except NotGiven as fault:
        raise click.UsageError(str(fault)) from None


def _show(kind: str | None, value: str, given: Given) -> None:
    from fleet.decode import kinds
    from fleet.decode.text import write
    from nodes.spec.arm_section import Dialect
    from nodes.spec.layout import Malformed

    options = kinds.Options(Dialect(given["dialect"]), given["misc0"], given["error"])
    content = _content(value)
    try:
        guessed = kind or kinds.guess(content)
    except kinds.Unclear as fault:
        raise click.UsageError(f"{fault} ({', '.join(kinds.KINDS)}).") from None
    try:
        view = kinds.decode(guessed, content, options)
    except Malformed as fault:
        taken = "" if kind else f" (taken for {guessed!r}; another kind has to be named)"
        raise Malformed(fault.what, fault.offset, f"{fault.reason}{taken}") from None
    if given["as_json"]:
        click.echo(json.dumps(view.fields))
    else:
        write(view, sys.stdout)


def _show_as_linux(kind: str | None, value: str, given: Given) -> None:
    from fleet.decode.given import octets_of
    from nodes.linux.dmesg import dmesg
    from nodes.policy import Kernel

    if kind not in {None, "block"}:
        raise click.UsageError(f"Linux prints status blocks, not {kind!r}.")
    lines = dmesg(octets_of(_content(value)), Kernel(given["kernel"]), source_id=given["source_id"])
    if given["as_json"]:
        click.echo(json.dumps({"kind": "block", "kernel": given["kernel"], "lines": lines}))
        return
    printed = "".join(f"{line}\n" for line in lines)
    if sys.stdout.isatty():  # a FRU text may hold anything: on a terminal it shows as dmesg(1) shows it
        printed = "".join(c if c == "\n" or " " <= c <= "~" else f"\\x{ord(c):02x}" for c in printed)
    click.echo(printed.encode("latin-1"), nl=False)


command = decode
