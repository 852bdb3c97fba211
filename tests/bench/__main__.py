"""``python -m tests.bench``: measures and prints a table; never fails, whatever the figures are."""

from tests.bench import instructions, kafka, memory, plans, rates, resident, snapshots, workers


def main():
    rates.show(rates.rows())
    rates.show(instructions.rows())
    each = resident.measured()
    what = f"{resident.HOSTS:,} hosts with 4 guests, {resident.FAULTS} faults each; target 4,096"
    rates.show([rates.Row("resident memory of a host of the storm", f"{each:,.0f} bytes", what)])
    rates.show(list(plans.rows()))
    memory.main()
    rates.show(workers.rows())
    rates.show(snapshots.rows())
    rates.show(kafka.rows())


if __name__ == "__main__":
    main()
