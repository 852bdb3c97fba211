"""The disk as the log uses it: a file that is put is there as it was given, whatever a crash left."""

import pytest

from fleet.log.disk import DISK


def test_what_a_crash_left_of_a_file_is_not_in_the_next_one(tmp_path):
    (tmp_path / "summary.part").write_bytes(b"what was being written, and more of it")
    DISK.put(tmp_path / "summary.json", b"whole")

    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("summary.json", b"whole")]


def test_a_file_that_cannot_be_put_leaves_the_old_one(tmp_path, monkeypatch):
    DISK.put(tmp_path / "summary.json", b"old")

    def refuse(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fdatasync", refuse)
    with pytest.raises(OSError, match="No space left"):
        DISK.put(tmp_path / "summary.json", b"new")
    assert (tmp_path / "summary.json").read_bytes() == b"old"


def test_a_file_that_is_gone_already_can_be_removed(tmp_path):
    DISK.remove(tmp_path / "summary.json")

    assert list(tmp_path.iterdir()) == []
