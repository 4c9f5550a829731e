"""`nfa compile`: a configuration to a policy image. The daemon starts it as its child."""

from __future__ import annotations

import argparse
import sys

from .. import image
from ..compiler import compile_policy, image_of
from .common import add_config_arguments, config_of, fail, print_reports

_EPILOG = """\
examples:
  nfa compile -c policy.json -o policy.img

exit codes: 0 done, 1 the configuration cannot be used, 2 wrong usage"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Compile a configuration to a policy image: what the daemon keeps in memory of it."
    parser.epilog = _EPILOG
    add_config_arguments(parser)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("-o", "--output", metavar="FILE", help="write the image to a file")
    where.add_argument(
        "--image-to-stdout", action="store_true", help="write the image, reports in it, to standard output"
    )


def run(arguments: argparse.Namespace) -> int:
    files, paths = config_of(arguments)
    compiled, reports = compile_policy(files, paths)
    if arguments.image_to_stdout:
        data: dict[str, object] = (
            image_of(compiled)
            if compiled
            else {
                "failed": True,
                "reports": [report.text() for report in reports.items],
                "errors": len(reports.errors),
                "warnings": len(reports.warnings),
            }
        )
        sys.stdout.buffer.write(image.dump(data))
        sys.stdout.buffer.flush()
        return 0 if compiled else 1
    print_reports(reports)
    if compiled is None:
        return 1
    raw = image.dump(image_of(compiled))
    try:
        with open(arguments.output, "wb") as file:
            file.write(raw)
    except OSError as failure:
        return fail(f"cannot write {arguments.output}: {failure.strerror}")
    return 0
