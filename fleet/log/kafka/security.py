"""How brokers are logged in to: TLS and SASL, from a file or the environment, never from a command line.

    ~/.config/rasfleet/kafka.toml    or the file that RASFLEET_CONFIG names
    RASFLEET_KAFKA_<FIELD>           the same fields, and they count more

A file that the first one names by a relative path lies beside it.

A login goes over TLS alone, whatever its mechanism. Without TLS brokers are on the loopback, unless plain text is
asked for by name. A secret stands in no repr and in no message: what is wrong is said with the field's name and
the place where it was found.

Sources: RFC 4616 (PLAIN), RFC 5802 and 7677 (SCRAM), RFC 7628 (OAUTHBEARER); aiokafka 0.14's client.
"""

import asyncio
import ipaddress
import ssl
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
from aiokafka import conn
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import SaslAuthenticationFailed

from fleet.log.kafka.addresses import addresses
from fleet.log.protocol import LogError

CONFIG: Final = "RASFLEET_CONFIG"  # environment: the file, in place of the one at home
AT_HOME: Final = "rasfleet/kafka.toml"  # in XDG_CONFIG_HOME, ~/.config
OF_BROKERS: Final = "RASFLEET_KAFKA_"  # environment: in front of a field's name in capitals
PLAINTEXT: Final = f"{OF_BROKERS}PLAINTEXT"  # environment: 1 is the same as --plaintext
MECHANISMS: Final = {  # SASL -> the fields that it needs; of those with a bar, one
    "PLAIN": ("user", "password|password_file"),
    "SCRAM-SHA-512": ("user", "password|password_file"),
    "OAUTHBEARER": ("token_file",),
}
OTHERS_READ: Final = 0o077  # permissions that the owner of a secret keeps for himself
ANYBODY_READS: Final = 0o007  # a mounted secret may be a group's
SECRET_BYTES_MAX: Final = 64 * 1024  # of a password or a token; more is another file
COMPRESSIONS: Final = {"none": "", "lz4": "cramjam", "zstd": "cramjam"}  # name -> module that it needs
_FILES: Final = ("ca", "password_file", "token_file")  # in a file of settings relative to its folder
_LINES: Final = ("user", *_FILES)  # what is told when something is wrong with it
_TRUTH: Final = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file or the environment says."""

    tls: bool | None = None  # None: where there is a mechanism or an authority
    ca: str = ""  # file, PEM: certificates to trust; the system's by default
    mechanism: str = ""  # of SASL; none: no login
    user: str = ""
    password: str = ""
    password_file: str = ""  # its content is the password
    token_file: str = ""  # its content is the token; read anew for every connection
    compression: str = ""  # of record batches; none by default

    def __repr__(self) -> str:
        """Without what is secret."""
        return f"Settings(mechanism={self.mechanism!r}, user={self.user!r})"

    @property
    def over_tls(self) -> bool:
        """Whether TLS is spoken."""
        return bool(self.mechanism or self.ca) if self.tls is None else self.tls


@dataclass(frozen=True)
class Found:
    """Settings, and where they come from."""

    settings: Settings
    path: Path  # of the file
    given: Collection[str]  # the fields that the environment has

    @property
    def place(self) -> str:
        """For people."""
        if not self.given:
            return str(self.path)
        return f"{OF_BROKERS}*{f' and {self.path}' if self.path.exists() else ''}"

    def wrong(self, reason: str) -> LogError:
        """What to raise."""
        return LogError(f"{self.place}: {reason}")

    def wrong_with(self, name: str, reason: str) -> LogError:
        """What to raise when one field is wrong, whatever the others are."""
        of_environment = f"{OF_BROKERS}{name.upper()}"
        return LogError(f"{of_environment if name in self.given else f'{self.path}: {name}'}: {reason}")


class NoToken(OSError):
    """There is no token that could be sent: one line."""


@dataclass(frozen=True)
class TokenFile(AbstractTokenProvider):  # type: ignore[misc]
    """The token of OAUTHBEARER, as its file has it at the moment: whoever renews it replaces the file."""

    path: str

    async def token(self) -> str:
        """The token. Raises NoToken."""
        try:
            return await asyncio.to_thread(_secret, Path(self.path))
        except (OSError, ValueError) as fault:
            raise NoToken(f"token file {self.path}: {_reason(fault)}") from None


class _Heeding(conn.OAuthAuthenticator):  # type: ignore[misc]
    """Hears that a token is refused: that is an answer like another one (RFC 7628, 3.2.3), and the client's own
    authenticator takes every answer for a yes, and goes on without brokers.
    """

    async def step(self, payload: bytes | None) -> tuple[bytes, bool] | None:
        if payload:
            raise SaslAuthenticationFailed
        sent: tuple[bytes, bool] | None = await super().step(payload)
        return sent


conn.OAuthAuthenticator = _Heeding


@dataclass(frozen=True)
class Security:
    """What every client is given."""

    client: Mapping[str, object] = field(default_factory=dict, repr=False)
    loopback_only: bool = False  # plain text that nobody asked for
    compression: str = "none"


def security_of(servers: str, environment: Mapping[str, str], *, say: Callable[[str], None]) -> Security:
    """How these brokers are talked to. Raises LogError."""
    hosts = [host for host, _ in addresses(servers)]
    found = settings_of(environment)
    compression = _compression(found)
    if _is_true(PLAINTEXT, environment.get(PLAINTEXT, "")):
        return Security(compression=compression)
    _check(found)
    if found.settings.over_tls:
        return Security(_client(found, say), compression=compression)
    check_loopback(hosts)
    return Security(loopback_only=True, compression=compression)


def _compression(found: Found) -> str:
    named = found.settings.compression or "none"
    if named not in COMPRESSIONS:
        raise found.wrong_with("compression", f"one of {', '.join(COMPRESSIONS)}")
    return named


def settings_of(environment: Mapping[str, str]) -> Found:
    """The settings of the environment, and of the file where that says nothing. Raises LogError."""
    path = _path(environment)
    stored = _stored(path) if environment.get(CONFIG) or path.exists() else Settings()
    given = _given(environment)
    kept = msgspec.structs.asdict(stored)
    if given.keys() & {"password", "password_file"}:
        kept |= {"password": "", "password_file": ""}
    return Found(msgspec.convert(kept | given, Settings), path, given.keys())


def _path(environment: Mapping[str, str]) -> Path:
    home = environment.get("XDG_CONFIG_HOME") or f"{environment.get('HOME', '')}/.config"
    return Path(environment.get(CONFIG) or f"{home}/{AT_HOME}")


def _stored(path: Path) -> Settings:
    try:
        settings = msgspec.toml.decode(path.read_bytes(), type=Settings)
        mode = path.stat().st_mode
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as fault:
        raise LogError(f"{path}: {_reason(fault)}") from None
    if settings.password and mode & OTHERS_READ:
        raise LogError(f"{path}: others may read the password in it: chmod 600 {path}, or name a password_file")
    files = {name: str(path.parent / named) for name in _FILES if (named := getattr(settings, name))}
    return msgspec.structs.replace(settings, **files)


def _given(environment: Mapping[str, str]) -> dict[str, object]:
    """The fields that the environment has."""
    given: dict[str, object] = {}
    for name in Settings.__struct_fields__:
        value = environment.get(f"{OF_BROKERS}{name.upper()}")
        if value:
            given[name] = _is_true(f"{OF_BROKERS}{name.upper()}", value) if name == "tls" else value
    return given


def _is_true(name: str, value: str) -> bool:
    if value and value.lower() not in _TRUTH:
        raise LogError(f"{name}: 1 or 0")
    return _TRUTH.get(value.lower(), False)


def _check(found: Found) -> None:
    """Raises LogError where the settings make no sense together."""
    of = found.settings
    for name in _LINES:
        if not getattr(of, name).isprintable():
            raise found.wrong_with(name, "not one line of text")
    if of.mechanism and of.mechanism not in MECHANISMS:
        raise found.wrong(f"mechanism: one of {', '.join(MECHANISMS)}")
    if of.mechanism and not of.over_tls:
        raise found.wrong(f"{of.mechanism} is not sent over plain text: leave out tls, or set it to true")
    if of.password and of.password_file:
        raise found.wrong("password and password_file: one of them")
    for needed in MECHANISMS.get(of.mechanism, ()):
        if not any(getattr(of, name) for name in needed.split("|")):
            raise found.wrong(f"{of.mechanism} needs {needed.replace('|', ' or ')}")
    if not of.mechanism and (of.user or of.password or of.password_file or of.token_file):
        raise found.wrong(f"a login needs a mechanism: one of {', '.join(MECHANISMS)}")


def _client(found: Found, say: Callable[[str], None]) -> dict[str, object]:
    of = found.settings
    client: dict[str, object] = {"security_protocol": "SSL", "ssl_context": _trusting(found)}
    if not of.mechanism:
        return client
    client |= {"security_protocol": "SASL_SSL", "sasl_mechanism": of.mechanism}
    for name in {of.password_file, of.token_file} - {""}:
        _warn_of_readers(Path(name), say)
    if of.mechanism == "OAUTHBEARER":
        _of_file(found, "token_file")
        return client | {"sasl_oauth_token_provider": TokenFile(of.token_file)}
    password = of.password or _of_file(found, "password_file")
    return client | {"sasl_plain_username": of.user, "sasl_plain_password": password}


def _trusting(found: Found) -> ssl.SSLContext:
    ca = found.settings.ca
    try:
        return ssl.create_default_context(cafile=ca or None)
    except ssl.SSLError:
        raise found.wrong(f"ca: {ca} has no certificate (PEM)") from None
    except OSError as fault:
        raise found.wrong(f"ca: {ca}: {_reason(fault)}") from None


def _of_file(found: Found, name: str) -> str:
    path = getattr(found.settings, name)
    try:
        return _secret(Path(path))
    except (OSError, ValueError) as fault:
        raise found.wrong(f"{name}: {path}: {_reason(fault)}") from None


def _secret(path: Path) -> str:
    """What a file holds, without the end of its line. Raises OSError, ValueError."""
    with path.open("rb") as file:
        stored = file.read(SECRET_BYTES_MAX + 1)
    secret = stored.rstrip(b"\r\n").decode()
    if not secret or not secret.isprintable() or len(stored) > SECRET_BYTES_MAX:
        raise ValueError
    return secret


def _warn_of_readers(path: Path, say: Callable[[str], None]) -> None:
    if path.exists() and path.stat().st_mode & ANYBODY_READS:
        say(f"{path}: anybody may read what is secret in it: chmod 600 {path}")


def _reason(fault: Exception) -> str:
    """What is wrong with a file, with nothing of what it holds."""
    match fault:
        case OSError():
            return fault.strerror or type(fault).__name__
        case msgspec.DecodeError():
            return str(fault)  # names of fields and types, or a line and a column
        case _:
            return "not one line of text"


def check_loopback(hosts: Iterable[str]) -> None:
    """Raises LogError where plain text would leave this machine."""
    for host in hosts:
        if not _is_loopback(host):
            raise LogError(
                f"{host}: plain text is for brokers on the loopback: set tls or a mechanism ({OF_BROKERS}TLS=1), "
                "or say --plaintext"
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
