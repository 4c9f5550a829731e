"""Signals that end the daemon under MicroPython, which has no module for them; with `ffi`, libc makes a descriptor of them.

Out: a descriptor that can be read when SIGTERM, SIGINT or SIGHUP came, or -1: then the signal ends the process there and then.
"""

from ..base.portable_micropython import MIPS

SIGHUP, SIGINT, SIGTERM = 1, 2, 15
_SIG_BLOCK = 1 if MIPS else 0


def open_signals() -> int:
    """Return the descriptor, -1 where there can be none."""
    try:
        import ffi

        libc = ffi.open(None)
        signals = bytearray(128)
        libc.func("i", "sigemptyset", "p")(signals)
        add = libc.func("i", "sigaddset", "pi")
        for number in (SIGHUP, SIGINT, SIGTERM):
            add(signals, number)
        descriptor: int = libc.func("i", "signalfd", "ipi")(-1, signals, 0)
        if descriptor >= 0 and libc.func("i", "sigprocmask", "ipp")(_SIG_BLOCK, signals, None):
            return -1
        return descriptor
    except (ImportError, OSError, ValueError, TypeError):
        return -1
