"""Why brokers let nobody in, or refuse what somebody asks: one line with what is missing and what to do.

A client of aiokafka that cannot begin says only that it cannot, and leaves the reason to its log. So one more
connection is made to hear it. What a broker says of a login is not repeated: it may hold what was sent to it.

Sources: Apache Kafka 4.1, protocol (error codes), authorization (operations).
"""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from typing import Any, Final

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from fleet.log.kafka.security import OF_BROKERS, NoToken

PROBE_S: Final = 2.0  # of the connections that hear the reason, one to each address, all at once
FORBIDDEN: Final = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)
FORBIDDEN_CODES: Final = frozenset(fault.errno for fault in FORBIDDEN)
_OF_CLIENTS: Final = ("bootstrap_servers", "metadata_max_age_ms")  # a connection has no use for these


async def reason(client: Mapping[str, Any]) -> str:
    """Why brokers do not take this client, as far as one of them says it; else nothing."""
    given = {name: value for name, value in client.items() if name not in _OF_CLIENTS}
    hosts = collect_hosts(client["bootstrap_servers"], randomize=False)
    probes = [asyncio.ensure_future(_heard(host, port, given)) for host, port, _ in hosts]
    _, late = await asyncio.wait(probes, timeout=PROBE_S)
    for probe in late:
        probe.cancel()
    return next((said for probe in probes if probe not in late and (said := probe.result())), "")


async def _heard(host: str, port: int, given: Mapping[str, Any]) -> str:
    """What one of them says."""
    try:
        await _connected(host, port, given)
    except (KafkaError, OSError, TimeoutError) as fault:
        return _told(fault, given)
    return ""


async def _connected(host: str, port: int, given: Mapping[str, Any]) -> None:
    """Log in, and ask for what everybody may know."""
    connection = await create_conn(host, port, **given)
    try:
        await connection.send(MetadataRequest([]))
    finally:
        connection.close()


def _told(fault: Exception, given: Mapping[str, Any]) -> str:
    protocol = given.get("security_protocol", "PLAINTEXT")
    mechanism = given.get("sasl_mechanism", "")
    match fault:
        case NoToken():
            return str(fault)
        case ssl.SSLCertVerificationError():
            return (
                f"the certificate of the broker is not trusted ({fault.verify_message}): name the file of its "
                f"authority as ca, or in {OF_BROKERS}CA"
            )
        case ssl.SSLError() | ConnectionResetError() if protocol != "PLAINTEXT":
            return "no TLS is spoken there: is it the port for plain text?"
        case socket.gaierror():
            return "nobody knows the name of the host"
        case SaslAuthenticationFailed():
            who = given.get("sasl_plain_username")
            what = (
                "check user and password"
                if who
                else "it may have expired, or be for other brokers: renew its file"
            )
            return f"{f'user {who}' if who else 'the token'} is not let in by {mechanism}: {what}"
        case UnsupportedSaslMechanismError() | IllegalSaslStateError():
            return f"no login by {mechanism} is taken there: set another mechanism"
        case KafkaConnectionError() if protocol == "PLAINTEXT":
            return f"a broker closes the connection: it may want TLS (tls, or {OF_BROKERS}TLS=1)"
        case KafkaConnectionError() if protocol == "SSL":
            return f"a broker closes the connection: it may want a login (mechanism, or {OF_BROKERS}MECHANISM)"
        case _:
            return ""
