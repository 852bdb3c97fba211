"""A cluster in a folder: formatted, started, stopped, killed node by node, and found again by another process.

    <folder>/cluster.json           ports, cluster id, whether it is secured
    <folder>/node-1.properties      settings;  node-1.log  output;  node-1.pid  Java's pid;  data-1/  the log
    <folder>/trusted.pem, users.json, ...   of a secured cluster (``deploy.kafka.security``)

A node serves once it says so, not once its port is open.
"""

import base64
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

from deploy.kafka.jars import CACHE, HERE, NoKafka, jars, java, locked
from deploy.kafka.processes import POLL_S, gone, resident_mib, runs, signalled, spawn
from deploy.kafka.security import Keys, written
from deploy.kafka.settings import HOST, free_ports, node_settings, text

START_S_MAX: Final = 120  # a busy machine; 5 s where it is idle
STOP_S_MAX: Final = 60  # after that a node is killed
HEAP: Final = ("-Xms96m", "-Xmx384m")
LOG_LINES: Final = 5  # of a node that did not start, in the message; places in Java's code are left out
_SERVES: Final = b"Kafka Server started"
_JAVA: Final = (
    "-XX:+UseSerialGC",
    "-Djava.awt.headless=true",
    f"-Dlog4j2.configurationFile=file:{HERE}/log4j2.properties",
)
_BRIEF: Final = ("-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx96m")  # for programs that end soon


class BrokerFailed(Exception):
    """A node did not start; the message ends with the last lines of its log."""


@dataclass(frozen=True)
class Layout:
    """What is fixed when a cluster is formatted."""

    cluster_id: str
    ports: list[int]  # of clients, node 1 first
    controllers: list[int]  # ports of controllers
    secured: bool
    tier: int = 4  # of Java's compilers: 4 is fast in the long run, 1 starts sooner


@dataclass(frozen=True)
class NodeReport:
    """Where a node stands."""

    node: int
    address: str
    pid: int  # 0: not running
    resident_mib: float
    log: Path


