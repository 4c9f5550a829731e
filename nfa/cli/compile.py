"""`nfa compile`: a configuration to a policy image. The daemon starts it as its child."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from ..compiler.assemble import findings_of, image_of
from ..compiler.base.paths import Paths
from ..compiler.base.report import Reports, quote
from ..compiler.compile import compile_policy
from ..compiler.config.sources import read_main
from ..daemon.processes.resolve import addresses
from ..daemon.stream.source import parse_source
from ..image import cpython as image
from .common import add_config_arguments, fail, paths_of, print_reports, sources_of

MAX_WATCHED = 256
"""Files and folders that are watched: the daemon looks at each about once a second."""

_EPILOG = """\
examples:
  nfa compile -c policy.json -o policy.img
  nfa compile -u /etc/config -o policy.img
  nfa compile -c policy.json --micropython -o policy.img   for: micropython -m nfa.daemon.micropython policy.img

exit codes: 0 done, 1 the configuration cannot be used, 2 wrong usage"""


def _numeric(uri: str, reports: Reports, consequence: str) -> str:
    """Return a source with the address of its host, "" if there is none now. The daemon's loop waits for no name server."""
    address = parse_source(uri)[1]
    if not isinstance(address, tuple):
        return uri
    host, port = address
    try:
        found = addresses(host.encode())[0]
    except (OSError, UnicodeError) as failure:
        message = f"cannot resolve the source {quote(uri)}: {failure.strerror if isinstance(failure, OSError) else failure}"
        reports.error("source-unresolved", None, message, consequence=consequence)
        return ""
    return f"tcp://[{found}]:{port}" if ":" in found else f"tcp://{found}:{port}"


def _watched(paths: Paths, reports: Reports) -> list[tuple[str, image.Stamp]]:
    """Return the files that the daemon watches, with their stamps of before they were read."""
    if len(paths.looked_at) > MAX_WATCHED:
        message = f"the policy is made from {len(paths.looked_at)} files and folders, of which {MAX_WATCHED} are watched"
        hint = "join files of expressions, or run 'nfa reload' after changes"
        reports.warning("not-watched", None, message, hint=hint, consequence="a change of the others is not noticed")
    return list(paths.looked_at.items())[:MAX_WATCHED]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Compile a configuration to a policy image, which the daemon loads."
    parser.epilog = _EPILOG
    add_config_arguments(parser)
    parser.add_argument("-s", "--source", help="netifyd's socket, instead of UCI's source; a host name is resolved")
    parser.add_argument(
        "--salvage", action="store_true", help="if some files cannot be read, use the others, but hold all actions back"
    )
    parser.add_argument("--micropython", action="store_true", help="an image for MicroPython (see docs/micropython.md)")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("-o", "--output", metavar="FILE", help="write the image to a file")
    where.add_argument(
        "--image-to-stdout", action="store_true", help="write the image, with its findings, to standard output (CPython only)"
    )
    parser.add_argument(
        "--last-good",
        action="store_true",
        help="read from standard input what the daemon keeps of the image before: the last good version of each section",
    )


def run(arguments: argparse.Namespace) -> int:
    sources, paths = replace(sources_of(arguments), salvage=arguments.salvage), paths_of(arguments)
    last_good = sys.stdin.buffer.read() if arguments.last_good else b""
    compiled, reports = compile_policy(sources, paths, last_good=last_good)
    main = compiled.policy.main if compiled else read_main(sources, paths, Reports())
    name = arguments.source or str(main["source"])
    unresolved = "no image is written" if arguments.micropython else "the daemon tries again every 30 seconds"
    source = _numeric(name, reports, unresolved)
    if arguments.image_to_stdout:
        watch = _watched(paths, reports)
        data = image_of(compiled) if compiled else {"failed": True, **findings_of(reports)}
        data.update(watch=watch, source=source, source_name=name)
        sys.stdout.buffer.write(image.dump(data))
        sys.stdout.buffer.flush()
        return 0 if compiled else 1
    raw = None
    if compiled is not None and not arguments.micropython:
        raw = image.dump(image_of(compiled))
    elif compiled is not None and source:
        from ..compiler.micropython import image_for

        raw = image_for(compiled, source)
    print_reports(reports)
    if raw is None:
        return 1
    try:
        with open(arguments.output, "wb") as file:
            file.write(raw)
    except OSError as failure:
        return fail(f"cannot write {arguments.output}: {failure.strerror}")
    return 0
