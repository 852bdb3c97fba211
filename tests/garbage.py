"""What only the garbage collector would free: of hosts, not of whatever else lives in the process."""

import gc
from contextlib import contextmanager


@contextmanager
def collected():
    """The objects of ``nodes`` that are left to the collector by what is done inside."""
    found = []
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += [each for each in gc.garbage if type(each).__module__.startswith("nodes.")]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