class Cluster:
    """The nodes of one folder."""

    def __init__(self, folder: Path, layout: Layout | None = None) -> None:
        """Open a cluster; without a layout it is one that was formatted in this folder."""
        self.folder = folder.resolve()
        self.layout = layout or Layout(**json.loads((self.folder / "cluster.json").read_text()))
        self.keys = Keys(self.folder)

    @classmethod
    def formatted(
        cls,
        folder: Path,
        nodes: int = 1,
        *,
        ports: list[int] | None = None,
        users: tuple[str, ...] | None = None,
        tier: int = 4,
    ) -> Self:
        """Format nodes in a new folder. Users make it a secured cluster. Raises ``NoKafka``."""
        assert nodes in (1, 3), "one node, or a majority that survives the loss of one"
        assert ports is None or len(ports) == nodes, "a port for each node"
        cls._archive(jars())
        taken = free_ports(2 * nodes)
        layout = Layout(_cluster_id(), ports or taken[:nodes], taken[nodes:], users is not None, tier)
        return cls._laid_out(folder, layout, users or ())

    @classmethod
    def _laid_out(cls, folder: Path, layout: Layout, users: tuple[str, ...]) -> Self:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        if layout.secured:
            Keys(folder).make(users)
        cluster = cls(folder, layout)
        cluster._format()
        (folder / "cluster.json").write_text(json.dumps(asdict(layout)))  # last: whoever finds it finds all
        return cluster

    @property
    def nodes(self) -> range:
        """1, 2, ..."""
        return range(1, len(self.layout.ports) + 1)

    @property
    def bootstrap(self) -> str:
        """The addresses for clients, separated by commas."""
        return ",".join(f"{HOST}:{port}" for port in self.layout.ports)

    def start(self, *, guarded_by: int | None = None) -> None:
        """Start what does not run and wait until all serve. With a guard's pid they die with that process."""
        if guarded_by is not None:
            self._hire_keeper(guarded_by)
        idle = [node for node in self.nodes if not self.pid(node)]
        began = {node: self._launch(node) for node in idle}
        for node, offset in began.items():
            self._await_service(node, offset)

    def restart(self, node: int, *options: str) -> None:
        """Start a node that does not run, with more options of Java, and wait until it serves."""
        assert not self.pid(node), "it runs"
        self._await_service(node, self._launch(node, *options))

    def kill(self, node: int) -> None:
        """SIGKILL, and wait until it is gone."""
        self._end(node, signal.SIGKILL)

    def pause(self, node: int) -> None:
        """SIGSTOP: the port stays open, nothing answers."""
        signalled(self._noted(node), self._settings(node), signal.SIGSTOP)

    def resume(self, node: int) -> None:
        """SIGCONT."""
        signalled(self._noted(node), self._settings(node), signal.SIGCONT)

    def stop(self) -> None:
        """SIGTERM to all nodes; SIGKILL to those that stay."""
        for node in self.nodes:
            self.resume(node)
            signalled(self._noted(node), self._settings(node), signal.SIGTERM)
        for node in self.nodes:
            if not gone(self._noted(node), self._settings(node), STOP_S_MAX):
                self.kill(node)
        self._dismiss_keeper()

    def destroy(self) -> None:
        """Kill all nodes and remove the folder."""
        for node in self.nodes:
            self.kill(node)
        self._dismiss_keeper()
        shutil.rmtree(self.folder)

    def pid(self, node: int) -> int:
        """Of the node's Java; 0 if it does not run."""
        pid = self._noted(node)
        return pid if pid and runs(pid, self._settings(node)) else 0

    def report(self) -> list[NodeReport]:
        """Where each node stands."""
        found = []
        for node, port in zip(self.nodes, self.layout.ports, strict=True):
            pid = self.pid(node)
            memory = resident_mib(pid) if pid else 0.0
            found.append(NodeReport(node, f"{HOST}:{port}", pid, memory, self._log(node)))
        return found

    def tool(self, main: str, *words: str) -> str:
        """Run one of Kafka's own programs, by its class, and return what it prints."""
        command = [java(), *_JAVA, *_BRIEF, "-cp", f"{jars()}/*", main, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (our own words)
        if done.returncode:
            raise BrokerFailed(f"{main}: {(done.stdout + done.stderr).strip()}")
        return done.stdout

    @classmethod
    def _archive(cls, lib: Path) -> None:
        """Keep the classes of a node as Java holds them in memory: it then starts for half the CPU time (JEP 350).

        A Java of another version passes over them.
        """
        whole = _archive_of(lib)
        with locked(CACHE / "archive.lock"), tempfile.TemporaryDirectory() as place:
            if whole.exists():
                return
            ports = free_ports(2)
            cluster = cls._laid_out(Path(place), Layout(_cluster_id(), ports[:1], ports[1:], secured=False), ())
            part = whole.with_suffix(".part")
            cluster.restart(1, f"-XX:ArchiveClassesAtExit={part}")
            cluster.stop()
            if part.exists():
                part.rename(whole)

    def _format(self) -> None:
        """All nodes at once."""
        tools = [self._formatting(node) for node in self.nodes]
        said = [tool.communicate()[0].strip() for tool in tools]
        for node, tool in zip(self.nodes, tools, strict=True):
            self._told(node).unlink()
            if tool.returncode:
                raise BrokerFailed(f"node {node} could not be formatted: {said[node - 1]}")

    def _formatting(self, node: int) -> subprocess.Popen[str]:
        """What StorageTool is told goes through a file, since it may hold passwords."""
        shutil.rmtree(self.folder / f"data-{node}", ignore_errors=True)  # of a format that was cut off
        settings = node_settings(self.folder, node, self.layout.ports, self.layout.controllers)
        secured = self.keys.settings() if self.layout.secured else {}
        written(Path(self._settings(node)), text(settings | secured))
        words = [
            *_JAVA, *_BRIEF, "-cp", f"{jars()}/*", "kafka.tools.StorageTool", "format",
            "-t", self.layout.cluster_id, "-c", self._settings(node), *(self.keys.scram() if secured else ()),
        ]  # fmt: skip
        written(self._told(node), "".join(f'"{word}"\n' for word in words))
        command = [java(), f"@{self._told(node)}"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: S603 (our own words)

    def _launch(self, node: int, *options: str) -> int:
        """Start Java; the size of the log before it."""
        log = self._log(node)
        offset = log.stat().st_size if log.exists() else 0
        lib = jars()
        archived = [f"-XX:SharedArchiveFile={_archive_of(lib)}"] if _archive_of(lib).exists() else []
        command = [
            java(), *_JAVA, *HEAP, f"-XX:TieredStopAtLevel={self.layout.tier}", *archived, *options,
            "-cp", f"{lib}/*", "kafka.Kafka", self._settings(node),
        ]  # fmt: skip
        self._pid_file(node).write_text(str(spawn(command, log)))
        return offset

    def _await_service(self, node: int, offset: int) -> None:
        end = time.monotonic() + START_S_MAX
        while _SERVES not in (said := self._log(node).read_bytes()[offset:]):
            if not self.pid(node) or time.monotonic() > end:
                self.kill(node)
                lines = said.decode(errors="replace").strip().splitlines()
                last = [line for line in lines if not line.startswith("\tat ")][-LOG_LINES:]
                raise BrokerFailed("\n".join([f"node {node} did not start, see {self._log(node)}:", *last]))
            time.sleep(POLL_S)

    def _end(self, node: int, number: signal.Signals) -> None:
        signalled(self._noted(node), self._settings(node), number)
        assert gone(self._noted(node), self._settings(node), STOP_S_MAX), f"node {node} survived {number.name}"

    def _hire_keeper(self, pid: int) -> None:
        here = f"PYTHONPATH={HERE.parent.parent}"
        command = ["env", here, sys.executable, "-m", "deploy.kafka", "keep", str(self.folder), str(pid)]
        written(self.folder / "keeper.pid", str(spawn(command, self.folder / "keeper.log")))

    def _dismiss_keeper(self) -> None:
        noted = self.folder / "keeper.pid"
        if noted.exists():
            signalled(int(noted.read_text()), str(self.folder), signal.SIGKILL)
            gone(int(noted.read_text()), str(self.folder), STOP_S_MAX)
            noted.unlink()

    def _noted(self, node: int) -> int:
        noted = self._pid_file(node)
        return int(noted.read_text() or 0) if noted.exists() else 0

    def _settings(self, node: int) -> str:
        return str(self.folder / f"node-{node}.properties")

    def _told(self, node: int) -> Path:
        return self.folder / f"format-{node}.words"

    def _log(self, node: int) -> Path:
        return self.folder / f"node-{node}.log"

    def _pid_file(self, node: int) -> Path:
        return self.folder / f"node-{node}.pid"


def _archive_of(lib: Path) -> Path:
    return lib.with_suffix(".jsa")


def _cluster_id() -> str:
    """22 characters of base64, as Kafka makes them; the first is never a dash."""
    return "r" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]


__all__ = ["BrokerFailed", "Cluster", "NoKafka", "NodeReport"]
