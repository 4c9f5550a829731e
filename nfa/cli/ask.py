"""Calls of the running daemon over its control socket, for the commands that show or change what it does.

In: a method and its arguments (docs/bus.md). Out: the answer, or `Unanswered` with words for the user.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

from ..compiler.base.paths import Paths
from ..compiler.base.report import Reports
from ..compiler.config.options import DEFAULT_CONTROL
from ..compiler.config.sources import UCI_FOLDER, Sources, read_main
from ..daemon.bus.control import call

PAGE = 1000  # items of a list that are asked for at once; the most that the daemon gives


class Unanswered(Exception):
    """No daemon answers, or it refuses; the message says why, and what to do."""


def add_control_argument(parser: argparse.ArgumentParser) -> None:
    """Add --control and -u."""
    parser.add_argument("--control", metavar="PATH", help=f"control socket (default: control of UCI, else {DEFAULT_CONTROL})")
    parser.add_argument("-u", "--uci", metavar="DIR", default=UCI_FOLDER, help="UCI folder (default: %(default)s)")


def control_of(arguments: argparse.Namespace) -> str:
    """Return the control socket: what the option names, else what the daemon takes by itself."""
    given: str | None = arguments.control
    return given or str(read_main(Sources(arguments.uci), Paths(), Reports())["control"])


def ask(control: str, method: str, arguments: dict[str, object] | None = None, timeout: float = 5.0) -> dict[str, Any]:
    """Return the daemon's answer; `timeout` in seconds. Raises Unanswered."""
    try:
        return call(control, method, arguments or {}, timeout)
    except (FileNotFoundError, ConnectionRefusedError):
        message = f"no daemon answers on {control}: is it running? (nfa run; on OpenWrt: service nfa start)"
    except PermissionError:
        message = f"only root may ask the daemon: {control} cannot be opened (try sudo)"
    except OSError as failure:
        message = f"{control}: {failure.strerror or failure}"
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        message = f"what answers on {control} is not nfa; name its control socket with --control"
    except ValueError as refusal:
        message = str(refusal)
    raise Unanswered(message)


def pages(control: str, method: str, key: str, arguments: dict[str, object]) -> Iterator[dict[str, Any]]:
    """Yield the answers that together hold the list `key` of a method. Raises Unanswered."""
    offset, more = 0, True
    while more:
        page = ask(control, method, {**arguments, "offset": offset, "limit": PAGE})
        yield page
        offset += len(page[key])
        more = page["more"] and page[key]
