"""``hest``: byte for byte what QEMU built."""

import json

import pytest

from tests.cli import rasfleet

ONE = (
    "484553548400000001e2424f434853204258504320202020010000004258504301000000010000000a000000ffff0001010000000100"
    "000000040000004000040000415c00000000081c000000000000000000000000000000000000000000000000000000040000004000"
    "040800415c00000000feffffffffffffff0100000000000000"
)
TWO = (
    "48455354e000000001c8424f434853204258504320202020010000004258504301000000020000000a000000ffff0001010000000100"
    "000000040000004000040000ea5c00000000081c000000000000000000000000000000000000000000000000000000040000004000"
    "041000ea5c00000000feffffffffffffff01000000000000000a000100ffff0001010000000100000000040000004000040800ea5c"
    "00000000071c000000000000000000000000000000000000000000000000000000040000004000041800ea5c00000000feffffffff"
    "ffffff0100000000000000"
)


@pytest.mark.parametrize(
    ("words", "table"),
    [
        (("--like", "qemu-7.2", "--base", "0x5c410000"), ONE),
        (("--like", "qemu-10.0", "--base", "0x5c410000"), ONE),
        (("--like", "qemu-11.1", "--base", "0x5c410000", "--sources", "1"), ONE),
        (("--like", "qemu-11.1", "--base", "0x5cea0000"), TWO),
        (("--like", "qemu-10.0", "--base", "0x5cea0000", "--sources", "2"), TWO),
    ],
)
def test_as_qemu_builds_it(words, table):
    assert rasfleet("hest", *words).out == table + "\n"


def test_decoded_fields_come_from_the_bytes():
    told = json.loads(rasfleet("hest", "--like", "qemu-11.1", "--json").out)
    assert told == json.loads(
        rasfleet("decode", "hest", rasfleet("hest", "--like", "qemu-11.1").out, "--json").out
    )
    assert "source 1: ghes v2" in rasfleet("hest", "--like", "qemu-11.1", "--decode").out


@pytest.mark.parametrize("notification", ["sdei", "sea", "gsiv", "gpio", "polled"])
def test_the_hosts_own_table_is_a_valid_one(notification):
    table = bytes.fromhex(rasfleet("hest", "--notification", notification).out)
    assert sum(table) % 256 == 0
    assert rasfleet("decode", "hest", table.hex()).code == 0


@pytest.mark.parametrize(
    "words", [("--base", "zz", "--like", "qemu-7.2"), ("--sources", "2"), ("--like", "qemu-9"), ("--base", "-1")]
)
def test_bad_words(words):
    assert rasfleet("hest", *words).code == 2
