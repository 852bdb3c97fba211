"""The AsyncAPI document: valid by the official schema, as it is committed, and about the topics that there are."""

import copy
import json
import subprocess

import pytest
import yaml
from jsonschema import Draft7Validator

from fleet.contract.asyncapi import document, text
from fleet.contract.kept import KEPT
from fleet.log.kafka.log import OF_A_RUN
from fleet.log.kafka.names import RUNS, topic_of
from fleet.log.kafka.security import MECHANISMS
from fleet.log.kafka.topics import SETTINGS
from tests.cli import rasfleet
from tests.facts import KINDS
from tests.pin_schema import ASYNCAPI, HOW
from tests.runs import ROOT
from tests.tools import from_npm, needs_node

ADDRESSES = {topic_of("{run}", topic): topic for topic in (RUNS, *OF_A_RUN)}
OFFICIAL = Draft7Validator(json.loads((ROOT / "tests" / "golden" / "asyncapi" / "3.0.0.json").read_text()))


def test_the_committed_document_is_what_the_command_prints():
    assert ASYNCAPI.read_text() == text() == rasfleet("schema", "asyncapi").out, HOW


def test_the_document_is_valid_by_the_official_schema():
    found = yaml.safe_load(text())

    assert found == json.loads(json.dumps(document()))
    assert [error.message for error in OFFICIAL.iter_errors(found)] == []


PARSED = """
const { Parser } = require("@asyncapi/parser");
new Parser().parse(require("fs").readFileSync(0, "utf8")).then(({ document, diagnostics }) =>
  console.log(JSON.stringify({
    faults: diagnostics.filter(({ severity }) => severity < 2).map(({ message }) => message),
    channels: document?.channels().all().map((channel) => channel.address()),
    messages: document?.allMessages().all().map((message) => message.name()),
    schemes: Object.fromEntries((document?.servers().all() ?? []).map((server) => [
      server.id(), server.security().flatMap((of) => of.all().map((each) => each.scheme().type()))])),
  })));
"""


def parsed(text):
    """What AsyncAPI's own parser makes of a document: errors and warnings, channels, messages."""
    folder = from_npm("@asyncapi/parser", "3.6.6")
    done = subprocess.run(
        ["node", "-e", PARSED], input=text, capture_output=True, text=True, cwd=folder, check=True
    )
    return json.loads(done.stdout)


@needs_node
def test_the_parser_of_asyncapi_has_nothing_to_say_and_finds_every_channel_and_message():
    found = parsed(ASYNCAPI.read_text())

    assert found["faults"] == []
    assert sorted(found["channels"]) == sorted(ADDRESSES)
    assert found["schemes"] == {"local": [], "secured": ["scramSha512", "plain", "oauth2"]}
    assert set(found["messages"]) == set(document()["components"]["messages"])


@needs_node
def test_the_parser_of_asyncapi_finds_a_reference_to_nothing():
    assert parsed(ASYNCAPI.read_text().replace("schemas/SErrorTaken", "schemas/SErrorTeken", 1))["faults"]


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found["channels"]["commands"].update(adress=""),
        lambda found: found["operations"]["takeCommands"].update(action="take"),
        lambda found: found["channels"]["outcomes"]["bindings"]["kafka"].update(partitions=0),
        lambda found: found["components"]["messages"]["SErrorTaken"]["bindings"]["kafka"].update(keys={}),
        lambda found: found["components"]["schemas"]["SErrorTaken"].update(type="row"),
        lambda found: found["components"]["schemas"]["ShardSummary"].update(items=0),
        lambda found: found["components"]["securitySchemes"]["scram"].update(type="scram"),
        lambda found: found["servers"]["secured"].update(security="scram"),
        lambda found: found.pop("info"),
    ],
)
def test_a_mistake_in_it_is_found(change):
    found = copy.deepcopy(document())
    change(found)

    assert not OFFICIAL.is_valid(json.loads(json.dumps(found)))


def test_it_has_every_topic_with_its_settings_and_every_event():
    found = document()
    channels = {channel["address"]: channel for channel in found["channels"].values()}

    assert channels.keys() == ADDRESSES.keys()
    for address, topic in ADDRESSES.items():
        told = channels[address]["bindings"]["kafka"]["topicConfiguration"]
        assert {
            name: str(value[0] if isinstance(value, list) else value) for name, value in told.items()
        }.items() <= (SETTINGS[topic].items())
    named = {name for channel in channels.values() for name in channel["messages"]}
    assert named == {kind.__name__ for kind in KINDS} | {kept.name for kept in KEPT}


def test_it_has_every_login():
    found = document()["components"]["securitySchemes"]

    assert len(found) == len(MECHANISMS)
    assert all(any(name in of["description"] for of in found.values()) for name in MECHANISMS)
