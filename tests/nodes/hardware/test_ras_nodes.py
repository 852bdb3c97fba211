"""The RAS nodes of a host: their names, features and set-up agree with one another."""

import pytest

from nodes.hardware.ras_nodes import MODELS, RasNodeKind, controls_of, model_of, ras_node, ras_node_text
from nodes.spec.err import ErrCtlr, ErrFr, counters_of

every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.kind.name)


@every_model
def test_firmware_sets_only_controls_that_exist(model):
    assert not model.ctlr & ~model.controls
    assert model.controls == controls_of(model.fr)


@every_model
def test_features_that_need_others_have_them(model):
    fr = ErrFr(model.fr)

    assert fr.CEC or not (fr.RP or fr.CEO)  # a pair and overwriting need a counter
    assert fr.UI or not (fr.DUI or fr.CI)  # ERI first
    assert fr.FI >= 2 or not fr.CFI
    assert model.counters == counters_of(model.fr)


@every_model
def test_a_ras_node_is_enabled_with_its_interrupts_after_boot(model):
    ctlr = ErrCtlr(model.ctlr)

    assert ErrFr(model.fr).ED == 1 or ctlr.ED
    assert (ctlr.FI, ctlr.UI) == (1, 1)


def test_the_table_of_models_is_in_the_order_of_the_kinds():
    assert [model.kind for model in MODELS] == list(RasNodeKind)


@pytest.mark.parametrize("kind", RasNodeKind)
def test_a_name_tells_kind_and_instance(kind):
    node = ras_node(kind, 7)

    assert model_of(node).kind is kind
    assert ras_node_text(node) == f"{kind.name.lower()} 7"


def test_names_are_unique():
    nodes = {ras_node(kind, instance) for kind in RasNodeKind for instance in range(256)}

    assert len(nodes) == 256 * len(RasNodeKind)
