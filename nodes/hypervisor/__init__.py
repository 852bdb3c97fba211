"""The host's kernel, KVM, and QEMU."""
