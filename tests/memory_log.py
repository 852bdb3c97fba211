"""A log in memory: the contract of every log without a disk, for tests that look at what a run writes."""

import asyncio

from fleet.codec import TOPICS
from fleet.log.protocol import CHECKPOINTS_MAX, Commands, Entry, LogError, Standing
from nodes.events import COMMAND, SHARD_TOPICS


class MemoryLog:
    """Everything that was written, by topic and partition. ``other`` shares what another one holds."""

    poll_s = 0.0  # between two looks of a feed for commands

    def __init__(self, manifest, other=None):
        self.manifest = manifest
        self._other = other
        self.held = {} if other is None else other.held
        self.checkpoints = {} if other is None else other.checkpoints  # partition -> what each covers, and itself
        self.owners = {} if other is None else other.owners

    def stored(self, topic, partition):
        return self.held.setdefault((topic, partition), [])

    async def append_commands(self, partition, commands):
        self.stored(COMMAND, partition).extend(commands)
        return len(self.stored(COMMAND, partition))

    def read(self, topic, partition, *, start=0):
        for offset, record in enumerate(list(self.stored(topic, partition)[start:]), start):
            yield Entry(topic, partition, offset, *record)

    def commands_backwards(self, partition):
        return reversed(list(self.read(COMMAND, partition)))

    def feed(self, partition, offset):
        return MemoryFeed(self.stored(COMMAND, partition), offset, self.poll_s)

    def writer(self, partition):
        return MemoryWriter(self, partition)

    async def close(self):
        pass

    def finish(self, summary):
        self.summary = summary


class MemoryFeed:
    def __init__(self, stored, offset, poll_s):
        self._poll_s = poll_s
        self._stored = stored
        self._offset = offset
        self._end = None
        self._stopped = False

    def finish(self, offset):
        self._end = offset

    def stop(self):
        self._stopped = True

    def close(self):
        pass

    async def next(self):
        while not self._stopped:
            stored = self._stored[self._offset : self._end]
            found = Commands(self._offset, [record.value for record in stored], [record.key for record in stored])
            self._offset = found.behind
            if stored or (self._end is not None and self._offset >= self._end):
                return found
            await asyncio.sleep(self._poll_s)
        return Commands(self._offset, [], [])


class MemoryWriter:
    def __init__(self, log, partition):
        self._log = log
        self._partition = partition
        self._taken_over = False

    def take_over(self, unusable=lambda _: ""):
        if self._log.owners.setdefault(self._partition, self) is not self:
            raise LogError(f"partition {self._partition}: another writer has it")
        self._taken_over = True
        covered, checkpoint, wrong = self._last(unusable)
        behind = {
            topic: self._log.read(topic, self._partition, start=covered.get(topic, 0)) for topic in SHARD_TOPICS
        }
        return Standing(checkpoint, behind, "; ".join(wrong))

    def _last(self, unusable):
        wrong = []
        for covered, checkpoint in reversed(self._log.checkpoints.get(self._partition, [])):
            reason = unusable(checkpoint)
            if not reason:
                return covered, checkpoint, wrong
            wrong.append(reason)
        return {}, None, wrong

    async def commit(self, batches, checkpoint=None):
        if not self._taken_over:
            self.take_over()
        for topic, records in batches.items():
            self._log.stored(topic, self._partition).extend(records)
        if checkpoint is not None:
            covered = {topic: len(self._log.stored(topic, self._partition)) for topic in TOPICS}
            kept = self._log.checkpoints.setdefault(self._partition, [])
            self._log.checkpoints[self._partition] = [*kept, (covered, checkpoint)][-CHECKPOINTS_MAX:]

    async def close(self):
        if self._log.owners.get(self._partition) is self:
            del self._log.owners[self._partition]
