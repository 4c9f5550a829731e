"""`make bench` still runs: its parts, on little, without judging the figures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench"


def test_the_bench_can_load_its_policy_and_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is run once in a while only, and would be found broken when its figures are needed."""
    monkeypatch.syspath_prepend(str(BENCH))
    for name in ("healing", "live", "pure", "workload"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import healing
    import pure
    import workload

    policy, data = pure.load(workload.write_policy(tmp_path))
    assert len(policy.actions) == 100 and data["slots"]
    stream = workload.framed(workload.payloads()[:50])
    found = pure.measure(stream, policy, 1)
    assert {"framing", "records", "decide", "engine"} <= set(found)
    policy, data = pure.load(healing.policy(tmp_path))
    assert [slot["set"] for slot in data["slots"]] == ["h.v4", "h.v4"]  # type: ignore[attr-defined]
    assert len(workload.policy(str(tmp_path), 200)["actions"]) == 200
