"""A policy for MicroPython: what it cannot do is reported and left out; the rest becomes an image in its own format.

In: a compiled policy (`compile.Compiled`), changed in place. Out: findings in its reports, and the bytes of the image.
Runs under CPython. Regular expressions become automata, which are our own code: MicroPython's `re` does not know `{2,3}` or
`\\b` and does not say so. Where there can be no automaton, the action is left out.
"""

from __future__ import annotations

import ast
import struct
import sys
from collections.abc import Iterator
from typing import Any

from ..image.micropython import seal
from ..image.plain import dump
from .assemble import image_of
from .base.report import quote
from .compile import Compiled
from .config.features import inactive_code
from .expression.regex import RegexError, compile_pattern
from .expression.tree import And, Node, Not, Or, Pattern, Test
from .shielding import hold_back

MAX_PIECE = 4096
"""Characters of source that MicroPython compiles at once, if it can be cut: what it needs for that is many times as much."""
_CANNOT = {
    "log": "MicroPython cannot write files without following symbolic links",
    "sink": "sinks need modules that MicroPython lacks",
    "pftable": "PF tables are filled by running pfctl, which MicroPython cannot do",
}
_NO_ROUTES = "rules and routes are made by a child that runs Python, which MicroPython cannot start"
_NETIFD = "compile with the router's own /etc/config (-u DIR): netifd makes them there, see nfa route; or run nfa with CPython"
_ELSE = "use a target of type nftset, ipset, ctmark or ctlabel, or run nfa with CPython"
_REPORTS = 20


def image_for(compiled: Compiled, source: str) -> bytes | None:
    """Return the image, None when there can be none: the reports say why. `source`: netifyd's socket."""
    reports = compiled.reports
    _leave_out_targets(compiled)
    if not _patterns_fit(compiled.exemptions):
        reports.error(
            "regex-too-large",
            compiled.policy.exemptions[0].place,
            f"global exemptions: {_too_large(compiled.exemptions)}",
            hint="split it into comparisons, or run nfa with CPython",
            consequence="no image is written, because exempt flows would be acted on",
        )
        return None
    _leave_out_actions(compiled)
    if compiled.schedules.windows and not compiled.policy.timezone:
        zone = compiled.schedules.zone
        reports.info(
            "timezone-assumed",
            None,
            f"hours use this machine's time zone: {zone}",
            hint="set `timezone` to that of the router",
        )
    for item in compiled.actions:
        if item.action.budget and not item.code:
            item.code = "budget-unsupported"
            reports.warning(
                "budget-unsupported",
                item.action.place,
                f"action {quote(item.action.name)}: MicroPython's daemon does not count what a budget is about",
                hint="remove the budget, or run nfa with CPython",
                consequence="the action is left out of the image",
            )
    if compiled.policy.main["usage_file"]:
        reports.warning(
            "usage-unsupported",
            None,
            "usage_file: MicroPython's daemon does not count what devices use",
            hint="run nfa with CPython",
            consequence="nothing is counted, and there is no file",
        )
    for notice in compiled.policy.notices.values():
        if notice.enabled:
            notice.trouble = "MicroPython's daemon sends no notices"
            reports.warning(
                "notice-unsupported",
                notice.place,
                f"{notice.what}: {notice.trouble}",
                hint="run nfa with CPython",
                consequence="nothing is told",
            )
    for item in compiled.actions:
        item.code = item.code or inactive_code(item.action, compiled.policy)
    hold_back(compiled.actions, "", reports)
    data: dict[str, Any] = image_of(compiled, _pieces)
    data["patterns"] = [automaton(pattern) for pattern in data["patterns"]]
    data["reports"] = data["reports"][:_REPORTS]
    data["source"] = source
    data["lower"] = lower_rows()
    data["sigma"] = sigma_rows() if _compares_sigma(compiled, data) else b""
    data["reprocess"] = False  # there is no reload
    data["usage"] = data["notices"] = None
    data["order"] = sys.byteorder
    for name in ("names", "last_good", "kept", "routes"):
        del data[name]
    return seal(dump(data))


def automaton(data: dict[str, Any]) -> dict[str, Any]:
    """Return the plan of a pattern as an automaton. Raises RegexError when there can be none."""
    return compile_pattern(data["pattern"], budget=-1).as_data() if data["kind"] == "re" else data


