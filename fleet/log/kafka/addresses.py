"""A list of brokers, as people write it: host:port, several with commas between, IPv6 in brackets.

It is read here before anything else takes it, so that what is no list is one line wherever it was written. What
stands in front of an @ would be a login: that is never repeated.

Source: RFC 3986, section 3.2 (host, port).
"""

import ipaddress
import re
from typing import Final

from fleet.log.protocol import LogError

PORT_MAX: Final = 65_535
SHOWN_MAX: Final = 80  # characters of what is wrong
_NAMED: Final = re.compile(r"(?:\[([^\[\]]*)\]|([A-Za-z0-9_.-]+)):([0-9]{1,5})")
_FORM: Final = "expected host:port, several with commas between, IPv6 in brackets"


def addresses(servers: str, place: str = "brokers") -> list[tuple[str, int]]:
    """The hosts and ports of a list. ``place``: where it was found, for people. Raises LogError."""
    if "@" in servers:
        raise LogError(f"{place}: {_FORM}; a login comes from a file or the environment, and never stands here")
    if "://" in servers:
        raise LogError(f"{place}: {_shown(servers)}: {_FORM}, and no scheme")
    return [_address(part, place) for part in servers.split(",")]


def _address(part: str, place: str) -> tuple[str, int]:
    found = _NAMED.fullmatch(part)
    if found is None or not _is_host(found[1]):
        raise LogError(f"{place}: {_shown(part)}: {_FORM}")
    port = int(found[3])
    if not 1 <= port <= PORT_MAX:
        raise LogError(f"{place}: {_shown(part)}: a port is 1 to {PORT_MAX}")
    return found[1] or found[2], port


def _is_host(bracketed: str | None) -> bool:
    """Whether what stands in brackets, if anything does, is an address of IPv6."""
    try:
        return bracketed is None or bool(ipaddress.IPv6Address(bracketed))
    except ValueError:
        return False


def _shown(text: str) -> str:
    """In quotes, as one line."""
    return repr(text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…")
