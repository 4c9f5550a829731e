"""The command `nfa`: one module for each subcommand.

A module has `add_arguments(parser)` and `run(arguments) -> exit code`. Only the requested one is
imported. Exit codes of all commands: 0 success, 1 failure (or `check` found errors), 2 wrong usage.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from .. import __version__

COMMANDS = {
    "run": "run the daemon in the foreground",
    "check": "check a configuration and explain what is wrong with it",
    "import": "translate a JSON configuration, also of netify-fwa, to UCI",
    "explain": "show which actions match flow records, and why",
    "eval": "print the flow records that match an expression",
    "replay": "serve a recorded flow stream on a socket, as netifyd would",
    "status": "show the state of the running daemon",
    "matches": "show the last flows that matched",
    "devices": "list the devices that are known, with their addresses",
    "elements": "show the elements in the running daemon's sets",
    "flush": "flush the sets of a target",
    "usage": "show what devices and applications used",
    "budget": "show what devices have left of budgets, or give one more",
    "notice": "send a test of a notice",
    "adopt": "have connections that began before nfa begin again",
    "route": "write what another WAN needs into /etc/config/network",
    "pause": "let an action or target do nothing for a while",
    "resume": "end a pause",
    "reload": "make the running daemon reload its configuration",
    "apps": "list the applications a policy may name",
    "protocols": "list the protocols a policy may name",
    "categories": "list the categories a policy may name",
    "compile": "compile a configuration to a policy image (used by the daemon)",
}
_MODULES = {"apps": "names", "protocols": "names", "categories": "names", "import": "translate", "resume": "pause"}

_EPILOG = """\
examples:
  nfa check -c /etc/netifyd/netify-proc-flow-actions.json
  nfa run -c /etc/netifyd/netify-proc-flow-actions.json -v
  nfa eval "app == 'youtube';" recording.bin.gz
  nfa status

'nfa COMMAND --help' shows the options of a command, with examples.
exit codes: 0 success, 1 failure (check: errors were found), 2 wrong usage"""


class _Help(argparse.RawDescriptionHelpFormatter):
    """argparse's own asks shutil for the width of the terminal: half a megabyte in each compilation."""

    def __init__(self, prog: str) -> None:
        try:
            width = int(os.environ["COLUMNS"])
        except (KeyError, ValueError):
            width = os.get_terminal_size(1).columns if os.isatty(1) else 80
        super().__init__(prog, width=max(20, width - 2))


_AMOUNTS = ("--add", "--since", "--until")
"""Options whose values say how much, or when."""


def _joined(arguments: list[str]) -> list[str]:
    """Return the same words, `--add -10m` as `--add=-10m`: argparse takes -10m for an option, and says nothing of use."""
    made: list[str] = []
    for word in arguments:
        if made and made[-1] in _AMOUNTS and word[:1] == "-" and word[1:2].isdigit():
            made[-1] += "=" + word
        else:
            made.append(word)
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog="nfa",
        description="Flow actions: turn what netifyd detects into elements of nftables sets and ipsets, and into log files.",
        epilog=_EPILOG,
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"nfa {__version__}")
    commands = parser.add_subparsers(
        dest="command",
        metavar="COMMAND",
        required=True,
        prog=parser.prog,  # else argparse loads half a megabyte to find it out
    )
    chosen = next((word for word in arguments if not word.startswith("-")), "")
    for name, help_text in COMMANDS.items():
        sub = commands.add_parser(name, help=help_text, formatter_class=_Help)
        if name == chosen:
            module = importlib.import_module(f"nfa.cli.{_MODULES.get(name, name)}")
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    parsed, rest = parser.parse_known_args(_joined(arguments))
    if rest and chosen == "eval" and parsed.file == "-" and not rest[0].startswith("-"):
        # argparse gives up a positional argument that comes after options: nfa eval EXPR --json FILE.
        parsed.file = rest.pop(0)
    if rest:
        commands.choices[parsed.command].error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        code: int = parsed.run(parsed)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # `nfa ... | head`: the reader has what it wanted.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except KeyboardInterrupt:
        return 130
