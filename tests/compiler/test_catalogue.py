"""Names and ids: the agent's own where its files can be read, the built-in ones otherwise."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from nfa.compiler import catalogue

DATA = Path(os.environ.get("NFA_SHARED", Path(__file__).parents[3] / "shared")) / "data"


def test_the_built_in_names() -> None:
    """Without the agent's files (at a desk) every name would be unknown."""
    names = catalogue.builtin()
    assert names.application("youtube") == names.application("Netify.YouTube") == 124
    assert names.application("nonsense") is None
    assert names.protocols["http/s"] == 196
    assert names.application_categories["games"]
    assert names.protocol_categories["web"] == 22
    assert names.category_of_application[124] == 29
    assert all(name == name.lower() for name in [*names.applications, *names.protocols, *names.risks])
    assert not names.complete_applications


def test_the_agents_own_names_win(tmp_path: Path) -> None:
    """An application that Netify added last week could not be named."""
    lines = ["# c", "app:9:netify.New-App", "dom:9:x.example", "app:bad:x", "app:10:two words", "\xff"]
    (tmp_path / "netify-apps.conf").write_text("\n".join(lines), encoding="latin-1")
    (tmp_path / "netify-categories.json").write_text(
        json.dumps(
            {
                "application_tag_index": {"Fresh": 99, "odd": "x"},
                "protocol_tag_index": [],
                "application_index": [[99, [9, "x"]], [1], "y", [2, 3]],
                "protocol_index": None,
            }
        )
    )
    names = catalogue.load([str(tmp_path / "absent"), str(tmp_path)])
    assert names.applications == {"netify.new-app": 9, "two": 10}
    assert names.complete_applications
    assert names.application_categories["fresh"] == 99
    assert "odd" not in names.application_categories
    assert names.category_of_application[9] == 99
    assert names.protocols["dns"] == 5
    assert names.sources[1:] == [str(tmp_path / "netify-apps.conf"), str(tmp_path / "netify-categories.json")]


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\0" * 100, '{"application_tag_index": 5}', "[" * 100_000])
def test_broken_files_leave_the_built_in_names(tmp_path: Path, content: str) -> None:
    """A half-written download would end the compiler."""
    (tmp_path / "netify-apps.conf").write_text(content)
    (tmp_path / "netify-categories.json").write_text(content)
    names = catalogue.load([str(tmp_path)])
    built_in = catalogue.builtin()
    assert names.applications == built_in.applications
    assert names.application_categories == built_in.application_categories


@pytest.mark.skipif(not DATA.is_dir(), reason="no shared data")
def test_the_built_in_names_are_those_of_4_4_7() -> None:
    """The table in the package would be of another agent."""
    names = catalogue.load([str(DATA)])
    assert len(names.applications) > 100
    for number, tag in (line.split(":", 1) for line in (DATA / "protocols-4.4.7.txt").read_text().splitlines() if line):
        assert names.protocols[tag.strip().lower()] == int(number)
