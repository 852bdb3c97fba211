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


@pytest.fixture(scope="session")
def mortals(tmp_path_factory):
    """Clusters to be killed and restarted, by their number of nodes: one test after another has them."""
    made = {}

    def of(nodes):
        if nodes not in made:
            made[nodes] = brokers.formatted(tmp_path_factory.mktemp("mortal") / "kafka", nodes)
        return made[nodes]

    yield of
    for cluster in made.values():
        cluster.destroy()


@pytest.fixture
def broker(mortals):
    """A cluster of one node that no other test has at this time, to be killed and restarted."""
    yield from _alive(mortals(1))


@pytest.fixture
def three(mortals):
    """A cluster of three nodes that no other test has at this time, to be killed and restarted."""
    yield from _alive(mortals(3))


def _alive(cluster):
    for node in cluster.nodes:
        cluster.resume(node)
    cluster.start(guarded_by=brokers.session_pid())
    yield cluster


@pytest.fixture
def fresh():
    """A name that no other test has, for a topic, a group or a run."""
    return f"t{secrets.token_hex(6)}"
