"""``python -m deploy.kafka``: a broker on this machine, from the command line."""

import argparse
import sys
from pathlib import Path
from typing import Final

from deploy.kafka.cluster import BrokerFailed, Cluster, NoKafka
from deploy.kafka.jars import CACHE, jars
from deploy.kafka.processes import wait_for_end_of
from deploy.kafka.settings import is_free

PORT: Final = 9092  # of node 1; the next ones follow
PORT_MAX: Final = 65_533  # so that there are two more
ROLES: Final = ("simulator", "worker", "consumer", "scorer")  # users of a secured cluster


def main(words: list[str] | None = None) -> int:
    """Run a command. Exit codes: 0 done, 1 nothing runs (status), 3 no broker could be had."""
    given = _parser().parse_args(words)
    try:
        code: int = given.run(given)
    except (BrokerFailed, NoKafka) as why:
        sys.stderr.write(f"{why}\n")
        return 3
    except OSError as why:
        sys.stderr.write(f"{why.filename or given.folder}: {why.strerror or why}\n")
        return 3
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.kafka", description="Apache Kafka on 127.0.0.1.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for run in (fetch, start, stop, status, kill, restart, keep):
        command = commands.add_parser(run.__name__, help=run.__doc__)
        command.set_defaults(run=run)
        if run is not fetch:
            command.add_argument(
                "folder", type=Path, nargs="?" if run is not keep else None, default=CACHE / "local"
            )
        if run in (kill, restart):
            command.add_argument("--node", type=int, default=1)
        if run is keep:
            command.add_argument("pid", type=int)
        if run is start:
            command.add_argument("--nodes", type=int, choices=(1, 3), default=1)
            command.add_argument("--port", type=_port, help=f"of node 1, {PORT} by default; 0: free ones")
            command.add_argument("--secured", action="store_true", help="SASL_SSL and ACLs")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > PORT_MAX:
        raise argparse.ArgumentTypeError(f"{text!r}: 0 to {PORT_MAX}")
    return int(text)


def fetch(_given: argparse.Namespace) -> int:
    """Fetch the jars."""
    _say(jars())
    return 0


def start(given: argparse.Namespace) -> int:
    """Format the nodes if the folder is new, start them, print their addresses."""
    if (given.folder / "cluster.json").exists():
        cluster = Cluster(given.folder)
        if (len(cluster.nodes), cluster.layout.secured) != (given.nodes, given.secured):
            raise BrokerFailed(f"{given.folder} holds another cluster: stop it and remove the folder")
        if given.port and given.port != cluster.layout.ports[0]:
            raise BrokerFailed(
                f"{given.folder} holds a cluster with port {cluster.layout.ports[0]}: leave out --port"
            )
        idle = [node - 1 for node in cluster.nodes if not cluster.pid(node)]
        _check_free([of[node] for node in idle for of in (cluster.layout.ports, cluster.layout.controllers)])
    else:
        first = PORT if given.port is None else given.port
        ports = [first + i for i in range(given.nodes)] if first else None
        _check_free(ports or [])
        users = ROLES if given.secured else None
        cluster = Cluster.formatted(given.folder, given.nodes, ports=ports, users=users)
    cluster.start()
    _say(cluster.bootstrap)
    return 0


def _check_free(ports: list[int]) -> None:
    for port in ports:
        if not is_free(port):
            raise BrokerFailed(f"port {port} is taken: end who listens there, or name another folder and --port")


def stop(given: argparse.Namespace) -> int:
    """Stop the nodes; what they hold stays."""
    _cluster(given).stop()
    return 0


def status(given: argparse.Namespace) -> int:
    """Say where each node stands."""
    reports = _cluster(given).report()
    for node in reports:
        state = f"pid {node.pid}, {node.resident_mib:.0f} MiB" if node.pid else "not running"
        _say(f"node {node.node} {node.address} {state}, log {node.log}")
    return 0 if any(node.pid for node in reports) else 1


def kill(given: argparse.Namespace) -> int:
    """SIGKILL to one node."""
    _with_node(given).kill(given.node)
    return 0


def restart(given: argparse.Namespace) -> int:
    """Start one node again."""
    cluster = _with_node(given)
    if cluster.pid(given.node):
        raise BrokerFailed(f"node {given.node} runs already")
    cluster.restart(given.node)
    return 0


def keep(given: argparse.Namespace) -> int:
    """Wait for the end of a process, then kill the nodes (for tests that die)."""
    wait_for_end_of(given.pid)
    cluster = _cluster(given)
    for node in cluster.nodes:
        cluster.kill(node)
    return 0


def _say(line: object) -> None:
    sys.stdout.write(f"{line}\n")


def _cluster(given: argparse.Namespace) -> Cluster:
    if not (given.folder / "cluster.json").exists():
        raise BrokerFailed(f"no cluster in {given.folder}")
    return Cluster(given.folder)


def _with_node(given: argparse.Namespace) -> Cluster:
    cluster = _cluster(given)
    if given.node not in cluster.nodes:
        raise BrokerFailed(f"no node {given.node} in {given.folder}: it has {', '.join(map(str, cluster.nodes))}")
    return cluster


if __name__ == "__main__":
    sys.exit(main())
