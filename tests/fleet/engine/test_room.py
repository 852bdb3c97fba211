"""What a run will take is told before it begins, and a disk that will not hold it is said."""

import pytest

from fleet.engine.estimate import Estimate
from fleet.engine.room import Room, check_room, room_for, size_in_words
from fleet.log.protocol import LogError
from tests.runs import plan_of, rasfleet

NEED = Estimate(commands=10, events=100, size_bytes=1000)


def test_the_disk_of_a_folder_that_is_not_there_yet_is_that_of_its_parents(tmp_path):
    room = room_for(NEED, tmp_path / "a" / "b" / "c", workers=2)

    assert room.total_bytes >= room.free_bytes > 0
    assert room.suffices


def test_more_workers_take_less_time(tmp_path):
    estimate = Estimate(1_000_000, 8_000_000, 1)

    assert room_for(estimate, tmp_path, workers=1).seconds > 1.9 * room_for(estimate, tmp_path, workers=2).seconds


@pytest.mark.parametrize(("free", "suffices"), [(1020, True), (1019, False), (0, False)])
def test_something_of_the_disk_stays_free(tmp_path, free, suffices):
    room = Room(NEED, 1.0, free, 1000)

    assert room.suffices is suffices
    if not suffices:
        said = r"takes about 1.0 kB, and the disk has .* left of 1.0 kB; .* go on with --yes"
        with pytest.raises(LogError, match=said):
            check_room(room, tmp_path)


SIZES = [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (2e12, "2.0 TB")]


@pytest.mark.parametrize(("size", "words"), SIZES)
def test_sizes_are_told_in_the_unit_that_people_use(size, words):
    assert size_in_words(size) == words


def test_the_bundled_storm_comes_to_about_what_was_told(tmp_path):
    rasfleet("run", "storm", "--hosts", "20", "--faults", "2000", "--out", tmp_path / "run", "--json")
    estimate = plan_of(hosts=20, faults=2000).estimate()
    size = sum(path.stat().st_size for path in (tmp_path / "run").rglob("*.log"))

    assert 0.7 < estimate.events / 17_994 < 1.4
    assert 0.5 < estimate.size_bytes / size < 2
