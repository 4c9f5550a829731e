"""`micropython -m nfa.daemon.micropython policy.img`: fill kernel sets by a policy compiled elsewhere (docs/micropython.md)."""

import gc
import sys

# What modules leave when they are compiled goes at once: the heap stays small.
gc.threshold(48 << 10)  # type: ignore[attr-defined]  # MicroPython's gc

from ...image.micropython import ImageError, load  # noqa: E402 (after the threshold)
from ..base.messages import Log  # noqa: E402 (after the threshold)
from ..base.portable import reason  # noqa: E402 (after the threshold)

USAGE = """\
usage: micropython -m nfa.daemon.micropython IMAGE [-s SOURCE] [--control PATH]

IMAGE comes from: nfa compile --micropython -o IMAGE
-s SOURCE       netifyd's socket, unix://PATH or tcp://ADDRESS:PORT (default: that of the image)
--control PATH  the control socket (default: /var/run/nfa/control.sock)"""
CONTROL = "/var/run/nfa/control.sock"


def options(words: "list[str]") -> "dict[str, str]":
    """Return the options of the command line. Raises ValueError."""
    found = {"image": "", "source": "", "control": CONTROL}
    names = {"-s": "source", "--source": "source", "--control": "control"}
    words = list(words)
    while words:
        word = words.pop(0)
        if word in names and words:
            found[names[word]] = words.pop(0)
        elif word.startswith("-") or found["image"]:
            raise ValueError(word)
        else:
            found["image"] = word
    if not found["image"] or not found["control"].startswith("/"):
        raise ValueError
    return found


def main(words: "list[str]") -> int:
    """Run. Returns the exit code: 0 ended by a signal, 1 it cannot run, 2 wrong usage."""
    try:
        chosen = options(words)
    except ValueError:
        print(USAGE)
        return 2
    log = Log()
    try:
        return run(chosen, log)
    except MemoryError:
        log.say("error", chosen["image"] + " does not fit into memory; allow more: micropython -X heapsize=8M")
        return 1


def run(chosen: "dict[str, str]", log: Log) -> int:
    """Run with the options of the command line. Returns the exit code. Raises MemoryError when the policy does not fit."""
    try:
        with open(chosen["image"], "rb") as file:
            data = load(file.read())
    except ImageError as failure:
        log.say("error", chosen["image"] + ": " + str(failure))
        return 1
    except OSError as failure:
        log.say("error", chosen["image"] + " cannot be read: " + reason(failure))
        return 1
    gc.collect()
    from .daemon import MicroDaemon  # after the image was read: a file that is no image is reported with little memory

    try:
        daemon = MicroDaemon(data, chosen["source"] or data["source"], chosen["control"], chosen["image"], log)
    except ValueError as failure:
        log.say("error", str(failure))
        return 2
    return daemon.run(data)


sys.exit(main(sys.argv[1:]))
