"""Partitions: the same ones that a Kafka producer would choose."""

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as aiokafkas
from hypothesis import given
from hypothesis import strategies as st

from fleet.partition import PARTITIONS_MAX, murmur2, partition_of, partitions_of

KAFKAS = {  # of Kafka's own tests: UtilsTest.testMurmur2(), hashes as Java's signed int
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", KAFKAS, ids=lambda key: key.decode()[:24])
def test_a_key_has_the_hash_that_kafka_gives_it(key):
    assert murmur2(key) == KAFKAS[key] & 0xFFFF_FFFF


@given(st.binary(max_size=100))
def test_any_key_has_the_hash_that_aiokafka_gives_it(key):
    assert murmur2(key) == aiokafkas(key)


@given(st.text(max_size=40), st.integers(1, PARTITIONS_MAX))
def test_a_host_belongs_to_the_partition_that_a_producer_would_choose(host, partitions):
    everyone = list(range(partitions))

    assert partition_of(host, partitions) == DefaultPartitioner()(host.encode(), everyone, everyone)


def test_hosts_of_a_fleet_spread_over_all_partitions():
    counts = [0] * 12
    for place in range(12_000):
        counts[partition_of(f"host-{place:05d}", 12)] += 1

    assert min(counts) > 900
    assert max(counts) < 1100


@given(st.lists(st.text(max_size=40), max_size=30), st.integers(1, PARTITIONS_MAX))
def test_many_names_have_the_partitions_that_each_has_alone(hosts, partitions):
    assert partitions_of(hosts, partitions) == [partition_of(host, partitions) for host in hosts]
