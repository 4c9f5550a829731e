"""`nfa import`: a JSON configuration, of Flow Actions or of netify-fwa, as UCI."""

from __future__ import annotations

import argparse
import json
import sys

from ..compiler.base.files import FileError, read_text
from ..compiler.base.report import Place, Reports
from ..compiler.config import fwa, jsonconfig, uciwriter
from ..compiler.config.jsontext import MAX_SIZE, JsonError, Object, parse
from .common import fail, plural, print_reports

_EPILOG = """\
examples:
  nfa import /etc/netifyd/netify-proc-flow-actions.json > /tmp/new/netify-proc-flow-actions
  nfa check -u /tmp/new                       check what was written
  nfa import netify-fwa.json                  the firewall agent of 2019: rules and whitelist
  nfa import netify-fwa.json --json           the same as JSON of Flow Actions

Standard output has the configuration, standard error what has no counterpart or means something else. Nothing is changed.
As long as the JSON file stays where it is, it is read too.
exit codes: 0 translated (look at standard error), 1 the file cannot be read or is of another format, 2 wrong usage"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Translate a JSON configuration to UCI. FILE is a netify-proc-flow-actions.json, or a netify-fwa.json of Netify's\n"
        "firewall agent (2019)."
    )
    parser.epilog = _EPILOG
    parser.add_argument("file", metavar="FILE", help="the JSON file")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--uci", action="store_true", help="write UCI (the default)")
    form.add_argument("--json", action="store_true", help="write JSON of Flow Actions")


def run(arguments: argparse.Namespace) -> int:
    reports = Reports()
    try:
        text = read_text(arguments.file, MAX_SIZE)
        top = parse(text, arguments.file, Reports())
    except FileError as error:
        return fail(str(error))
    except JsonError as error:
        reports.error(error.code, error.place, str(error), hint=error.hint)
        print_reports(reports)
        return 1
    notes: list[str] = []
    plain = top.plain()
    if isinstance(plain, dict) and jsonconfig.is_of_fwa(set(plain)):
        translation = fwa.translate(plain)
        notes += translation.notes
        text = json.dumps(translation.config, indent=2)
        plain = translation.config
    if isinstance(top.value, Object) and arguments.json:
        print(json.dumps(plain, indent=2))
    else:
        document = jsonconfig.document_of(text, arguments.file, reports)
        if document is None:
            print_reports(reports)
            return 1
        written = uciwriter.write(document)
        notes += written.notes
        sys.stdout.write(written.text)
    for note in notes:
        reports.info("import-note", Place(arguments.file, 0, 0), note)
    print_reports(reports)
    print(plural(len(reports.items), "note") if reports.items else "nothing was lost", file=sys.stderr)
    return 0
