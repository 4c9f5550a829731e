"""`signal` as the daemon uses it: the C module of CPython, without the Python around it. `base.socket` says why."""

MYPY = False
if MYPY:
    from signal import *  # noqa: F403 (this module is that one)
else:
    from _signal import *  # noqa: F403 (this module is that one)
