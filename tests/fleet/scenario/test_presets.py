"""Presets: what the field studies found, and no more than the mapping that stands there."""

import pytest

from fleet.scenario.presets import ALIBABA_DDR4, JAGUAR_DDR2, PRESETS, PresetName, fit_per_device, mix_of


@pytest.mark.parametrize(
    ("preset", "fit", "permanent"), [("jaguar-ddr2", 66.1, 0.71), ("alibaba-ddr4", 109.4, 0.575)]
)
def test_a_preset_has_the_studys_fit_and_share_of_permanent_faults(preset, fit, permanent):
    modes = PRESETS[PresetName(preset)]

    assert float(fit_per_device(PresetName(preset))) == pytest.approx(fit, abs=0.05)
    assert sum(m.permanent for m in modes) / sum(m.fit_100 for m in modes) == pytest.approx(permanent, abs=0.006)


def test_ddr4_leads_to_as_many_uncorrected_errors_as_were_ticketed():
    mix = mix_of(PresetName.ALIBABA_DDR4)

    assert 1 - mix["memory-ce"] / sum(mix.values()) == pytest.approx(0.0197, abs=0.0005)


def test_a_single_bit_is_corrected_and_wider_modes_less_so():
    for bits, *wider in (JAGUAR_DDR2, ALIBABA_DDR4):
        assert bits.uncorrected == 3
        assert sum(m.uncorrected * m.fit_100 for m in wider) > 5 * 3 * sum(m.fit_100 for m in wider)


@pytest.mark.parametrize("preset", PresetName)
def test_weights_are_fit_in_millionths(preset):
    assert sum(mix_of(preset).values()) == fit_per_device(preset) * 1_000_000
