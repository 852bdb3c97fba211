"""The published vectors: bytes or a word, and what they mean.

Each vector whose kind `decode` covers is decoded; every key of its meaning that is not prose stands in the result
with an equal value of the same type. Kinds that belong to a floor of the host are tested there.
"""

import json
from pathlib import Path

import pytest

from fleet.decode.kinds import Options, decode
from nodes.spec.err import ErrStatus, RecordFormat, status_written
from nodes.spec.severity import Aet, ghes_severity
from nodes.spec.syndrome import serror_esr, serror_iss

VECTORS = json.loads((Path(__file__).parent / "golden" / "vectors.json").read_text())["vectors"]
PROSE = {"linux", "why", "note", "effect", "warning", "decoded"}

DECODED_AS = {  # kind of a vector: kind of `decode`
    "esr": "esr",
    "esr_encode": "esr",
    "vsesr_to_esr_el1": "vsesr",
    "disr_to_esr": "disr",
    "arm_error_info": "errinfo",
    "arm_pei_type": "errtype",
    "err_status": "errstatus",
    "err_fr": "errfr",
    "err_addr": "erraddr",
    "err_misc0": "errmisc0",
    "err_ctlr": "errctlr",
    "ghes_block_prefix": "blockprefix",
    "ghes_block": "block",
    "hest_table": "hest",
    "guid": "guid",
    "cper_record": "cper",
    "mem_section": "memory",
    "mem2_section": "memory2",
    "arm_section": "arm",
    "arm_ras_section": "armras",
    "fw_section": "firmware",
}
WORD_OF = {"vsesr_to_esr_el1": "vsesr", "disr_to_esr": "disr", "arm_pei_type": "type"}  # key of the value
TESTED_HERE = {"severity", "w1c"}
TESTED_WITH_THEIR_FLOOR = {
    "kvm_set_events",
    "vesb",
    "serror_route",
    "read_ack",
    "qemu_hardware_errors",
    "record_overwrite",
}


def of_kind(*kinds):
    return pytest.mark.parametrize(
        "vector", [v for v in VECTORS if v["kind"] in kinds], ids=lambda vector: vector["name"]
    )


def decoded(vector):
    value = vector["value"]
    word = value[WORD_OF[vector["kind"]]] if vector["kind"] in WORD_OF else value
    error = vector["meaning"].get("type", "cache") if vector["kind"] == "arm_error_info" else "cache"
    return decode(DECODED_AS[vector["kind"]], word.encode(), Options(error=error)).fields


def as_json(value):
    return json.dumps(value, sort_keys=True)


def test_all_vectors_are_there_and_every_kind_has_its_place():
    assert len(VECTORS) == 69
    assert {v["kind"] for v in VECTORS} == set(DECODED_AS) | TESTED_HERE | TESTED_WITH_THEIR_FLOOR


@of_kind(*DECODED_AS)
def test_every_key_of_the_meaning_is_decoded_with_an_equal_value(vector):
    fields = decoded(vector)

    meaning = {key: value for key, value in vector["meaning"].items() if key not in PROSE}
    assert {key: as_json(fields[key]) for key in meaning} == {key: as_json(meaning[key]) for key in meaning}


@pytest.mark.parametrize("vector", [v for v in VECTORS if "linux" in v["meaning"]], ids=lambda v: v["name"])
def test_where_the_vector_says_what_linux_does_so_does_the_result(vector):
    outcome = decoded(vector)["linux"]

    said = vector["meaning"]["linux"]
    assert ("panic" in outcome or "fatal" in outcome) == (
        "panic" in said or said == "fatal" or "non-fatal" in said
    )
    assert ("non-fatal" in outcome) == ("non-fatal" in said)


@of_kind("esr_encode")
def test_an_esr_is_built_from_the_state_of_the_pe(vector):
    built = serror_esr(serror_iss(Aet[vector["meaning"]["AET"]]))

    assert f"0x{built:x}" == vector["value"]


@of_kind("vsesr_to_esr_el1")
def test_the_guest_sees_the_virtual_syndrome(vector):
    assert decoded(vector)["esr_el1"] == vector["value"]["esr_el1"]


@of_kind("severity")
def test_severities_are_placed_as_linux_places_them(vector):
    assert [ghes_severity(severity) for severity in vector["value"]["cper"]] == vector["meaning"]["ghes"]


@of_kind("w1c")
def test_a_write_to_the_status_clears_all_or_nothing(vector):
    value = vector["value"]

    after = status_written(int(value["status"], 16), int(value["write"], 16), RecordFormat(value["rev"]))

    if "after" in vector["meaning"]:
        assert f"0x{after:x}" == vector["meaning"]["after"]
    else:
        assert vector["meaning"]["after_V"] == ErrStatus(after).V
