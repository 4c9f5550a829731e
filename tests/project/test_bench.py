"""`make bench` still runs: what needs no kernel, on little, without judging the figures; and what it writes is whole."""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from itertools import count
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import evaluation  # noqa: E402
import healing  # noqa: E402
import mixes  # noqa: E402
import picture  # noqa: E402
import pure  # noqa: E402
import report  # noqa: E402
import table  # noqa: E402
import throughput  # noqa: E402
import workload  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"
COSTS = {"compile": 0.1, "image": 1e5, "memory": 1e6, "again": 1.0, "new": 2.0, "named": 3.0, "matched": 0.2}
FIGURES: dict[str, Any] = {
    "stream": "live-mix15.bin.gz",
    "decoding": dict.fromkeys(("baseline", "framing", "records", "decide", "engine", "matched"), 0.1) | {"flows": 5134},
    "throughput": {
        "100 json repeated": {"ratio": 1.5, "records": 9039, "flows": 5134, "wall": 0.1, "cpu": 0.1},
        "100 orjson distinct": {"ratio": 1.1, "records": 9039, "flows": 5134, "wall": 0.1, "cpu": 0.1},
    },
    "sets": {
        size: dict.fromkeys(("nftset nft -f", "nftset nfa, 64 at once", "nftset nfa, 1024 at once", "ipset ipset restore",
                             "ipset nfa, 64 at once", "ipset nfa, 1024 at once", "nftset nft -f, 64 at once"), 1e5)
        for size in ("10000", "50000")
    },
    "evaluation": {mix: {str(size): dict(COSTS) for size in (10, 100, 1000, 5000)} for mix in mixes.SHARE},
    "memory": {
        "100": {"empty": 13.4e6, "stream": 14e6, "ubus": True}, "1000": {"empty": 14e6, "stream": 15e6, "ubus": False},
        "elements": {"first": 500, "elements": 50100, "added": 9e6, "per_element": 180.0},
        "compiler": 25.1e6, "growth": {"from": 100000, "records": 1000000, "grown": 0},
    },
    "firewall": {
        "latency": {"p50": 0.3, "p99": 6.0, "p99.9": 9.0, "lost": 0}, "healing": {"median": 9.0, "worst": 20.0, "quick": 20.0},
        "rest": {"100": 12.7e6, "1000": 14.6e6}, "connections": {"elements": 50053, "per_element": 228.2},
        "alone": {"1000": 0.2, "50000": 5.4},
        "turns": {"actions": 1000, "held": 10000, "before": 15.0, "reload": 20.0, "pause": 33.0, "edge": 41.0},
    },
    "packets": {
        "connections": 50000,
        "others": {count: {"speed": 5e5, "of_none": 0.89, "of_one": 1.0} for count in ("0", "1", "1000")},
        "held": {count: {"speed": 5e5, "of_none": 0.85, "of_one": 1.0} for count in ("0", "1", "1000")},
    },
}  # fmt: skip
ENTRY: dict[str, Any] = {
    "date": "2026-11-21T12:00:00Z", "commit": "abc1234", "quick": False, "figures": FIGURES,
    "machine": {"cpu": "A CPU", "cores": 2, "kernel": "6.18.44-x", "python": "3.11.7"},
}  # fmt: skip


def test_the_decoding_is_measured(tmp_path: Path) -> None:
    """The bench is run once in a while only, and would be found broken when its figures are needed."""
    policy, data = pure.load(mixes.write(tmp_path))
    assert len(policy.actions) == 100 and data["slots"]
    found = pure.measure(workload.framed(workload.payloads()[:50]), policy, 1)
    assert {"framing", "records", "decide", "engine"} <= set(found)
    policy, data = pure.load(healing.policy(tmp_path))
    assert [slot["set"] for slot in data["slots"]] == ["h.v4", "h.v4"]  # type: ignore[attr-defined]


def test_the_baseline_gets_the_whole_stream_in_pieces() -> None:
    """A record cut in two would stop the bench; one left out would flatter or slander the daemon."""
    stream = workload.framed(workload.payloads()) * 3
    pieces = throughput.pieces(stream)
    assert len(pieces) > 1 and b"".join(pieces) == stream
    assert sum(map(pure.baseline, pieces)) == pure.baseline(stream)


def test_the_evaluation_is_measured_for_each_mix(tmp_path: Path) -> None:
    """A mix that does not compile, or matches nothing, would leave a hole in the table, or flatter."""
    flows = pure.read_all(workload.framed(workload.payloads()[:400]))
    found = evaluation.measure(tmp_path, flows, dict.fromkeys(mixes.SHARE, (20,)), 0.001)
    assert set(found) == set(mixes.SHARE)
    for counts in found.values():
        figures = counts["20"]
        assert all(0 < figures[way] < 10000 for way in evaluation.WAYS)
        assert figures["compile"] > 0 and figures["image"] > 1000 and figures["memory"] > 10000
        assert 0 < figures["matched"] < 1


