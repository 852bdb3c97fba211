"""Fixtures for tests with a real broker. See ``tests.kafka.brokers``."""

import os
import secrets

import pytest

from tests.kafka import brokers


@pytest.fixture(scope="session")
def kafka(tmp_path_factory):
    """The address of a broker that all tests share: never stop it, and name topics with ``fresh``."""
    given = os.environ.get("RASFLEET_KAFKA")
    return given or brokers.shared(brokers.session_folder(tmp_path_factory) / "kafka").bootstrap


@pytest.fixture(scope="session")
def secured(tmp_path_factory):
    """A broker that all tests share, reached by SASL_SSL; ``brokers.ROLES`` may do nothing until ``allow``."""
    folder = brokers.session_folder(tmp_path_factory) / "secured"
    return brokers.Secured(brokers.shared(folder, users=brokers.ROLES))


@pytest.fixture(scope="session")
def java():
    """For tests that start nodes in their own way: skips where that cannot be done."""
    brokers.prepared()


@pytest.fixture
def broker(tmp_path):
    """A cluster of one node for this test alone, to be killed and restarted."""
    yield from _own(brokers.formatted(tmp_path / "broker"))


@pytest.fixture
def three(tmp_path):
    """A cluster of three nodes for this test alone, to be killed and restarted."""
    yield from _own(brokers.formatted(tmp_path / "three", 3))


def _own(cluster):
    try:
        cluster.start(guarded_by=brokers.session_pid())
        yield cluster
    finally:
        cluster.destroy()


@pytest.fixture
def fresh():
    """A name that no other test has, for a topic, a group or a run."""
    return f"t{secrets.token_hex(6)}"
