"""Settings of TLS and login: where they come from, what is refused, and that no secret is told."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.log.kafka.security import (
    MECHANISMS,
    SECRET_BYTES_MAX,
    NoToken,
    Security,
    TokenFile,
    check_loopback,
    security_of,
    settings_of,
)
from fleet.log.protocol import LogError

SECRET = "canary-8b1f"
LOCAL, FAR = "127.0.0.1:9092", "kafka.example:9093"
SCRAM = {"mechanism": "SCRAM-SHA-512", "user": "worker", "password": SECRET}


@pytest.fixture
def home(tmp_path):
    """A home without settings, and what writes a file with some."""

    class Home:
        environment = {"HOME": str(tmp_path)}

        def write(self, text, mode=0o600, name=".config/rasfleet/kafka.toml"):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
            path.chmod(mode)
            return path

    return Home()


def environment(**fields):
    return {f"RASFLEET_KAFKA_{name.upper()}": str(value) for name, value in fields.items()}


def compression_of(home, servers=LOCAL, **fields):
    return secured(home.environment | environment(**fields), servers).compression


def secured(given, servers=FAR, say=lambda said: None):
    return security_of(servers, given, say=say)


def test_without_settings_the_loopback_is_talked_to_in_plain_text(home):
    assert secured(home.environment, LOCAL) == Security(loopback_only=True)


@pytest.mark.parametrize("servers", [FAR, f"{LOCAL},{FAR}", "10.0.0.1:9092", "[2001:db8::1]:9092"])
def test_plain_text_to_elsewhere_has_to_be_asked_for(home, servers):
    with pytest.raises(LogError, match=r"plain text is for brokers on the loopback.* or say --plaintext"):
        secured(home.environment, servers)
    assert secured(home.environment | environment(plaintext=1), servers) == Security()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.3.2.1", "::1"])
def test_the_loopback_has_several_names(host):
    check_loopback([host])


def test_the_file_at_home_is_read(home):
    home.write("mechanism = 'PLAIN'\nuser = 'worker'\npassword = 'a'")
    client = secured(home.environment).client

    assert client["security_protocol"] == "SASL_SSL"
    assert (client["sasl_mechanism"], client["sasl_plain_username"]) == ("PLAIN", "worker")
    assert client["ssl_context"].verify_mode == ssl.CERT_REQUIRED
    assert client["ssl_context"].check_hostname


def test_the_environment_counts_more_than_the_file(home):
    named = home.write("mechanism = 'PLAIN'\nuser = 'worker'\npassword = 'a'", name="other.toml")
    password = home.write("b\n", name="password")
    given = {"RASFLEET_CONFIG": str(named)} | environment(password_file=password, user="scorer")
    client = secured(given).client

    assert (client["sasl_plain_username"], client["sasl_plain_password"]) == ("scorer", "b")
    assert client["sasl_mechanism"] == "PLAIN"


def test_batches_are_compressed_as_the_file_says_unless_the_environment_says_otherwise(home):
    assert compression_of(home) == "none"
    home.write("compression = 'zstd'")

    assert compression_of(home) == compression_of(home, FAR, plaintext=1) == compression_of(home, tls=1) == "zstd"
    assert compression_of(home, compression="none") == "none"


@pytest.mark.parametrize("plain", [{}, {"plaintext": 1}], ids=str)
def test_a_compression_that_nobody_knows_is_told_where_it_stands(home, plain):
    path = home.write("compression = 'gzip'")

    with pytest.raises(LogError, match=f"^{path}: compression: one of none, lz4, zstd$"):
        compression_of(home, **plain)
    with pytest.raises(LogError, match=r"^RASFLEET_KAFKA_COMPRESSION: one of none, lz4, zstd$"):
        compression_of(home, compression="snappy", **plain)


def test_a_file_that_is_named_by_a_relative_path_lies_beside_the_settings(home, monkeypatch, tmp_path):
    home.write("b", name=".config/rasfleet/secret/password")
    home.write("mechanism = 'PLAIN'\nuser = 'worker'\npassword_file = 'secret/password'")
    monkeypatch.chdir(tmp_path)

    assert secured(home.environment).client["sasl_plain_password"] == "b"


@pytest.mark.parametrize("name", ["user", "ca", "password_file", "token_file"])
def test_what_is_told_of_settings_is_one_line(home, name):
    with pytest.raises(LogError, match=f"^RASFLEET_KAFKA_{name.upper()}: not one line of text$"):
        secured(home.environment | environment(**{"mechanism": "PLAIN", "user": "a", name: "a\nb"}))
    home.write(f'{name} = "a\\u001bb"')
    with pytest.raises(LogError, match=f"kafka.toml: {name}: not one line of text$"):
        secured(home.environment)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (SCRAM | {"tls": 0}, "SCRAM-SHA-512 is not sent over plain text"),
        ({"mechanism": "PLAIN", "tls": "no"}, "PLAIN is not sent over plain text"),
        ({"mechanism": "GSSAPI"}, "mechanism: one of PLAIN, SCRAM-SHA-512, OAUTHBEARER"),
        ({"mechanism": "PLAIN", "user": "worker"}, "PLAIN needs password or password_file"),
        ({"mechanism": "SCRAM-SHA-512", "password": SECRET}, "SCRAM-SHA-512 needs user"),
        ({"mechanism": "OAUTHBEARER", "password": SECRET}, "OAUTHBEARER needs token_file"),
        ({"password": SECRET, "user": "worker", "tls": 1}, "a login needs a mechanism"),
        (SCRAM | {"password_file": "/x"}, "password and password_file: one of them"),
        (SCRAM | {"ca": "/no/such"}, "ca: /no/such: No such file or directory"),
        (SCRAM | {"ca": "/dev/null"}, r"ca: /dev/null has no certificate \(PEM\)"),
        (
            {"mechanism": "PLAIN", "user": "a", "password_file": "/no/such"},
            "password_file: /no/such: No such file",
        ),
        ({"mechanism": "OAUTHBEARER", "token_file": "/no/such"}, "token_file: /no/such: No such file"),
        ({"mechanism": "OAUTHBEARER", "token_file": "/dev/null"}, "token_file: /dev/null: not one line of text"),
        ({"tls": SECRET}, "RASFLEET_KAFKA_TLS: 1 or 0"),
    ],
    ids=str,
)
def test_settings_that_do_not_do_are_told_in_a_line_without_what_is_secret(home, fields, said):
    with pytest.raises(LogError, match=said) as refused:
        secured(home.environment | environment(**fields))

    assert SECRET not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        f"password = {SECRET}",
        f"pasword = '{SECRET}'",
        f"password = ['{SECRET}']",
        f"tls = '{SECRET}'",
        f"password = '{SECRET}",
        f"password = '{SECRET}'\npassword = '{SECRET}'",
        b"\xff" + SECRET.encode(),
    ],
    ids=str,
)
def test_a_file_that_cannot_be_read_is_named_and_not_repeated(home, text):
    path = home.write(text)
    with pytest.raises(LogError, match=str(path)) as refused:
        secured(home.environment)

    assert SECRET not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_named_has_to_be_there(home):
    with pytest.raises(LogError, match="/no/such: No such file or directory"):
        secured({"RASFLEET_CONFIG": "/no/such"}, LOCAL)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_password_in_a_file_that_others_may_open_is_refused(home, mode):
    home.write("mechanism = 'PLAIN'\nuser = 'worker'\npassword = 'a'", mode)
    with pytest.raises(LogError, match="others may read the password in it: chmod 600"):
        secured(home.environment)


def test_a_file_without_a_password_may_be_read_by_all(home):
    password = home.write("a", name="password")
    home.write(f"mechanism = 'PLAIN'\nuser = 'worker'\npassword_file = '{password}'", 0o644)

    assert secured(home.environment).client["sasl_plain_password"] == "a"


@pytest.mark.parametrize(("mode", "warned"), [(0o600, 0), (0o440, 0), (0o644, 1)])
def test_a_file_of_a_password_that_anybody_may_read_is_warned_of(home, mode, warned):
    password, told = home.write("a", mode, "password"), []
    secured(environment(mechanism="PLAIN", user="a", password_file=password), say=told.append)

    assert len(told) == warned
    assert all(f"chmod 600 {password}" in line for line in told)


@given(
    st.fixed_dictionaries(
        {"mechanism": st.sampled_from([*MECHANISMS, SECRET])},
        optional={name: st.just(SECRET) for name in ("password", "tls")} | {"user": st.just("worker")},
    )
)
def test_no_repr_and_no_message_has_a_secret(fields):
    given = {"HOME": "/no/such"} | environment(**fields)
    try:
        said = repr(secured(given)) + repr(settings_of(given))
    except LogError as refused:
        said = str(refused)

    assert SECRET not in said


async def test_a_token_is_read_anew_each_time(home):
    path = home.write("first\n", name="token")
    tokens = TokenFile(str(path))
    assert await tokens.token() == "first"
    home.write("second", name="token")
    assert await tokens.token() == "second"


@pytest.mark.parametrize(
    "text", ["", "\n", f"{SECRET}\n{SECRET}", f"{SECRET}\x01auth=other", b"\xff", "a" * SECRET_BYTES_MAX + "a"]
)
async def test_what_is_no_token_is_not_sent(home, text):
    path = home.write(text, name="token")
    with pytest.raises(NoToken, match=f"token file {path}: not one line of text") as refused:
        await TokenFile(str(path)).token()

    assert SECRET not in str(refused.value)
