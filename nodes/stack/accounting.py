"""The accounting check: every open occurrence is really somewhere.

The ledger alone balances by construction; what makes it true is that the floors carry what it says is open.
"""

from nodes.ledger import Account
from nodes.stack.machine import Machine


def accounted(machine: Machine) -> bool:
    """Whether both ledgers balance and agree with what the floors carry."""
    in_flight, pending = machine.guests.carried()
    host, guests = machine.ledger, machine.guests.ledger
    carried = machine.board.carried() + machine.monitor.carried() + machine.kernel.carried()
    carried += machine.sources.carried()
    return (
        host.balanced()
        and guests.balanced()
        and host.open() == carried
        and guests[Account.IN_FLIGHT] == in_flight
        and guests[Account.PENDING] == pending
        and guests[Account.LATENT] == 0
    )
