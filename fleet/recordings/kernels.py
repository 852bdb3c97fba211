"""Which modelled kernel stands for a recorded one.

A version that a line names decides; else the forms of the lines, for no modelled kernel prints the older ones;
else the default. The modelled versions: nodes.policy.Kernel.
"""

import re
from typing import Final

from fleet.recordings.forms import Form
from fleet.recordings.model import RecordedHost
from nodes.policy import Kernel

_VERSION: Final = re.compile(r"(\d{1,3})\.(\d{1,3})")
_STANDS_FOR: Final = (  # up to this version, highest last
    ((6, 1), Kernel.V6_1),
    ((6, 18), Kernel.V6_12),
)
_OLDER: Final = frozenset((Form.LOCATION, Form.STATUS, Form.TYPE, Form.OPERATION, Form.ABORT))


def choose_kernel(host: RecordedHost) -> None:
    """Decide which modelled version a host runs, and say why."""
    forms = {form for error in host.errors for form in error.forms}
    found = _VERSION.match(host.version)
    if found is not None:
        version = int(found[1]), int(found[2])
        kernel = next((kernel for last, kernel in _STANDS_FOR if version <= last), Kernel.V6_19)
        why = f"the recording names {host.version}"
    elif forms & _OLDER:
        kernel, why = Kernel.V6_1, "lines of a form older than any modelled kernel's"
    elif Form.AER in forms:
        kernel, why = Kernel.V6_1, "AER registers printed as 6.1 does"
    else:
        kernel, why = Kernel.V6_12, "the recording does not say; the default"
    host.kernel, host.kernel_why = str(kernel), why
