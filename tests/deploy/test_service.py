"""The files that keep a worker at work are what those who read them take, and ask for no more than it needs."""

import subprocess

import pytest
import yaml

from fleet.__main__ import UNREACHABLE
from tests.tools import ROOT, tool

UNIT = ROOT / "deploy/systemd/rasfleet-worker@.service"
DROP_IN = UNIT.with_name(f"{UNIT.name}.d") / "password.conf"
MANIFEST = ROOT / "deploy/kubernetes/worker.yaml"
EXPOSED_MAX = "15"  # of 100, as systemd-analyze counts


def told(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def systemd_says(folder, text, added=""):
    """What systemd says of a unit whose program is there, with a drop-in."""
    (folder / DROP_IN.parent.name).mkdir()
    (folder / DROP_IN.parent.name / DROP_IN.name).write_text(added)
    there = text.replace("/usr/local/bin/rasfleet", "/bin/true")
    (folder / UNIT.name).write_text(there)
    return told(tool("systemd-analyze"), "verify", "--man=no", folder / UNIT.name)


def test_systemd_takes_the_unit(tmp_path):
    assert systemd_says(tmp_path, UNIT.read_text()) == (0, "")


def test_systemd_says_what_is_wrong_with_a_unit(tmp_path):
    _, said = systemd_says(tmp_path, UNIT.read_text().replace("ProtectHome=yes", "ProtectHomes=yes"))

    assert "ProtectHomes" in said


def test_systemd_takes_the_unit_with_a_password(tmp_path):
    assert systemd_says(tmp_path, UNIT.read_text(), DROP_IN.read_text()) == (0, "")


def test_systemd_says_what_is_wrong_with_a_drop_in(tmp_path):
    _, said = systemd_says(tmp_path, UNIT.read_text(), DROP_IN.read_text().replace("LoadCred", "LoadKred"))

    assert "LoadKredential" in said


def settings(path):
    """The lines of a unit that say something."""
    return [line.partition("=")[::2] for line in path.read_text().splitlines() if line[:1] not in ("#", "[", "")]


def test_a_unit_without_its_drop_in_knows_of_no_login():
    drop_in = dict(settings(DROP_IN))

    assert drop_in.keys() == {"LoadCredential", "Environment"}
    assert drop_in["Environment"] == "RASFLEET_KAFKA_PASSWORD_FILE=%d/password"
    assert not drop_in.keys() & dict(settings(UNIT)).keys()


def test_a_worker_without_brokers_is_started_again_for_ever():
    said = dict(settings(UNIT))

    assert said["Restart"] == "on-failure"
    assert (said["StartLimitIntervalSec"], "StartLimitBurst" in said) == ("0", False)
    assert str(UNREACHABLE) not in said["RestartPreventExitStatus"].split()


def test_systemd_finds_the_unit_exposed_to_little():
    code, said = told(
        tool("systemd-analyze"), "security", "--offline=true", f"--threshold={EXPOSED_MAX}", "--no-pager", UNIT
    )

    assert code == 0, said


def kubernetes_says(path):
    return told(tool("kubernetes-validate"), "--strict", path)


def test_kubernetes_schemas_take_the_manifest():
    code, said = kubernetes_says(MANIFEST)

    assert code == 0, said


def test_kubernetes_schemas_refuse_a_misspelt_key(tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(MANIFEST.read_text().replace("readinessProbe", "readynessProbe"))
    code, said = kubernetes_says(wrong)

    assert code == 1
    assert "readynessProbe" in said


def test_a_linter_takes_the_dockerfile():
    assert told(tool("hadolint"), ROOT / "deploy/Dockerfile") == (0, "")


@pytest.fixture(scope="module")
def objects():
    return {of["kind"]: of for of in yaml.safe_load_all(MANIFEST.read_text())}


def test_a_pod_may_do_nothing_but_work(objects):
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    rights = container["securityContext"]

    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod["automountServiceAccountToken"]
    assert rights["runAsNonRoot"]
    assert rights["readOnlyRootFilesystem"]
    assert not rights["allowPrivilegeEscalation"]
    assert rights["capabilities"] == {"drop": ["ALL"]}


def test_a_stop_has_time_to_leave_everything_written(objects):
    assert objects["Deployment"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > 10
    assert "TimeoutStopSec=15" in UNIT.read_text()


def test_probes_ask_what_is_answered(objects):
    (container,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]

    assert {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe")} == {"/healthz"}
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["args"][-1].endswith(f":{container['ports'][0]['containerPort']}")


def test_no_secret_stands_in_a_file(objects):
    assert "Secret" not in objects
    assert not [line for line in UNIT.read_text().splitlines() if "PASSWORD=" in line or "TOKEN=" in line]
