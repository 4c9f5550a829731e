"""The truth of netifyd 4.4.7 itself, recorded (shared/data/conformance), and the expressions that Netify ships."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from expression_both import evaluator, understood

from nfa.daemon.stream.records import classify

DATA = Path(os.environ.get("NFA_SHARED", Path(__file__).parents[4] / "shared")) / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="no shared data")


def _lines(name: str) -> list[Any]:
    return [json.loads(line) for line in (DATA / "conformance" / name).read_text(encoding="utf-8").splitlines()]


def test_every_expression_answers_as_the_agent_does() -> None:
    """A policy that works with Netify's plugin would match other flows here."""
    flows = _lines("public-flows.jsonl")
    assert all(classify(flow)[0] == "flow" for flow in flows)
    vectors = _lines("public-expr.jsonl")
    assert len(vectors) >= 200
    wrong = []
    for vector in vectors:
        text, expected = vector["expr"], vector["result"]
        errors = understood(text)[1]
        if expected == "E" or errors:
            if expected != "E" or not errors:
                wrong.append(f"{text}: expected {'an error' if expected == 'E' else 'none'}, got {errors}")
            continue
        match = evaluator(text)
        got = "".join("-" if truth == "-" else "01"[match(flow)] for flow, truth in zip(flows, expected, strict=True))
        if got != expected:
            wrong.append(text)
    assert not wrong


def test_the_expressions_of_netifys_application_list_are_understood() -> None:
    """Real expressions in the field would be refused."""
    with open(DATA / "netify-apps.conf", encoding="utf-8", errors="replace") as file:
        encoded = [line.strip().rpartition(":")[2] for line in file if line.startswith("nsd:")]
    assert len(encoded) == 26
    for text in (base64.b64decode(each).decode() for each in encoded):
        nodes, errors, _ = understood(text)
        assert nodes, text
        assert not errors, f"{text}: {errors[0].message}"
