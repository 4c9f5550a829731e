"""`nfa run`: check the options, then become the daemon.

The daemon proper is another, smaller program image (`nfa.daemon.daemon`): this one has parsed the options with argparse, which
would stay in memory for as long as the daemon lives. Exec keeps the process id, so procd and a shell see one process.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys

from ..compiler.base.report import Reports, printable
from ..compiler.config.options import DEFAULT_CONTROL
from ..compiler.config.sources import read_main
from ..daemon import signals
from ..daemon.stream.source import DEFAULT_SOURCE, parse_source
from ..image.cpython import ROOT
from .common import add_config_arguments, fail, paths_of, sources_of

_EPILOG = """\
examples:
  nfa run                                        with /etc/config and the JSON file of netifyd's folder
  nfa run --no-uci -c policy.json                with this file only, in the foreground; Ctrl-C ends it
  nfa run -c policy.json -s unix:///tmp/n.sock -v   show each match of a replayed stream
  nfa run -s tcp://192.168.1.1:7150              netifyd on another machine

signals: HUP reloads the configuration, TERM and INT end the daemon
exit codes: 0 ended by a signal, 1 another nfa is running or the control socket cannot be created, 2 wrong usage"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Run the daemon in the foreground: read netifyd's stream, match every flow against the policy, fill the sets.\n"
        "It waits for netifyd for as long as it takes, and connects again when netifyd restarts."
    )
    parser.epilog = _EPILOG
    add_config_arguments(parser)
    parser.add_argument("file", nargs="?", metavar="FILE", help="the same as -c FILE")
    parser.add_argument("-s", "--source", help=f"netifyd's socket (default: source of UCI, else {DEFAULT_SOURCE})")
    parser.add_argument("--control", metavar="PATH", help=f"control socket (default: control of UCI, else {DEFAULT_CONTROL})")
    parser.add_argument(
        "--ubus",
        metavar="PATH",
        default="",
        help="socket of ubusd, or 'none' to use no ubus (default: /var/run/ubus/ubus.sock)",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="print each match; UCI's log_level is ignored")


PROGRAM = (
    f"import sys; sys.path.insert(0, {ROOT!r}); from nfa.daemon import signals; signals.hear(); "
    "from nfa.daemon.daemon import main; sys.exit(main())"
)
"""The daemon. Signals first: the rest takes a second to import on a router."""
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "98304", "MALLOC_TRIM_THRESHOLD_": "163840", "MALLOC_TOP_PAD_": "0"}


def _folder_of(package: str) -> str:
    """Return the folder that a package is installed in; "" when it is not."""
    try:
        found = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return ""
    return os.path.dirname(os.path.dirname(found.origin)) if found is not None and found.origin else ""


def run(arguments: argparse.Namespace) -> int:
    """Become the daemon; returns only when that cannot be."""
    if arguments.file:
        arguments.files = [*(arguments.files or []), arguments.file]
    sources, paths = sources_of(arguments), paths_of(arguments)
    try:
        if arguments.source is not None:
            parse_source(arguments.source)
    except ValueError as failure:
        print(f"nfa: {printable(str(failure))}", file=sys.stderr)
        return 2
    # The compiler reports what is wrong with the configuration, which the daemon starts at once.
    main = read_main(sources, paths, Reports())
    control = arguments.control or str(main["control"])
    settings = {
        "source": arguments.source or "",
        "files": [os.path.abspath(file) for file in sources.files],
        "uci": sources.uci or "",
        "uci_required": sources.uci_required,
        "state": paths.state_persistent if arguments.state_dir else "",
        "control": os.path.abspath(control),
        "verbose": arguments.verbose,
        "ubus": arguments.ubus,
        "log_level": "debug" if arguments.verbose else main["log_level"],
        "orjson": _folder_of("orjson"),
    }
    # -I -S: the daemon needs nothing of site-packages, and `site` would cost two megabytes for as long as it lives; -OO: nor
    # docstrings, a quarter of a megabyte. What glibc keeps of memory that was given back is as much again (musl keeps none);
    # the tables of a language, which nothing here uses, 150 KiB.
    command = [sys.executable, "-I", "-S", "-OO", "-c", PROGRAM, json.dumps(settings)]
    signals.hold()
    try:
        if signals.heard.stop:
            return 0
        os.execve(sys.executable, command, {**_MALLOC, **os.environ, "LC_ALL": "C"})
    except OSError as failure:
        return fail(f"cannot start {sys.executable}: {failure.strerror}")
    finally:
        signals.release()
