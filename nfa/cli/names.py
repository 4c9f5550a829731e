"""`nfa apps`, `nfa protocols`, `nfa categories`: what a policy may name."""

from __future__ import annotations

import argparse
import json
import sys

from ..compiler.base.report import did_you_mean
from ..compiler.catalogue import Catalogue
from ..compiler.compile import names_of_agent
from .ask import Unanswered, add_control_argument, control_of, pages
from .common import paths_of, shown

_EPILOG = """\
examples:
  nfa apps google          names with 'google' in them: of applications, and of protocols and categories
  nfa apps zoom            Zoom is a protocol: protocol == 'zoom'
  nfa categories           categories of applications and of protocols
  nfa protocols --json

In an expression, the part of an application's name up to its first dot may be omitted: app == 'youtube'.
exit codes: 0 something was found, 1 nothing was found, 2 wrong usage"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "List the names that expressions may use, with their ids, as known to the agent on this machine."
    parser.epilog = _EPILOG
    parser.add_argument("search", nargs="?", default="", help="only names that contain this")
    add_control_argument(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--state-dir", metavar="DIR", help="netifyd's folder with netify-apps.conf and netify-categories.json")


_ATTRIBUTES = {
    "apps": ("application",),
    "protocols": ("protocol",),
    "categories": ("application_category", "protocol_category", "domain_category"),
}
"""The attributes that names of a kind are compared with."""
_ALWAYS = _ATTRIBUTES | {"categories": ("application_category", "protocol_category")}
"""Those that JSON has also when nothing is found."""
_WORDS = {"apps": "application", "protocols": "protocol", "categories": "category"}


def _tables(catalogue: Catalogue) -> dict[str, dict[str, int | None]]:
    """Return names and ids, by the attribute that they are compared with; a list of the owner's has no id."""
    lists = sorted(tag for tag in catalogue.lists if tag not in catalogue.application_categories)
    return {
        "application": dict(catalogue.applications),
        "protocol": dict(catalogue.protocols),
        "application_category": dict(catalogue.application_categories),
        "protocol_category": dict(catalogue.protocol_categories),
        "domain_category": dict.fromkeys(lists),
    }


def _announced(control: str, kind: str) -> dict[str, int]:
    """Return the names that the running daemon has, which the agent announced to it: nothing when no daemon answers."""
    try:
        return {row["name"]: row["id"] for page in pages(control, kind, kind, {}) for row in page[kind]}
    except Unanswered:
        return {}


def run(arguments: argparse.Namespace) -> int:
    """Print the names that contain what is searched for, those of other kinds too: who looks may not know the kind."""
    catalogue = names_of_agent(paths_of(arguments))
    for kind, names in (("apps", catalogue.applications), ("protocols", catalogue.protocols)):
        if kind == arguments.command and (announced := _announced(control_of(arguments), kind)):
            catalogue.sources.append("the running daemon")
            names.update(announced)
    tables = _tables(catalogue)
    own = _ATTRIBUTES[arguments.command]
    needle = arguments.search.lower()
    found = {
        attribute: {name: number for name, number in sorted(tables[attribute].items()) if needle in name}
        for attribute in (own + tuple(name for name in tables if name not in own) if needle else own)
    }
    found = {attribute: table for attribute, table in found.items() if table or attribute in _ALWAYS[arguments.command]}
    if arguments.json:
        print(json.dumps({"sources": catalogue.sources, **found}, indent=2))
    else:
        for attribute, table in found.items():
            for name, number in table.items():
                print(f"{'-' if number is None else number:>6}  {attribute} == '{shown(name)}'")
    if not any(found.values()):
        every = [name.partition(".")[2] or name for table in tables.values() for name in table]
        hint = did_you_mean(needle, every) if needle else ""
        print(f"nothing found{'; ' + hint if hint.startswith('did') else ''}", file=sys.stderr)
        return 1
    if not any(found.get(attribute) for attribute in own):
        print(f"no {_WORDS[arguments.command]} has '{shown(needle)}' in its name", file=sys.stderr)
    return 0