def _leave_out_targets(compiled: Compiled) -> None:
    for target in compiled.policy.targets.values():
        wan = compiled.wans.get(target.name)
        why = _NO_ROUTES if wan is not None and not wan.networks else _CANNOT.get(target.type)
        if why and target.enabled and not target.trouble:
            target.trouble = why
            compiled.reports.warning(
                "target-unsupported",
                target.place,
                f"target {quote(target.name)}: {why}",
                hint=_NETIFD if why == _NO_ROUTES else _ELSE,
                consequence="no flow reaches the target",
            )


def _leave_out_actions(compiled: Compiled) -> None:
    for item in compiled.actions:
        if item.code:
            continue
        for tree in (item.criteria, item.exemptions):
            if not _patterns_fit(tree):
                item.code = "regex-too-large"
                compiled.reports.error(
                    "regex-too-large",
                    item.action.criteria[0].place if tree is item.criteria else item.action.exemptions[0].place,
                    f"action {quote(item.action.name)}: {_too_large(tree)}",
                    hint="split it into comparisons, or run nfa with CPython",
                    consequence="the action is left out of the image",
                )
                break


def _patterns(node: Node | None) -> Iterator[Pattern]:
    if isinstance(node, Test) and isinstance(node.value, Pattern):
        yield node.value
    elif isinstance(node, Not):
        yield from _patterns(node.item)
    elif isinstance(node, And | Or):
        for item in node.items:
            yield from _patterns(item)


def _unfit(node: Node | None) -> Iterator[tuple[str, str]]:
    """Yield each pattern that there can be no automaton for, and why."""
    for pattern in _patterns(node):
        try:
            automaton(pattern.data)
        except RegexError as failure:
            yield pattern.text, failure.message


def _patterns_fit(node: Node | None) -> bool:
    return not any(True for _ in _unfit(node))


def _too_large(node: Node | None) -> str:
    text, why = next(_unfit(node))
    return f"MicroPython cannot match rx:{text}: {why}"


def _pieces(source: str) -> list[str]:
    """Cut the source of a policy between statements, so that no piece is large without need."""
    lines = source.splitlines(keepends=True)
    starts = [statement.lineno - 1 for statement in ast.parse(source).body]
    pieces: list[str] = []
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        text = "".join(lines[start:end])
        if pieces and len(pieces[-1]) + len(text) <= MAX_PIECE:
            pieces[-1] += text
        else:
            pieces.append(text)
    return pieces


def lower_rows() -> bytes:
    """Return the letters that are not ASCII and have a lower case, for `lacking.lower`.

    Rows of first and last letter, the step from one to the next, and the distance of the lower case, sorted.
    """
    letters = [(code, ord(chr(code).lower()) - code) for code in range(0x80, 0x20000) if len(chr(code).lower()) == 1]
    rows: list[list[int]] = []
    for code, distance in letters:
        if not distance:
            continue
        if rows and rows[-1][3] == distance:
            first, last, step, _ = rows[-1]
            if code - last in (1, 2) and step in (0, code - last):
                rows[-1] = [first, code, code - last, distance]
                continue
        rows.append([code, code, 0, distance])
    return b"".join(struct.pack(">IIBi", first, last, step or 1, distance) for first, last, step, distance in rows)


def _compares_sigma(compiled: Compiled, data: dict[str, object]) -> bool:
    """Return whether the policy asks for a text with a sigma, whose lower case depends on what is around it."""
    trees = [tree for item in compiled.actions for tree in (item.criteria, item.exemptions)]
    patterns = [pattern.text for tree in [*trees, compiled.exemptions] for pattern in _patterns(tree)]
    return any(sigma in text for text in [repr(data["code"]), repr(data["constants"]), *patterns] for sigma in "Σσς")


def sigma_rows() -> bytes:
    """Return what `lacking.lower` needs to know of characters beside a capital sigma.

    Rows of first and last character, and whether they have case (1) or do not matter (2), sorted.
    """
    rows: list[list[int]] = []
    for code in range(0x20000):
        kind = 1 if f"{chr(code)}Σ".lower()[-1] == "ς" else 2 if f"a{chr(code)}Σ".lower()[-1] == "ς" else 0
        if kind and rows and rows[-1][1:] == [code - 1, kind]:
            rows[-1][1] = code
        elif kind:
            rows.append([code, code, kind])
    return b"".join(struct.pack(">IIB", *row) for row in rows)
