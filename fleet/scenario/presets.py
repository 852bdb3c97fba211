"""DRAM faults as field studies found them: FIT a device by mode, and what this model makes of each.

A fault of one bit is corrected. Of a wider one some errors meet more bits than ECC corrects: ``uncorrected`` is
that share, out of 1,000 faults. For DDR4 it is the share of faults whose server had a ticket about an uncorrected
error, an upper estimate; for DDR2 the study says none, and the DDR4 mode of the same shape is assumed. A fault
gives one error here, transient or permanent: a permanent one does not come back by itself (write it as `each` or a
script). What kind of uncorrected error it is, is assumed: see UNCORRECTED.

Sources: Sridharan and Liberty, SC'12 (Jaguar, DDR2), as FaultSim's Settings.hh has its rates; lpharch
DRAM_FAULT_SIM, dram_error_analysis/FITrate.csv (DDR4, from Alibaba's logs of October 2019 to May 2020).
"""

from enum import StrEnum
from fractions import Fraction
from typing import Final, NamedTuple

DEVICES_OF_DIMM: Final = 36  # x4: 18 a rank, two ranks; assumed for every DIMM of the model


class PresetName(StrEnum):
    """A field study of DRAM faults."""

    JAGUAR_DDR2 = "jaguar-ddr2"
    ALIBABA_DDR4 = "alibaba-ddr4"


class Mode(NamedTuple):
    """One way in which a DRAM device fails."""

    name: str
    transient: int  # FIT a device, in hundredths
    permanent: int  # FIT a device, in hundredths
    uncorrected: int  # of 1,000 faults

    @property
    def fit_100(self) -> int:
        """FIT a device, in hundredths."""
        return self.transient + self.permanent


JAGUAR_DDR2: Final = (
    Mode("single bit", 1420, 1860, 3),
    Mode("single word", 140, 30, 3),
    Mode("single column", 140, 560, 32),
    Mode("single row", 20, 820, 28),
    Mode("single bank", 80, 1000, 204),
    Mode("multiple banks", 30, 140, 148),
    Mode("multiple ranks", 90, 280, 73),
)

ALIBABA_DDR4: Final = (  # the file's share of permanent faults, of its FIT
    Mode("isolated bits", 2934, 4589, 3),
    Mode("local wordline", 94, 692, 28),
    Mode("single sense amp", 510, 97, 26),
    Mode("single CSL, bank-wide", 390, 21, 9),
    Mode("single CSL, column", 203, 8, 32),
    Mode("wordline select", 161, 33, 24),
    Mode("local wordline, two clusters", 15, 155, 7),
    Mode("multi rank", 25, 131, 73),
    Mode("potential sense amp", 0, 134, 26),
    Mode("unclustered multi bank", 27, 97, 148),
    Mode("column decoder, single column", 101, 1, 387),
    Mode("multiple CSLs", 36, 53, 107),
    Mode("consecutive rows", 5, 73, 52),
    Mode("unclustered single bank", 39, 37, 204),
    Mode("subarray row decoder", 19, 56, 122),
    Mode("subarray row decoder, two clusters", 18, 55, 191),
    Mode("potential CSL column", 0, 46, 54),
    Mode("column decoder, several columns", 34, 3, 85),
    Mode("wordline select 2", 30, 4, 75),
    Mode("bank control", 0, 15, 217),
    Mode("unclustered single column", 1, 1, 0),
)

PRESETS: Final = {PresetName.JAGUAR_DDR2: JAGUAR_DDR2, PresetName.ALIBABA_DDR4: ALIBABA_DDR4}

# How an uncorrected error shows itself, of 10; assumed: a load meets it, a patrol scrub finds it, a writer of the
# cache takes it for poison, a store meets it.
UNCORRECTED: Final = {"memory-uer": 5, "memory-ueo": 3, "memory-de": 1, "memory-ueu": 1}


def fit_per_device(preset: PresetName) -> Fraction:
    """FIT of one DRAM device, over all modes."""
    return Fraction(sum(mode.fit_100 for mode in PRESETS[preset]), 100)


def mix_of(preset: PresetName) -> dict[str, int]:
    """The weight of each kind of fault; all together they are FIT a device in millionths."""
    uncorrected = sum(mode.fit_100 * mode.uncorrected for mode in PRESETS[preset])
    whole = sum(mode.fit_100 * 1000 for mode in PRESETS[preset])
    mix = {name: uncorrected * tenths for name, tenths in UNCORRECTED.items()}
    return {"memory-ce": (whole - uncorrected) * 10} | mix
