"""The settings of a node, as tables. Source: Apache Kafka 4.1, broker and topic configuration.

Small and quick: few threads, groups and fail-over without waiting, a minority's loss noticed within seconds.
"""

import random
import socket
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
PORTS: Final = range(20_000, 32_000)  # below Linux's range of outgoing connections: a dead node's port stays free
LIFETIME: Final = {  # of what a run writes: virtual time is not the broker's
    "retention.ms": "-1",
    "message.timestamp.before.max.ms": str(2**63 - 1),
    "message.timestamp.after.max.ms": str(2**63 - 1),
}  # topic settings, for those who create topics
_SMALL: Final = {
    "process.roles": "broker,controller",
    "auto.create.topics.enable": "false",
    "num.partitions": "6",
    "num.network.threads": "2",
    "num.io.threads": "2",
    "background.threads": "2",
    "num.recovery.threads.per.data.dir": "1",
    "log.cleaner.threads": "1",
    "log.cleaner.dedupe.buffer.size": str(2 * 2**20),
    "log.segment.bytes": str(64 * 2**20),
}
_QUICK: Final = {
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "log.initial.task.delay.ms": "500",
    "log.retention.check.interval.ms": "1000",
    "log.cleaner.backoff.ms": "500",
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.fetch.timeout.ms": "1000",
}
_INTERNAL: Final = (
    "offsets.topic",
    "transaction.state.log",
    "share.coordinator.state.topic",
)  # topics of Kafka's own


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on."""
    found: list[int] = []
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        if len(found) == count:
            break
        if is_free(port):
            found.append(port)
    return found


def is_free(port: int) -> bool:
    """Whether nobody listens on a port of the loopback."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Java does
        try:
            tried.bind((HOST, port))
        except OSError:
            return False
    return True


def node_settings(folder: Path, node: int, ports: list[int], controllers: list[int]) -> dict[str, str]:
    """The settings of node 1, 2, ... of a cluster whose ports are given in this order."""
    count = len(ports)
    voters = ",".join(f"{i}@{HOST}:{port}" for i, port in enumerate(controllers, 1))
    client = f"CLIENT://{HOST}:{ports[node - 1]}"
    return _SMALL | _QUICK | _copies(count) | {
        "node.id": str(node),
        "log.dirs": str(folder / f"data-{node}"),
        "controller.quorum.voters": voters,
        "listeners": f"{client},CONTROLLER://{HOST}:{controllers[node - 1]}",
        "advertised.listeners": client,
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "CLIENT",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,CLIENT:PLAINTEXT",
    }  # fmt: skip


def _copies(count: int) -> dict[str, str]:
    least = 2 if count > 1 else 1
    copies = {"default.replication.factor": str(count), "min.insync.replicas": str(least)}
    for topic in _INTERNAL:
        copies[f"{topic}.replication.factor"] = str(count)
        copies[f"{topic}.min.isr"] = str(least)
        copies[f"{topic}.num.partitions"] = "3"
    del copies["offsets.topic.min.isr"]  # that topic has none
    return copies


def text(settings: dict[str, str]) -> str:
    """As a file of Java properties."""
    assert all("\n" not in value and "\\" not in value for value in settings.values()), "nothing is escaped"
    return "".join(f"{name}={value}\n" for name, value in settings.items())
