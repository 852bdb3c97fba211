"""The accounting check: every open occurrence is really somewhere.

The ledger alone balances by construction; what makes it true is that the floors carry what it says is open.
"""

from nodes.ledger import OPEN, Account
from nodes.stack.machine import Machine


def accounted(machine: Machine) -> bool:
    """Whether both ledgers balance and agree with what the floors carry."""
    in_flight, pending = machine.guests.carried()
    host, guests = machine.ledger, machine.guests.ledger
    carried = machine.board.carried() + machine.monitor.carried() + machine.kernel.carried()
    carried += sum(source.carried for source in machine.sources)
    return (
        host.balanced()
        and guests.balanced()
        and sum(host.counts[account] for account in OPEN) == carried
        and guests.counts[Account.IN_FLIGHT] == in_flight
        and guests.counts[Account.PENDING] == pending
        and guests.counts[Account.LATENT] == 0
    )
