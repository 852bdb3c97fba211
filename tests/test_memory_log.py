"""The log in memory that tests use keeps what every log promises."""

import pytest

from tests.fleet.log.contract import OneWriterContract, manifest_of
from tests.memory_log import MemoryLog


class TestMemoryLog(OneWriterContract):
    @pytest.fixture
    def make(self):
        def made(partitions):
            log = MemoryLog(manifest_of(partitions))
            return log, lambda: MemoryLog(log.manifest, log)

        return made
