"""Events as people read them."""

import pytest

from fleet.view.present import fields_of
from nodes.events import CallFailed


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (0, "deadline expired"),
        (-1, "-1 NOT_SUPPORTED, EFI_ACCESS_DENIED"),
        (-2, "-2 INVALID_PARAMETER, EFI_INVALID_PARAMETER"),
        (-3, "-3 DENIED, EFI_ACCESS_DENIED"),
        (-5, "-5 NO_MEMORY, EFI_ACCESS_DENIED"),
    ],
)
def test_the_end_of_a_call_is_shown_with_what_uefi_makes_of_it(code, says):
    assert fields_of(CallFailed(0, "h1", 1, 0, 5, code))["code"] == says
