"""What tests of the log on Kafka share."""

import asyncio

import pytest

from fleet.log.kafka.connection import Brokers
from fleet.log.kafka.log import KafkaLog
from tests.fleet.log.contract import manifest_of


@pytest.fixture
def opened():
    """What keeps logs, and closes them when the test is over."""
    logs = []

    def kept(log):
        logs.append(log)
        return log

    yield kept
    for log in logs:
        asyncio.run(log.close())


@pytest.fixture
def brokers(kafka):
    return Brokers(kafka)


@pytest.fixture
def log(brokers, fresh, opened):
    """A new run of three partitions."""
    return opened(KafkaLog.create(brokers, fresh, manifest_of()))


@pytest.fixture
def again(brokers, fresh, opened):
    """Opens it once more, as another process would."""
    return lambda: opened(KafkaLog.open(brokers, fresh))
