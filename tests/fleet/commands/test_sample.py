"""``rasfleet sample`` as it is called."""

import json

from click.testing import CliRunner

from fleet.commands.sample import command
from fleet.sample import BLOCK, RECORD, make, make_malformed


def run(*words):
    return CliRunner().invoke(command, [str(word) for word in words])


def test_files_are_numbered_and_each_has_its_description(tmp_path):
    result = run("block", "--count", 3, "--seed", 9, "--out", tmp_path / "new")

    assert result.exit_code == 0
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == [
        f"000{i}.{suffix}" for i in range(3) for suffix in ("bin", "json")
    ]
    assert (tmp_path / "new" / "0002.bin").read_bytes() == make(BLOCK, 9, 2).octets
    assert json.loads((tmp_path / "new" / "0002.json").read_text()) == make(BLOCK, 9, 2).described


def test_broken_ones_say_what_is_wrong(tmp_path):
    run("cper", "--count", 2, "--malformed", "--out", tmp_path)

    described = json.loads((tmp_path / "0001.json").read_text())
    assert described == make_malformed(RECORD, 0, 1).described
    assert described["malformed"]
    assert described["offset"] >= 0


def test_a_folder_that_holds_something_is_refused(tmp_path):
    (tmp_path / "mine").write_text("precious")

    result = run("block", "--out", tmp_path)

    assert result.exit_code == 2
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_a_count_of_none_is_refused(tmp_path):
    assert run("block", "--count", 0, "--out", tmp_path / "new").exit_code == 2
    assert not (tmp_path / "new").exists()
