"""Brokers for tests: started when the first test asks, one for all workers, dead when the tests are over.

``RASFLEET_KAFKA`` names a broker that is there already; ``RASFLEET_REQUIRE_KAFKA=1`` makes a failure of what would
be a skip. A broker of ours is killed by its keeper once the test session's process has ended, however it ended.
"""

import argparse
import asyncio
import os
import re
import shlex
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka.abc import AbstractTokenProvider
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.protocol.admin import CreateAclsRequest, DescribeAclsRequest

from deploy.kafka.cluster import Cluster, NoKafka
from deploy.kafka.jars import jars, locked
from deploy.kafka.security import ADMIN, token
from deploy.kafka.settings import LIFETIME

ROLES = ("simulator", "worker", "consumer", "scorer")  # users of the secured broker
RESOURCES = {"topic": 2, "group": 3, "cluster": 4, "transactional_id": 5}  # org.apache.kafka ResourceType
OPERATIONS = {
    "all": 2, "read": 3, "write": 4, "create": 5, "delete": 6, "alter": 7, "describe": 8,
    "describe_configs": 10, "alter_configs": 11, "idempotent_write": 12,
}  # fmt: skip  # org.apache.kafka AclOperation
_LITERAL, _PREFIXED = 3, 4  # PatternType
_ALLOW = 3  # AclPermissionType


def session_pid():
    """The process whose end ends the tests: with pytest-xdist it is the parent of each worker."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


def session_folder(tmp_path_factory):
    """A folder that all workers of this session share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def missing(why):
    """Skip, or fail where a broker is required."""
    said = f"{why}; or name a broker: RASFLEET_KAFKA=host:port"
    if os.environ.get("RASFLEET_REQUIRE_KAFKA") == "1":
        pytest.fail(said, pytrace=False)
    pytest.skip(said)


def prepared():
    """Have what a node needs; skips where that cannot be had."""
    try:
        jars()
    except NoKafka as why:
        missing(why)


def formatted(folder, nodes=1, **given):
    """A new cluster, not started; skips where none can be had."""
    prepared()
    return Cluster.formatted(folder, nodes, tier=1, **given)


def shared(folder, **given):
    """The session's cluster in this folder: whoever comes first starts it."""
    with locked(folder.with_suffix(".lock")):
        cluster = Cluster(folder) if (folder / "cluster.json").exists() else formatted(folder, **given)
        if not cluster.pid(1):
            cluster.start(guarded_by=session_pid())
        return cluster


async def create_topic(name, *, partitions=1, settings=None, **client):
    """Create a topic that keeps what is stamped at any time. ``client``: as for aiokafka."""
    admin = AIOKafkaAdminClient(**client)
    try:
        await admin.start()
        wanted = NewTopic(name, partitions, -1, {}, LIFETIME | (settings or {}))  # -1: the default of the cluster
        answer = await admin.create_topics([wanted])
    finally:
        await admin.close()
    (created,) = answer.topic_errors
    assert created[1] == 0, created


@dataclass(frozen=True)
class Token(AbstractTokenProvider):
    """An OAUTHBEARER login that names a user."""

    user: str

    async def token(self):
        return token(self.user, now_s=int(time.time()))


def parsed(line):
    """The ACLs of a line for kafka-acls: kind, name, pattern, principal, operation."""
    program, given, *words = shlex.split(line)
    assert (program, given) == ("kafka-acls.sh", "$@"), line
    parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--add", action="store_true", required=True)
    parser.add_argument("--allow-principal", required=True)
    parser.add_argument("--resource-pattern-type", choices=["literal", "prefixed"], default="literal")
    for name in ("operation", "topic", "group"):
        parser.add_argument(f"--{name}", action="append", default=[])
    of = parser.parse_args(words)
    pattern = _PREFIXED if of.resource_pattern_type == "prefixed" else _LITERAL
    operations = [re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower() for name in of.operation]
    return [
        (RESOURCES[kind], name, pattern, of.allow_principal, OPERATIONS[operation])
        for kind in ("topic", "group")
        for name in getattr(of, kind)
        for operation in operations
    ]


@dataclass(frozen=True)
class Secured:
    """A cluster that is reached by SASL_SSL, and its users."""

    cluster: Cluster

    @property
    def trusted(self) -> Path:
        """The certificate to trust, PEM."""
        return self.cluster.keys.trusted

    def password(self, user):
        return self.cluster.keys.passwords()[user]

    def login(self, user, mechanism="SCRAM-SHA-512", **other):
        """What an aiokafka client is given to log in. ``other`` overrides."""
        login = {"sasl_plain_username": user, "sasl_plain_password": self.password(user)}
        if mechanism == "OAUTHBEARER":
            login = {"sasl_oauth_token_provider": Token(user)}
        return {
            "bootstrap_servers": self.cluster.bootstrap,
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": mechanism,
            "ssl_context": ssl.create_default_context(cafile=self.trusted),
        } | login | other  # fmt: skip

    def environment(self, login, mechanism="SCRAM-SHA-512", /, **fields):
        """For a program that logs in as a user. ``fields``: of the settings, in place of the right ones."""
        right = {"ca": self.trusted, "mechanism": mechanism, "user": login, "password": self.password(login)}
        named = {f"RASFLEET_KAFKA_{name.upper()}": str(value) for name, value in (right | fields).items()}
        return {"RASFLEET_KAFKA": self.cluster.bootstrap} | named

    async def allow(self, user, operations, resource, name, *, prefixed=False):
        """Give a user these operations, in words, on a resource. It is in force when this returns."""
        pattern = _PREFIXED if prefixed else _LITERAL
        kind, of_user = RESOURCES[resource], f"User:{user}"
        await self._create([(kind, name, pattern, of_user, OPERATIONS[of]) for of in operations.split()])

    async def grant(self, lines):
        """Do what lines for kafka-acls say."""
        await self._create([acl for line in lines for acl in parsed(line)])

    async def _create(self, acls):
        admin = AIOKafkaAdminClient(**self.login(ADMIN))
        try:
            await admin.start()
            for kind, name, pattern, user, operation in acls:
                wanted = kind, name, pattern, user, "*", operation, _ALLOW
                answer = await admin._send_to_controller(CreateAclsRequest(*wanted))
                assert [code for code, _ in answer.creation_responses] == [0], answer
                while not (await admin._send_to_controller(DescribeAclsRequest(*wanted))).resources:  # noqa: ASYNC110 (the broker tells nobody)
                    await asyncio.sleep(0.05)  # the broker learns of it a little later
        finally:
            await admin.close()
