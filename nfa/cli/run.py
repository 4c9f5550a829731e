"""`nfa run`: check the options, then become the daemon.

The daemon proper is another, smaller program image (`nfa.daemon`): this one has parsed the options with argparse, which
would stay in memory for as long as the daemon lives. Exec keeps the process id, so procd and a shell see one process.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys

from ..image import ROOT
from ..stream.client import parse_source
from .common import DEFAULT_CONTROL, DEFAULT_SOURCE, add_config_arguments, config_of, fail

_EPILOG = """\
examples:
  nfa run -c policy.json                         in the foreground; Ctrl-C ends it
  nfa run -c policy.json -s unix:///tmp/n.sock -v   show each match of a replayed stream
  nfa run -s tcp://192.168.1.1:7150              netifyd on another machine

signals: HUP compiles the configuration anew, TERM and INT end the daemon
exit codes: 0 ended by a signal, 1 another nfa is running or the control socket cannot be made, 2 wrong usage"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Run the daemon in the foreground: read netifyd's stream, match every flow against the policy, fill the sets.\n"
        "It waits for netifyd for as long as it takes, and connects again when netifyd restarts."
    )
    parser.epilog = _EPILOG
    add_config_arguments(parser)
    parser.add_argument("file", nargs="?", metavar="FILE", help="the same as -c FILE")
    parser.add_argument("-s", "--source", default=DEFAULT_SOURCE, help="netifyd's socket (default: %(default)s)")
    parser.add_argument("--control", metavar="PATH", default=DEFAULT_CONTROL, help="control socket (default: %(default)s)")
    parser.add_argument("-v", "--verbose", action="store_true", help="print each match")


def _numeric(uri: str) -> str:
    """Resolve the host of a tcp source now: the daemon's loop never waits for a name server."""
    address = parse_source(uri)[1]
    if not isinstance(address, tuple):
        return uri
    host, port = address
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0]
    return f"tcp://[{found}]:{port}" if ":" in str(found) else f"tcp://{found}:{port}"


def run(arguments: argparse.Namespace) -> int:
    """Become the daemon; returns only when that cannot be."""
    if arguments.file:
        arguments.files = [*(arguments.files or []), arguments.file]
    files, paths = config_of(arguments)
    try:
        source = _numeric(arguments.source)
    except ValueError as failure:
        print(f"nfa: {failure}", file=sys.stderr)
        return 2
    except OSError as failure:
        return fail(f"cannot resolve the source {arguments.source}: {failure.strerror}")
    settings = {
        "source": source,
        "files": [os.path.abspath(file) for file in files],
        "state": paths.state_persistent if arguments.state_dir else "",
        "control": os.path.abspath(arguments.control),
        "verbose": arguments.verbose,
    }
    # -I -S: the daemon needs nothing of site-packages, and `site` would cost two megabytes for as long as it lives.
    program = f"import sys; sys.path.insert(0, {ROOT!r}); from nfa.daemon import main; sys.exit(main())"
    try:
        os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", program, json.dumps(settings)])
    except OSError as failure:
        return fail(f"cannot start {sys.executable}: {failure.strerror}")
