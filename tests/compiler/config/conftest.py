"""Fixtures: a configuration in, the policy and what was reported out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from config_loading import Load
from policies import json_only

from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Reports
from nfa.compiler.config.model import Policy
from nfa.compiler.config.sources import load


@pytest.fixture
def load_config(tmp_path: Path) -> Load:
    """Write an object (or a text as it is) to a file and load it; state folders are in tmp_path, with a sink `sink-log`."""
    (tmp_path / "netify-sink-log.json").write_text("{}")

    def run(content: object) -> tuple[Policy | None, Reports]:
        file = tmp_path / "nfa.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        reports = Reports()
        return load(json_only(file), Paths(str(tmp_path), str(tmp_path / "run")), reports), reports

    return run
