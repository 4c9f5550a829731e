"""How findings are said: the words of `nfa check`, the log and status."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nfa.daemon.base.findings import PROGRAMS, begun, finding, sentences

ROOT = Path(__file__).resolve().parents[3]
WORDS = ROOT / "feeds/luci-app-nfa/htdocs/luci-static/resources/nfa/words.js"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("look here", "Look here"),
        ("did you mean 'x'?", "Did you mean 'x'?"),
        ("run: nfa route apply", "Run: nfa route apply"),
        ("back-references are not supported", "Back-references are not supported"),
        ("tc means bytes by bps", "tc means bytes by bps"),
        ("netifyd's files cannot be read", "netifyd's files cannot be read"),
        ("nftables' chains", "nftables' chains"),
        ("nfa: too late", "nfa: too late"),
        ("docs/recipes.md tells more", "docs/recipes.md tells more"),
        ("flow_offloading_hw, offloading by hardware", "flow_offloading_hw, offloading by hardware"),
        ("eth0.2 is gone", "eth0.2 is gone"),
        ("'nfa check' shows it", "'nfa check' shows it"),
        ("/etc/config is not there", "/etc/config is not there"),
        ("unix:///PATH or tcp://ADDRESS:PORT", "unix:///PATH or tcp://ADDRESS:PORT"),
    ],
)
def test_a_sentence_begins_with_a_capital_letter_and_a_name_as_it_is(text: str, said: str) -> None:
    """ "Docs/recipes.md" is no file, and "Tc" no program."""
    assert begun(text) == said
    assert sentences(finding("warning", "x", "something is wrong", text)) == f"something is wrong. {said}"


def test_pages_and_commands_know_the_same_programs() -> None:
    """A name would be written in one way in LuCI and in another one on the command line."""
    found = re.search(r"^const PROGRAMS = \[(.*?)\];", WORDS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found and tuple(re.findall(r"'([^']+)'", found[1])) == PROGRAMS
