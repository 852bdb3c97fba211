"""``rasfleet decode`` as it is called."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from fleet.commands import decode as module
from fleet.commands.decode import command
from fleet.decode.arm import ERROR_KINDS
from fleet.decode.kinds import KINDS, Options, decode
from fleet.decode.registers import FORMATS
from fleet.sample import BLOCK, make, make_malformed
from fleet.sample.broken import BLOCK_BREAKS
from nodes.linux.dmesg import dmesg
from nodes.linux.estatus import check
from nodes.policy import Kernel
from nodes.spec.arm_section import Dialect

GOLDEN = Path(__file__).parents[2] / "golden" / "linux"


def run(*words, given=None):
    return CliRunner().invoke(command, [str(word) for word in words], input=given)


def test_json_is_one_object_of_the_decoded_fields():
    result = run("--json", "0xbe000411")

    assert result.exit_code == 0
    assert json.loads(result.stdout) == decode("esr", b"0xbe000411", Options()).fields


def test_a_kind_may_be_written_in_capitals():
    assert run("ESR", "0xbe000411").stdout == run("esr", "0xbe000411").stdout


def test_what_was_only_taken_for_a_block_is_said_to_be():
    assert "taken for 'block'" in run(bytes(8).hex() + "00").stderr
    assert "taken for" not in run("block", bytes(8).hex() + "00").stderr


def test_hex_may_come_in_several_words():
    assert json.loads(run("--json", "timestamp", "32", "04", "10", "01", "22", "11", "26", "20").stdout) == {
        "kind": "timestamp",
        "timestamp": "2026-11-22T10:04:32+00:00",
        "precise": True,
    }


def test_a_value_comes_from_a_file_or_from_standard_input(tmp_path):
    block = make(BLOCK, 0, 0).octets
    (tmp_path / "a.bin").write_bytes(block)
    (tmp_path / "a.hex").write_text(block.hex())

    printed = {run(tmp_path / "a.bin").stdout, run(tmp_path / "a.hex").stdout, run("-", given=block).stdout}

    assert len(printed) == 1


@pytest.mark.parametrize("broken", range(len(BLOCK_BREAKS)), ids=[row.what for row in BLOCK_BREAKS])
def test_what_is_no_such_thing_exits_with_4_and_one_line_of_offset_and_reason(broken, tmp_path):
    sample = make_malformed(BLOCK, 1, broken)
    (tmp_path / "x").write_bytes(sample.octets)

    result = run("block", tmp_path / "x")

    assert result.exit_code == 4
    assert result.stdout == ""
    assert f"at offset {sample.described['offset']}: {sample.described['malformed']}" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("esr",),
        ("xyz",),
        ("dsir", "0x1"),
        ("0x1811",),
        ("--kernel", "5.4", "0x1"),
        ("--dialect", "2.8", "0x1"),
        ("--as", "linux", "esr", "0xbe000411"),
    ],
)
def test_a_wrong_call_exits_with_2(words):
    assert run(*words).exit_code == 2


def test_a_mistyped_kind_is_corrected():
    assert "Did you mean 'disr'?" in run("dsir", "0x1").stderr


@pytest.mark.parametrize("kernel", ["6.1", "6.12", "6.19"])
def test_as_linux_prints_what_the_kernel_prints_with_the_line_of_the_source(kernel):
    block = bytes.fromhex(json.loads((GOLDEN / "observed-memory.json").read_text())["block"])

    result = run("--as", "linux", "--kernel", kernel, "--source-id", 7, block.hex())

    assert result.stdout.splitlines() == dmesg(block, Kernel(kernel), source_id=7)
    assert result.stdout.startswith("Hardware error from APEI Generic Hardware Error Source: 7\n")


def test_as_linux_keeps_every_byte_of_a_text():
    pair = json.loads((GOLDEN / "fru-text.json").read_text())

    result = run("--as", "linux", pair["block"])

    assert result.stdout_bytes.decode("latin-1").split("\n")[1:-1] == pair["6.12"]["printed"]


def test_as_linux_prints_a_section_that_decode_refuses():
    block = make_malformed(BLOCK, 1, 22).octets
    assert check(block) is None

    assert run("block", block.hex()).exit_code == 4
    assert run("--as", "linux", block.hex()).exit_code == 0


def test_as_linux_refuses_what_linux_refuses():
    block = json.loads((GOLDEN / "refused-long-entry.json").read_text())["block"]

    assert run("--as", "linux", block).exit_code == 4


def test_as_linux_in_json_has_the_lines():
    block = make(BLOCK, 0, 3).octets

    result = json.loads(run("--as", "linux", "--json", block.hex()).stdout)

    assert result["lines"] == dmesg(block, Kernel.V6_12, source_id=0)


def test_options_reach_the_decoder():
    assert json.loads(run("--json", "--type", "bus", "errinfo", "0x80d6460fff").stdout)["mem_attr"] == 32
    assert json.loads(run("--json", "--format", "8", "errmisc0", "0x7f00000000").stdout)["CEC"] == "0x7f"
    assert json.loads(run("--json", "--dialect", "2.11", "errtype", "1").stdout)["types"] == ["cache"]


def test_the_choices_are_those_of_the_decoder():
    assert set(module.FORMATS) == set(FORMATS)
    assert set(module.ERRORS) == set(ERROR_KINDS)
    assert set(module.DIALECTS) == {dialect.value for dialect in Dialect}
    assert set(module.KERNELS) == {kernel.value for kernel in Kernel}


def test_the_help_names_every_kind():
    printed = run("--help").stdout

    assert all(kind in printed for kind in KINDS)


@pytest.mark.parametrize("name", ["decode", "sample"])
def test_a_command_loads_nothing_heavy_before_it_is_called(name):
    loaded = f"import fleet.commands.{name}, sys; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    ).stdout.split()

    assert not {"msgspec", "numpy", "rich", "nodes.spec.layout", "fleet.decode.kinds"} & set(modules)
