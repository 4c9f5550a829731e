"""What the dialog of a rule writes is what the daemon reads: a target for each answer, hours, a budget and exceptions."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from luci_app import HERE, needs_node

from nfa.compiler.base.paths import Paths
from nfa.compiler.compile import compile_policy
from nfa.compiler.config.sources import Sources
from nfa.compiler.config.uciconfig import PACKAGE

pytestmark = needs_node


def test_what_a_choice_writes_is_valid(tmp_path: Path) -> None:
    """A rule that was clicked together would be left out, or warn. Rules that do the same share a target, but not a limit."""
    done = subprocess.run(["node", str(HERE / "choices.js")], capture_output=True, text=True, check=True)
    made = json.loads(done.stdout)
    assert made["targets"] == ["block", "rule_1_limit", "first", "last", "through_wan2", "note", "rule_7_limit"]
    (tmp_path / PACKAGE).write_text(made["config"] + "\n", encoding="utf-8")
    policy, reports = compile_policy(Sources(uci=str(tmp_path)), Paths(str(tmp_path), str(tmp_path)), look=False)
    assert policy is not None
    serious = [report.text() for report in reports.items if report.severity != "info" and "time zone" not in report.message]
    assert not serious, serious
    assert [item.action.name for item in policy.actions if not item.reason] == [f"rule_{number}" for number in range(12)]
