"""Answers to calls that need the compiler: a child of the daemon, which reads a question, answers, and exits.

In: the name of a question and the options that name the configuration, as arguments; the rest of the question as JSON on
a line of standard input, followed by what the daemon keeps of last good versions. Out: the answer as JSON on standard output,
or {"refused": words} for a question that makes no sense.

The question may come from a browser, from somebody who may look but not change anything. So no file is read that it names,
and whatever it asks, the child cannot take the memory or the time of the router: see `_modest`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
from dataclasses import replace
from typing import Any, cast

from ..compiler.base.paths import Paths
from ..compiler.base.report import Reports
from ..compiler.compile import check_texts, compile_policy, named_devices, understand_policy
from ..compiler.config import jsonconfig, uciconfig
from ..compiler.config.build import build
from ..compiler.config.document import Document
from ..compiler.config.model import Text
from ..compiler.config.sources import Sources, load
from ..compiler.explain import Explainer
from ..compiler.provision import usage
from ..daemon.engine.view import address
from ..daemon.stream.records import BadRecord, classify
from .common import add_config_arguments, paths_of, sources_of

Answer = dict[str, Any]
MAX_REPORTS = 200
MAX_STEPS = 500
MAX_MEMORY = 256 << 20
MAX_CPU = 20  # seconds


class Refused(ValueError):
    """A question that makes no sense; the message is for the one who asked."""


def _findings(reports: Reports) -> Answer:
    """Return what was found, the first of it where there is too much."""
    return {
        "ok": not reports.errors,
        "errors": len(reports.errors),
        "warnings": len(reports.warnings),
        "reports": reports.outside()[:MAX_REPORTS],
        "left_out": max(0, len(reports.items) - MAX_REPORTS),
    }


def _record(flow: Answer) -> Answer:
    """Return the flow record of a question, which may be the part `flow` of one. Raises Refused."""
    record = flow if isinstance(flow.get("flow"), dict) else {"type": "flow", "interface": "", "internal": True, "flow": flow}
    try:
        kind, value = classify(record | {"type": record.get("type", "flow")})
    except BadRecord as bad:
        raise Refused(f"not a flow record: {bad}") from None
    if kind != "flow":
        raise Refused("not a flow record, but one of another type")
    return dict(value)


def _explain(given: Answer, sources: Sources, paths: Paths, last_good: bytes) -> Answer:
    """What the configuration, as it is now, makes of a flow record."""
    record = _record(given["flow"])
    compiled, reports = compile_policy(sources, paths, look=False, last_good=last_good)
    if compiled is None:
        return {"digest": record["flow"]["digest"], **_findings(reports)}
    try:
        explainer = Explainer(compiled)
        for ip, names in given.get("devices", {}).items():
            if names:
                explainer.devices.tell(address(ip), names)  # what the daemon has learnt
        answer = explainer.explain(record, twice=given.get("twice") is True).as_dict()
    except (TypeError, AttributeError, ValueError, KeyError, OSError):
        raise Refused("a field of this flow record is malformed") from None
    answer["steps"], answer["steps_left_out"] = _telling(cast("list[Answer]", answer["steps"]))
    return answer


def _telling(steps: list[Answer]) -> tuple[list[Answer], int]:
    """Return the steps that fit into an answer and how many do not: those of actions that simply do not match go first."""
    room = MAX_STEPS - sum(step["outcome"] != "no match" for step in steps)
    kept = []
    for step in steps:
        room -= step["outcome"] == "no match"
        if step["outcome"] != "no match" or room >= 0:
            kept.append(step)
    return kept[:MAX_STEPS], len(steps) - len(kept[:MAX_STEPS])


def _check(given: Answer, sources: Sources, paths: Paths, last_good: bytes) -> Answer:
    """What is wrong with criteria, exemptions or a configuration; without any, with the files."""
    reports = Reports()
    for name in ("criteria", "exemptions"):
        if name in given:
            values = [given[name]] if isinstance(given[name], str) else given[name]
            places = [f"{name}[{number}]" for number in range(len(values))] if len(values) > 1 else [name]
            reports.asked.update(places)
            texts = [Text.of_file(*item) for item in zip(values, places, strict=False)]
            check_texts(texts, name, paths, reports, named_devices(sources, paths, values))
            return _findings(reports)
    if "config" not in given:
        compiled, _ = compile_policy(sources, paths, reports=reports, last_good=last_good)
        if compiled is not None:
            usage.report(compiled.slots, compiled.policy, reports)
        return _findings(reports)
    document = _document(given["config"], reports)
    if document is not None:
        paths = replace(paths, readable=False)
        understand_policy(build([document], reports, paths), paths, reports, look=True)
    return _findings(reports)


def _document(config: object, reports: Reports) -> Document | None:
    """The configuration that came with a question, None where it is none."""
    reports.asked.add("config")
    text = config if isinstance(config, str) else json.dumps(config, indent=1)
    if jsonconfig.is_uci(text):
        return uciconfig.document_of(text.encode(errors="surrogatepass"), "config", reports)
    return jsonconfig.document_of(text, "config", reports)


def _routes(given: Answer, sources: Sources, paths: Paths, last_good: bytes) -> Answer:
    """What /etc/config/network lacks for the WANs of a configuration: of `config`, or of the files."""
    from ..compiler.config import network, routes  # hardly anybody asks
    from .route import wans_of

    networks = network.read(sources.uci, paths)
    if networks is not None and not networks.known:
        raise Refused("/etc/config/network cannot be read, or is broken: see uci show network")
    reports = Reports()
    if "config" in given:
        document = _document(given["config"], reports)
        policy = build([document], Reports(), replace(paths, readable=False)) if document is not None else None
    else:
        policy = load(sources, sources.confine(paths), reports)
    wans, found = wans_of(policy, sources, paths) if policy is not None else ([], reports)
    found.asked.update(reports.asked)
    changes = routes.changes(wans, networks) if networks and policy is not None else []
    kinds = {name: kind for wan in wans for name, (kind, _) in routes.rules_of(wan).items()}
    if networks is not None:
        kinds = {name: kind for name, (kind, _) in networks.rules.items()} | kinds
    return {
        **_findings(found),
        "by_netifd": networks is not None,
        "networks": [
            {"name": one.name, "protocol": one.protocol, "device": one.device}
            for one in (networks.interfaces.values() if networks else ())
        ],
        "wans": [
            {
                "name": wan.name,
                "fallback": wan.fallback,
                "mark": wan.mark_text,
                "tables": list(wan.tables),
                "devices": list(wan.devices),
                "networks": [one.name for one in wan.networks],
            }
            for wan in wans
        ],
        "changes": [
            {"section": section, "type": kinds.get(section, "interface"), "option": option, "value": value}
            for section, option, value in changes
        ],
    }


def _modest() -> None:
    """Be the first to go when memory or time are short. The limits hold for this process only."""
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU, MAX_CPU))
        os.nice(10)
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except (OSError, ValueError):
        pass


def main() -> int:
    """Answer one question. Returns the exit code."""
    _modest()
    parser = argparse.ArgumentParser()
    parser.add_argument("question", choices=("explain", "check", "routes"))
    add_config_arguments(parser)
    arguments = parser.parse_args()
    answer_to = {"explain": _explain, "check": _check, "routes": _routes}[arguments.question]
    try:
        question, _, last_good = sys.stdin.buffer.read().partition(b"\n")
        answer = answer_to(json.loads(question), sources_of(arguments), paths_of(arguments), last_good)
    except Refused as refusal:
        answer = {"refused": str(refusal)}
    except MemoryError:
        answer = {"refused": "this needs more memory than a request may use"}
    except Exception as failure:  # one line for the one who asked, no traceback in the log of somebody else
        answer = {"refused": f"this request failed: {type(failure).__name__}"}
    print(json.dumps(answer))
    return 0
