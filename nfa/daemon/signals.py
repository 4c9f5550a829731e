"""The daemon's signals, from its first moment on. Only what Python has loaded already is imported here.

SIGHUP: read the configuration again. SIGTERM, SIGINT: end. In: a signal, before the daemon is there to act on it. Out:
`heard`, which says what it was. Over an exec signals are held back, and none is lost.
"""

MYPY = False
if MYPY:
    import signal
else:
    import _signal as signal

ALL = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)


class Heard:
    """What was asked for before the daemon could do it. A reload needs no note: the first policy is compiled after that."""

    stop = False


heard = Heard()


def _stop(number: int, frame: object) -> None:
    heard.stop = True


def _reload(number: int, frame: object) -> None:
    pass


def hear() -> None:
    """From now on, no signal ends the process."""
    for number in ALL:
        signal.signal(number, _reload if number == signal.SIGHUP else _stop)
    release()


def hold() -> None:
    """Hold signals back until the next `hear`: an exec sets handlers back to what ends the process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ALL)


def release() -> None:
    """Hold signals back no longer."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ALL)