@pytest.mark.parametrize("mix", mixes.SHARE)
def test_policies_grow_and_do_not_repeat_themselves(mix: str) -> None:
    """Going from 100 to 5,000 actions would be cheap if they were the same ones again."""
    large = mixes.criteria(mix, 5000)
    assert len(set(large)) == 5000
    assert large[:100] == mixes.criteria(mix, 100)
    others = set(mixes.criteria("unindexable", 5000))
    assert len([text for text in large if text in others]) == 50 * mixes.SHARE[mix]


def test_new_flows_have_nothing_that_could_be_remembered() -> None:
    """What is remembered of other flows would make new ones look cheap."""
    flows = pure.read_all(workload.framed(workload.payloads()[:400]))
    serial = count(1)
    made = [record["flow"] for _ in range(3) for record in evaluation.fresh(flows, serial, True)]
    assert len({flow["other_ip"] for flow in made}) == len(made) == len({flow["host_server_name"] for flow in made})
    assert pure.read_all(workload.framed(workload.payloads()[:400])) == flows


def test_a_varied_stream_has_new_digests_and_names_and_the_same_addresses() -> None:
    """Memory would be said not to grow because nothing new came, or to grow because elements did."""
    payloads = workload.payloads()[:400]
    once, varied = (
        [record["flow"] for record in pure.read_all(workload.framed(records))]
        for records in (payloads, list(workload.distinct(payloads, 2, addresses=False)))
    )
    again = varied[len(once) :]
    assert [flow["other_ip"] for flow in again] == [flow["other_ip"] for flow in once]
    assert not {flow["digest"] for flow in again} & {flow["digest"] for flow in once}
    names = {flow["host_server_name"] for flow in once if "host_server_name" in flow}
    assert names and not names & {flow.get("host_server_name") for flow in again}


def test_what_misses_is_marked() -> None:
    """Somebody would read past the one figure that is not as promised."""
    rows = {row.name: row for row in table.memory(FIGURES["memory"])}
    missed = rows["resident with 100 actions, UCI, JSON and ubus: MB"]
    assert missed.holds is False and "MISSED" in table.text(missed) and "(missed)" in table.markdown(FIGURES)
    assert "no ubusd" in next(name for name in rows if "1,000 actions" in name)
    missed = [row for name in ("firewall", "packets") for row in table.SECTIONS[name](FIGURES[name]) if row.holds is False]
    assert [row.value for row in missed] == ["0.30, 6.00, 9.00", "0.89 times"]


def test_the_picture_is_whole_and_says_what_it_shows() -> None:
    """A browser shows nothing at all of an SVG that is not XML; who does not see needs its words."""
    drawn = ElementTree.fromstring(picture.draw(FIGURES["evaluation"]))
    assert drawn.tag == f"{SVG}svg"
    title, described = drawn.find(f"{SVG}title"), drawn.find(f"{SVG}desc")
    assert title is not None and title.text and described is not None and described.text
    assert "5,000 actions" in described.text and "C++" in described.text
    assert drawn.get("aria-labelledby") == f"{title.get('id')} {described.get('id')}"
    assert len(drawn.findall(f"{SVG}polyline")) == 2 * len(mixes.SHARE) + 1
    width, height = (float(number) for number in drawn.get("viewBox", "").split()[2:])
    for line in drawn.findall(f"{SVG}polyline"):
        for point in line.get("points", "").split():
            x, y = point.split(",")
            assert 0 <= float(x) <= width and 0 <= float(y) <= height
    assert "prefers-color-scheme: dark" in picture.draw(FIGURES["evaluation"])


def test_readme_gets_the_table_between_its_marks(tmp_path: Path) -> None:
    """Text around the table would be lost, or a second run would leave two tables."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    for _ in range(2):
        report.write_readme(tmp_path, ENTRY)
    text = (tmp_path / "README.md").read_text()
    assert text == f"before\n{report.block(ENTRY)}\nafter\n"
    assert "abc1234" in text and "old" not in text and "| 1.50 times |" in text
    assert (tmp_path / report.PICTURE).read_text() == picture.draw(FIGURES["evaluation"])
    (tmp_path / "README.md").write_text("no marks")
    with pytest.raises(ValueError, match="lacks"):
        report.write_readme(tmp_path, ENTRY)


def test_readme_has_the_figures_of_a_recorded_run() -> None:
    """A table that was edited by hand, or is of a run that nobody recorded, promises what nobody measured."""
    text = (ROOT / "README.md").read_text()
    assert text.count(report.BEGIN) == text.count(report.END) == 1
    written = report.BEGIN + text.partition(report.BEGIN)[2].partition(report.END)[0] + report.END
    stamp = re.search(r"\((\d{4}-\d\d-\d\dT[\d:]+Z), commit", written)
    if stamp is None:
        pytest.skip("README has not been written by the bench yet")
    entries = [json.loads(line) for line in (ROOT / "bench/history.jsonl").read_text().splitlines()]
    assert written == report.block(next(entry for entry in entries if entry["date"] == stamp[1]))
