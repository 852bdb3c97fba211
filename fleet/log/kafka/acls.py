"""Who may do what on brokers that authorise: the roles of a run and their ACLs, each with no more than it needs.

A broker keeps ACLs by user; here a user is called as its role. Topics have a run's name in front, so the ACLs of a
run name it, and no role may anything with another run's. Only scorers read commands, besides the workers that
handle them and the simulators that write them.

Sources: the design's section 4 (topics); Apache Kafka 4.1, authorization: Read and Write imply Describe, and who
may write to some topic may have an idempotent producer; to join a group and to commit is to read it.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from fleet.codec import TOPICS
from fleet.log.kafka.names import CHECKPOINT, RUNS, checked_name, group_of, topic_of
from nodes.events import COMMAND, DEAD_LETTER, HOST_TOPICS, SHARD_TOPICS

SIMULATOR: Final = "simulator"  # begins runs, writes their commands
WORKER: Final = "worker"  # handles commands
CONSUMER: Final = "consumer"  # reads events
SCORER: Final = "scorer"  # reads events and commands: it knows the faults that consumers are to find
ROLES: Final = (SIMULATOR, WORKER, CONSUMER, SCORER)
TOPIC: Final = "topic"
GROUP: Final = "group"


class Access(NamedTuple):
    """What a role may do. Of a resource whose name has a ``*`` behind it, all that begin so."""

    role: str
    operations: tuple[str, ...]
    kind: str
    names: tuple[str, ...]  # of topics without the run's name; of groups {run} and {role} stand for theirs


def _reads(role: str) -> tuple[Access, ...]:
    return (
        Access(role, ("Read",), TOPIC, (RUNS, *HOST_TOPICS)),
        Access(role, ("Describe",), TOPIC, ("*",)),
        Access(role, ("Read",), GROUP, ("{role}.*",)),  # a group of workers has no dot in its name
    )


TABLE: Final = (
    Access(SIMULATOR, ("Create", "Read", "Write"), TOPIC, (RUNS,)),
    Access(SIMULATOR, ("Create", "Describe", "DescribeConfigs"), TOPIC, ("*",)),
    Access(SIMULATOR, ("Read", "Write"), TOPIC, (COMMAND,)),
    Access(WORKER, ("Read", "Write"), TOPIC, (RUNS, *SHARD_TOPICS, CHECKPOINT)),
    Access(WORKER, ("Read",), TOPIC, (COMMAND,)),
    Access(WORKER, ("Read",), GROUP, ("{group}",)),
    *_reads(CONSUMER),
    *_reads(SCORER),
    Access(SCORER, ("Read",), TOPIC, (COMMAND, DEAD_LETTER)),
)


class Acl(NamedTuple):
    """What a role may do with resources of one kind that are called so, or begin so."""

    role: str
    operations: tuple[str, ...]
    kind: str
    names: tuple[str, ...]
    prefixed: bool

    def words(self) -> list[str]:
        """For Kafka's own kafka-acls."""
        given = [word for operation in self.operations for word in ("--operation", operation)]
        named = [word for name in self.names for word in (f"--{self.kind}", name)]
        pattern = ["--resource-pattern-type", "prefixed"] if self.prefixed else []
        return ["--add", "--allow-principal", f"User:{self.role}", *given, *named, *pattern]


def acls(run: str) -> Iterator[Acl]:
    """The ACLs of a run, which need not be there yet. Raises LogError."""
    checked_name(run)
    for access in TABLE:
        names = [_name(access, name, run) for name in access.names]
        prefixed = names[0].endswith("*")
        assert all(name.endswith("*") == prefixed for name in names), "a line has names of one kind"
        stems = tuple(name.removesuffix("*") for name in names)
        yield Acl(access.role, access.operations, access.kind, stems, prefixed)


def _name(access: Access, name: str, run: str) -> str:
    if access.kind == TOPIC:
        return topic_of(run, name)
    return name.format(role=access.role, group=group_of(run))


def forbidden(run: str, operation: str, kind: str, name: str) -> str:
    """What to say where brokers do not let a user do something."""
    may = {acl.role for acl in acls(run or "x") if _covers(acl, operation, kind, name)}
    roles = f"role{'s'[: len(may) != 1]} {', '.join(role for role in ROLES if role in may)}"
    who = f"that is for the {roles}; rasfleet topics {run or 'RUN'} --acls prints what each role needs"
    return (
        f"{kind} {name}: {operation} is not allowed to this user: {who if may else 'that is for administrators'}"
    )


def _covers(acl: Acl, operation: str, kind: str, name: str) -> bool:
    fits = any(name.startswith(stem) if acl.prefixed else name == stem for stem in acl.names)
    implied = operation == "Describe" and {"Read", "Write"} & {*acl.operations}
    return kind == acl.kind and fits and (operation in acl.operations or bool(implied))


assert {topic for access in TABLE if access.kind == TOPIC for topic in access.names} == {
    *TOPICS, CHECKPOINT, RUNS, "*",
}, "every topic has its line"  # fmt: skip
