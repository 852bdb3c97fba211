"""One virtual host: hardware, EL3 firmware, hypervisor and guests."""
