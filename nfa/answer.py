"""Answers to calls that need the compiler: a child of the daemon, which reads a question, answers, and exits.

In: the name of a question and the options that name the configuration, as arguments; the rest of the question as JSON on
standard input. Out: the answer as JSON on standard output, or {"refused": words} for a question that makes no sense.

The question may come from a browser: of the files that it names, only those in netifyd's folder are read.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from typing import Any

from .cli.common import add_config_arguments, paths_of, sources_of
from .compiler import check_texts, compile_policy, understand_policy
from .config.build import build
from .config.jsonconfig import document_of
from .config.model import Text
from .config.paths import Paths
from .config.report import Reports
from .config.sources import Sources
from .explain import explain
from .stream.records import BadRecord, classify

Answer = dict[str, Any]
MAX_REPORTS = 200


class Refused(ValueError):
    """A question that makes no sense; the message is for the one who asked."""


def _findings(reports: Reports) -> Answer:
    """Return what was found, the first of it where there is too much."""
    return {
        "ok": not reports.errors,
        "errors": len(reports.errors),
        "warnings": len(reports.warnings),
        "reports": [report.as_dict() for report in reports.items[:MAX_REPORTS]],
        "left_out": max(0, len(reports.items) - MAX_REPORTS),
    }


def _record(flow: Answer) -> Answer:
    """Return the flow record of a question, which may be the part `flow` of one. Raises Refused."""
    record = flow if isinstance(flow.get("flow"), dict) else {"type": "flow", "interface": "", "internal": True, "flow": flow}
    try:
        kind, value = classify(record | {"type": record.get("type", "flow")})
    except BadRecord as bad:
        raise Refused(f"this is no flow record: {bad}") from None
    if kind != "flow":
        raise Refused("this is a record of another type, not of a flow")
    return dict(value)


def _explain(given: Answer, sources: Sources, paths: Paths) -> Answer:
    """What the configuration, as it is now, makes of a flow record."""
    record = _record(given["flow"])
    compiled, reports = compile_policy(sources, paths, look=False)
    if compiled is None:
        return {"digest": record["flow"]["digest"], **_findings(reports)}
    try:
        return explain(compiled, record).as_dict()
    except (TypeError, AttributeError, ValueError, KeyError, OSError):
        raise Refused("a field of this flow record has another form than netifyd gives it") from None


def _check(given: Answer, sources: Sources, paths: Paths) -> Answer:
    """What is wrong with criteria, exemptions or a configuration; without any, with the files."""
    reports = Reports()
    for name in ("criteria", "exemptions"):
        if name in given:
            values = [given[name]] if isinstance(given[name], str) else given[name]
            places = [f"{name}[{number}]" for number in range(len(values))] if len(values) > 1 else [name]
            check_texts([Text.of_file(*item) for item in zip(values, places, strict=False)], name, paths, reports)
            return _findings(reports)
    if "config" not in given:
        compile_policy(sources, paths, reports=reports)
        return _findings(reports)
    text = given["config"] if isinstance(given["config"], str) else json.dumps(given["config"], indent=1)
    document = document_of(text, "config", reports)
    if document is not None:
        paths = replace(paths, only=paths.state_persistent)
        understand_policy(build([document], reports, paths), paths, reports, look=True)
    return _findings(reports)


def main() -> int:
    """Answer one question. Returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("question", choices=("explain", "check"))
    add_config_arguments(parser)
    arguments = parser.parse_args()
    answer_to = {"explain": _explain, "check": _check}[arguments.question]
    try:
        answer = answer_to(json.load(sys.stdin), sources_of(arguments), paths_of(arguments))
    except Refused as refusal:
        answer = {"refused": str(refusal)}
    print(json.dumps(answer))
    return 0
