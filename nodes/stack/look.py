"""Everything that a host holds at a time, as one object: registers, records, sources, pages, guests, ledgers.

Registers, addresses and page frame numbers are strings of lower-case hex with ``0x``; blocks are hex without.
Looking changes nothing that a host does.
"""

from typing import Any

from nodes.apei.source import Sources
from nodes.el3.sdei import PLATFORM_EVENTS
from nodes.hardware.pe import NOTHING, Pe
from nodes.hardware.ras_nodes import ras_node_text
from nodes.hardware.record import RecordRegister
from nodes.hypervisor.kvm import Vcpu
from nodes.ledger import ledger_json
from nodes.linux.kernel import LinuxKernel
from nodes.spec.aarch64 import IsrEl1
from nodes.stack.guests import Guest
from nodes.stack.machine import Machine

Json = dict[str, Any]


def state_of(machine: Machine) -> Json:
    """The state of a host."""
    board = machine.board
    return {
        "host": machine.name,
        "time_ns": machine.now,
        "down": machine.down,
        "ras_nodes": {
            ras_node_text(node): {register.name: hex(record.read(register)) for register in RecordRegister}
            for node, record in sorted(board.records.items())
        },
        "poison": {hex(line): carried for line, carried in sorted(board.poison.items())},
        "pes": {str(number): _pe(pe) for number, pe in sorted(board.pes.touched.items())},
        "sdei": {
            "masked": machine.monitor.sdei.masked,
            "running": {str(pe): list(events) for pe, events in sorted(machine.monitor.sdei.running.items())},
            "handlers": {str(event): machine.monitor.sdei.state(event) for event in sorted(PLATFORM_EVENTS)},
        },
        "sources": _sources(machine.sources),
        "kernel": _kernel(machine.kernel.linux),
        "guests": {str(index): _guest(machine, index) for index in range(machine.platform.shape.guests)},
        "ledger": ledger_json(machine.ledger) | {"guests": ledger_json(machine.guests.ledger)},
    }


def _pe(pe: Pe) -> Json:
    return {
        "el": pe.el,
        "guest": None if pe.guest < 0 else pe.guest,
        "masked": pe.masked,
        "sdei_masked": pe.sdei_masked,
        "SCR_EL3": hex(pe.scr),
        "HCR_EL2": hex(pe.hcr),
        **{f"SCTLR_EL{level}": hex(value) for level, value in enumerate(pe.sctlr) if level},
        "ISR_EL1": hex(0 if pe.pending == NOTHING else IsrEl1.A.mask),
        "DISR_EL1": hex(pe.disr),
        "pending": None if pe.pending == NOTHING else hex(pe.pending),
    }


def _sources(sources: Sources) -> list[Json]:
    """The error sources that were ever used."""
    return [
        {
            "source_id": source.kind.source_id,
            "notification": source.kind.notification.name.lower(),
            "read_ack": source.read_ack,
            "block": source.block.hex() or None,
            "carried": source.carried,
        }
        for source in sorted(sources.made, key=lambda source: source.kind.source_id)
    ]


def _kernel(linux: LinuxKernel) -> Json:
    """What a kernel keeps of errors."""
    reader, failure = linux.reader, linux.failure
    return {
        "pool_used": reader.pool_used,
        "cached": sum(cached is not None for cached in reader.cache),
        "queued_pages": [hex(address) for address, _, _ in failure.fifo],
        "poisoned_pages": [hex(pfn) for pfn in sorted(failure.poisoned)],
        "lost_pages": [hex(pfn) for pfn, lost in sorted(failure.poisoned.items()) if lost],
    }


def _guest(machine: Machine, index: int) -> Json:
    guests = machine.guests
    state = guests.guests.get(index)
    head = {"alive": guests.alive(index), "hest": hex(guests.booted(index).hest)}
    return head | (_touched(state) if state is not None else {})


def _touched(state: Guest) -> Json:
    """A guest that something concerned."""
    kernel, vmm = state.kernel, state.vmm
    return {
        "panicked": kernel.down,
        "acknowledges": kernel.acknowledges,
        "vcpu": _vcpu(state.vcpu),
        "sources": _sources(vmm.sources),
        "waiting_blocks": [block.hex() for _, block in vmm.queue],
        "kernel": _kernel(kernel.running()),
    }


def _vcpu(vcpu: Vcpu) -> Json:
    return {
        "el": vcpu.el,
        "masked": vcpu.masked,
        "HCR_EL2": hex(vcpu.hcr()),
        "ISR_EL1": hex(IsrEl1.A.mask if vcpu.vse else 0),  # as the guest reads it: HCR_EL2.AMO is 1
        "VSESR_EL2": hex(vcpu.vsesr),
        "VDISR_EL2": hex(vcpu.vdisr),
        "pending": vcpu.vse,
    }
