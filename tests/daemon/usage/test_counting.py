"""What is counted while records come: exactly what an independent count of the same records finds."""

from __future__ import annotations

import json
import os
import random
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import samples
from hypothesis import given, settings
from hypothesis import strategies as st
from usage_lab import Lab, Reading

from nfa.cli.recording import records
from nfa.daemon.engine.networks import SWAPPED, TURNED, TWICE, Networks
from nfa.daemon.engine.plans import Plan
from nfa.daemon.stream.records import FIELDS, digest_key
from nfa.daemon.usage import counting
from nfa.daemon.usage.periods import unpack

Record = dict[str, Any]
NOON = 1_795_003_200.0
SHARED = Path(os.environ.get("NFA_SHARED", "/nowhere")) / "data" / "streams"
RECORDED = sorted(SHARED.glob("*.bin.gz"))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(NOON, str(tmp_path / "usage"))


@st.composite
def streams(draw: st.DrawFn) -> list[Record]:
    """Records of a few flows in any order that netifyd may have: early statistics, refinements, digests that come back."""
    apps = st.sampled_from(["netify.youtube", "netify.netflix", "Unknown"])
    made: list[Record] = []
    for _ in range(draw(st.integers(1, 40))):
        port = draw(st.integers(1, 6))
        flow = samples.flow(application=draw(apps), local=f"192.168.1.{20 + port % 3}", local_port=50000 + port)
        digest = flow["flow"]["digest"]
        size = st.integers(0, 1 << 40)
        numbers = {"local": (draw(size), draw(st.integers(0, 9))), "other": (draw(size), draw(st.integers(0, 9)))}
        kind = draw(st.sampled_from(["flow", "flow", "stats", "stats", "stats", "purge"]))
        made.append(
            flow
            if kind == "flow"
            else samples.stats(digest, **numbers)
            if kind == "stats"
            else samples.purge(digest, **numbers)
        )
    return made


@given(streams(), st.lists(st.integers(0, 40), max_size=4))
@settings(max_examples=200)
def test_any_stream_is_counted_as_an_independent_reading_counts_it(stream: list[Record], edges: list[int]) -> None:
    """An owner would be told that a device used what another one did, or bytes would be missing; also over an hour's end."""
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(NOON + 3000, folder + "/usage")
        for number, record in enumerate(stream):
            if number in edges:
                lab.forward(250)
            lab.take(record)
    reading = Reading().take(stream)
    assert lab.totals() == reading.found()
    assert lab.totals(days=False) == reading.found()
    early = sum(sum(numbers) for numbers in reading.early.values())
    assert lab.usage.counting.waiting()[0] == reading.unknown + early


@pytest.mark.parametrize("size", [1, 7, 32, 1000])
def test_the_home_of_the_tests_is_counted_whole_and_in_batches(lab: Lab, size: int) -> None:
    """Records are decoded together: what is counted must not depend on how they arrive."""
    stream = [record for record in samples.stream(seed=3, flows=300) if record["type"].startswith("flow")]
    for start in range(0, len(stream), size):
        lab.take(*stream[start : start + size])
    assert lab.totals() == Reading().take(stream).found()


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.name)
def test_recordings_of_the_agent_are_counted_as_they_say(lab: Lab, file: Path) -> None:
    """What a real agent writes, with its own field order, is read without being decoded: that must not lose a byte."""
    stream = [record for record in records(str(file), lambda problem: None) if str(record["type"]).startswith("flow")]
    stream = [record for record in stream if record["internal"]]
    lab.take(*stream)
    reading = Reading().take(stream)
    assert lab.totals() == reading.found()
    assert lab.usage.counting.waiting()[0] == reading.unknown + sum(map(sum, reading.early.values()))


def test_statistics_of_other_forms_are_read_too(lab: Lab) -> None:
    """Another agent, or another version, may order or space its fields otherwise: its bytes count as well."""
    flow = samples.flow(application="netify.youtube")
    lab.take(flow)
    digest = flow["flow"]["digest"]
    stats = samples.stats(digest, local=(100, 1), other=(2000, 2))
    stats["flow"] = dict(reversed(stats["flow"].items()))
    lab.engine.take([json.dumps(stats).encode(), json.dumps(stats, separators=(",", ":")).encode()], 1)
    extra = samples.stats(digest, local=(100, 1), other=(2000, 2))
    extra["flow"] |= {"a": 1, "local_rate": 12345, "tcp": {"resets": 1}}
    lab.take(extra, samples.as_v5(extra, "flow_stats") if extra["type"] == "flow" else extra)
    assert lab.totals() == {("02:00:5e:00:01:14", "netify.youtube"): [8000, 400, 1]} or list(lab.totals().values()) == [
        [8000, 400, 1]
    ]


@pytest.mark.parametrize("broken", [{"local_bytes": -5}, {"local_bytes": "9"}, {"other_bytes": 1.5}, {"local_bytes": None}])
def test_statistics_with_broken_numbers_count_nothing(lab: Lab, broken: Record) -> None:
    """A number that is none must neither end the daemon nor take from what was counted."""
    flow = samples.flow(application="netify.youtube")
    stats = samples.stats(flow["flow"]["digest"], local=(100, 1), other=(2000, 2))
    lab.take(flow, stats)
    before = lab.totals()
    lab.take(stats | {"flow": stats["flow"] | broken})
    assert lab.totals() == before


@pytest.mark.parametrize(
    "broken", [{"local_mac": ["x"]}, {"local_mac": 5}, {"local_ip": "no address"}, {"detected_protocol_name": 7}]
)
def test_a_flow_with_broken_fields_disturbs_no_other(lab: Lab, broken: Record) -> None:
    """Strangers choose what is in records: those of the same batch must count all the same."""
    bad = samples.flow(local_port=1, **broken)
    good = samples.flow(application="netify.youtube", local_port=2)
    lab.take(bad, good, samples.stats(good["flow"]["digest"], local=(1, 1), other=(2, 1)))
    assert [2, 1, 1] in lab.totals().values()


def test_what_comes_before_the_flow_record_is_counted_with_it(lab: Lab) -> None:
    """netifyd announces a flow that it only guesses just before its end: minutes of it would be nobody's."""
    flow = samples.flow(application="netify.youtube")
    digest = flow["flow"]["digest"]
    lab.take(samples.stats(digest, local=(10, 1), other=(90, 2)))
    assert lab.usage.counting.waiting() == [100, 3]
    lab.take(flow, samples.purge(digest, local=(1, 1), other=(2, 1)))
    assert list(lab.totals().values()) == [[92, 11, 1]]
    assert lab.usage.counting.waiting() == [0, 0]


def test_flows_that_are_never_announced_are_told_as_unknown(lab: Lab) -> None:
    """A daemon that joins late sees statistics of flows that it does not know: their bytes are said, not dropped."""
    for port in range(counting.MAX_WAITING + 5):
        lab.take(samples.stats(samples.digest(6, "192.168.1.20", port, "203.0.113.10", 443), local=(1, 1), other=(2, 1)))
    count = counting.MAX_WAITING + 5
    assert lab.usage.counting.waiting() == [3 * count, 2 * count]
    assert lab.usage.status()["unknown_bytes"] == 3 * count
    assert len(lab.usage.counting._waiting) == counting.MAX_WAITING


def test_a_flow_whose_ends_were_exchanged_counts_the_right_way_round(lab: Lab) -> None:
    """netifyd's statistics keep its own idea of the local end: down and up would be exchanged for a device behind a route."""
    lab.engine.networks.name(["192.168.1.0/24"])
    flow = samples.flow(application="netify.youtube", local="10.9.9.9", other="192.168.1.20", other_type="local")
    flow["flow"]["local_origin"] = False
    lab.take(flow, samples.stats(flow["flow"]["digest"], local=(9000, 9), other=(100, 1)))
    assert [total for pair, total in lab.totals().items()] == [[9000, 100, 1]]


def test_orienting_says_whether_the_ends_were_exchanged() -> None:
    """A record of which only the kind of the other end was wrong keeps its directions."""
    networks = Networks()
    networks.name(["192.168.1.0/24"])
    turned = samples.flow(local="10.9.9.9", other="192.168.1.20", other_type="local")
    assert networks.orient(turned, turned["flow"], 1) == TURNED | SWAPPED
    retyped = samples.flow(local="192.168.1.20", other="203.0.113.9", other_type="local")
    assert networks.orient(retyped, retyped["flow"], 1) == TURNED


def test_a_duplicate_of_the_wan_is_counted_once(lab: Lab) -> None:
    """With NAT each connection is two flows: a household would have used twice what it did."""
    lan = samples.flow(application="netify.youtube")
    wan = samples.flow(application="netify.youtube", local="198.51.100.7", interface="wan", internal=False, ip_nat=True)
    lab.take(lan, wan)
    for record in (lan, wan):
        lab.take(samples.stats(record["flow"]["digest"], local=(10, 1), other=(20, 1)))
        lab.take(samples.purge(record["flow"]["digest"], local=(1, 1), other=(2, 1)))
    assert list(lab.totals().values()) == [[22, 11, 1]]
    assert lab.usage.counting.waiting() == [0, 0]


def test_a_duplicate_that_shows_late_is_no_longer_counted(lab: Lab) -> None:
    """The WAN's record may come a moment before the LAN's."""
    counts = lab.usage.counting
    flow = samples.flow(application="netify.youtube")
    lab.take(flow)
    counts.twice([digest_key(flow["flow"]["digest"])])
    lab.take(samples.stats(flow["flow"]["digest"], local=(10, 1), other=(20, 1)))
    assert lab.totals() == {}
    assert counts.waiting() == [0, 0]
    assert TWICE == 2


def test_an_application_that_is_refined_takes_its_connection_along(lab: Lab) -> None:
    """Each video would count as one connection of TLS and one of the application."""
    first = samples.flow("TLS", local_port=5)
    second = samples.flow("TLS", "netify.youtube", local_port=5)
    digest = first["flow"]["digest"]
    lab.take(first, second, samples.stats(digest, local=(1, 1), other=(9, 1)))
    assert {pair[1]: total for pair, total in lab.totals().items()} == {"netify.youtube": [9, 1, 1]}


def test_a_flow_of_netifyd_5_goes_on_under_another_digest(lab: Lab) -> None:
    """netifyd 5 changes digests when it reclassifies: the flow would be counted twice, and what follows would be unknown."""
    first = samples.flow("TLS", local_port=5)
    second = samples.flow("TLS", "netify.youtube", local_port=5, digest="c" * 40, digest_prev=[first["flow"]["digest"]])
    lab.take(first, second, samples.stats("c" * 40, local=(1, 1), other=(9, 1)))
    assert {pair[1]: total for pair, total in lab.totals().items()} == {"netify.youtube": [9, 1, 1]}
    later = samples.stats("d" * 40, local=(1, 1), other=(9, 1))
    later["flow"]["digest_prev"] = ["c" * 40]
    lab.take(later)
    assert {pair[1]: total for pair, total in lab.totals().items()} == {"netify.youtube": [18, 2, 1]}


def _minute(lab: Lab, flow: Record, size: int) -> None:
    lab.take(samples.stats(flow["flow"]["digest"], local=(size // 4, 1), other=(size - size // 4, 1)))
    lab.forward(60)


def _minutes(lab: Lab) -> int:
    return sum(
        row[2] for packed in lab.usage.snapshot().days.values() for key, row in unpack(packed).items() if key >> 16 < 999
    )


def test_a_minute_is_active_beyond_a_threshold(lab: Lab) -> None:
    """A ping each second, which has 12,000 bytes a minute, would make a device be in use day and night."""
    flow = samples.flow(application="netify.youtube")
    lab.take(flow)
    _minute(lab, flow, 120 * 98)
    assert _minutes(lab) == 0
    _minute(lab, flow, counting.ACTIVE - 1)
    assert _minutes(lab) == 0
    _minute(lab, flow, counting.ACTIVE)
    _minute(lab, flow, 50 * counting.ACTIVE)
    assert _minutes(lab) == 2


def test_flows_of_one_application_share_their_minutes(lab: Lab) -> None:
    """A page has ten connections: reading it for a minute would be ten minutes."""
    flows = [samples.flow(application="netify.youtube", local_port=port) for port in range(4)]
    lab.take(*flows)
    lab.take(*[samples.stats(flow["flow"]["digest"], local=(100, 1), other=(counting.ACTIVE // 3, 1)) for flow in flows])
    lab.forward(60)
    assert _minutes(lab) == 1


def test_actions_have_rows_of_their_own_and_blocked_packets_are_counted(lab: Lab) -> None:
    """Who wrote an action wants to know what it was for."""
    counts = lab.usage.counting
    counts.sets.blocking = {"fw.block"}
    video = Plan((0,), ("video", "all"), ("nft.x",), [])
    blocked = Plan((1,), ("games",), ("fw.block",), [])
    flows = [samples.flow(application="netify.youtube", local_port=port)["flow"] for port in range(2)]
    stats = samples.payload(samples.stats("a" * 40, local=(10, 1), other=(90, 2)))
    for number, (flow, plan) in enumerate(zip(flows, (video, blocked), strict=True)):
        counts.announce(number, flow, 0, plan)
        counts.count(number, stats, stats.split(b",", FIELDS), False)
    rows, actions = counts.rows()
    assert actions == {"video": [90, 10, 0, 1, 0], "all": [90, 10, 0, 1, 0], "games": [90, 10, 0, 1, 3]}
    assert list(rows.values()) == [[180, 20, 0, 2, 3]]
    counts.again(0, flows[0], 0, None)
    counts.count(0, stats, stats.split(b",", FIELDS), False)
    assert counts.rows()[1]["video"] == [90, 10, 0, 1, 0]


def test_a_flow_of_before_a_restart_goes_on(lab: Lab) -> None:
    """netifyd announces a flow once: what a download has after an upgrade of nfa would be unknown. It is no new connection."""
    flow = samples.flow(application="netify.youtube")
    key = digest_key(flow["flow"]["digest"])
    lab.take(samples.stats(flow["flow"]["digest"], local=(10, 1), other=(20, 1)))
    lab.usage.counting.again(key, flow["flow"], 0, None)
    lab.take(samples.stats(flow["flow"]["digest"], local=(10, 1), other=(20, 1)))
    assert list(lab.totals().values()) == [[40, 20, 0]]
    lab.usage.counting.again(key + 1, flow["flow"], TWICE, None)
    assert list(lab.totals().values()) == [[40, 20, 0]]


def test_the_oldest_flows_are_forgotten_and_counted(lab: Lab) -> None:
    """More flows than there is room for must not grow the daemon; what they have later is said to be unknown."""
    count = 3 * counting.MAX_LIVE
    for port in range(count):
        lab.take(samples.flow(application="netify.youtube", local_port=port % 60000, other_port=1 + port // 60000))
    counts = lab.usage.counting
    assert len(counts._young) + len(counts._older) <= 2 * counting.MAX_LIVE + 2
    assert counts.forgotten >= counting.MAX_LIVE
    assert list(lab.totals().values()) == [[0, 0, count]]


def test_a_flow_that_is_heard_from_is_not_forgotten(lab: Lab) -> None:
    """A download of hours would be unknown from some moment on."""
    flow = samples.flow(application="netify.youtube")
    lab.take(flow)
    for number in range(100):
        lab.forward(60)
        lab.take(samples.stats(flow["flow"]["digest"], local=(1, 1), other=(2, 1)))
        assert lab.usage.counting.waiting() == [0, 0], number
    assert list(lab.totals().values()) == [[200, 100, 1]]


def test_two_hundred_devices_with_three_hundred_applications_stay_within_2_mb(tmp_path: Path) -> None:
    """A router with 64 MB of memory would run out of it in a busy house, or by somebody who makes up addresses."""
    rng = random.Random(5)
    lab = Lab(NOON, str(tmp_path / "usage"))
    lab.forward(1200)
    flow = samples.flow()["flow"]
    purge = samples.payload(samples.purge("a" * 40, local=(123, 1), other=(45678, 1)))
    by_device: dict[str, int] = {}
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        highest = 0
        for count in range(3 * 200):
            mac = f"02:00:00:00:01:{count % 200:02x}"
            for app in range(300 if count // 200 == 1 else 20):
                other, digest = rng.randrange(90000), rng.getrandbits(60)
                by_device[mac] = by_device.get(mac, 0) + 123 + other
                made = flow | {"local_mac": mac, "detected_application_name": f"netify.app{app}"}
                lab.usage.counting.announce(digest, made, 0, None)
                payload = purge.replace(b"45678", b"%d" % other)
                lab.usage.counting.count(digest, payload, payload.split(b",", FIELDS), True)
            if count % 7 == 6:
                lab.forward(3600, 1800)
            highest = max(highest, tracemalloc.get_traced_memory()[0] - before)
    finally:
        tracemalloc.stop()
    found: dict[str, int] = {}
    for (device_name, _), (down, up, _) in lab.totals().items():
        found[device_name] = found.get(device_name, 0) + down + up
    assert found == by_device
    assert highest < 2 << 20, highest


def test_a_generated_week_is_counted_exactly(tmp_path: Path) -> None:
    """The totals of a week are what an owner looks at; hours end, days end, and the daemon is restarted in between."""
    lab = Lab(NOON, str(tmp_path / "usage"))
    reading = Reading()
    for day in range(7):
        stream = [record for record in samples.stream(seed=day, flows=60) if record["type"].startswith("flow")]
        for start in range(0, len(stream), 20):
            lab.take(*stream[start : start + 20])
            lab.forward(30)
        reading.take(stream)
        for digest in reading.flows:
            lab.take(samples.purge(digest))
        reading.flows.clear()
        lab.forward(86400 - len(stream) // 20 * 30, 600)
        lab.restart()
    assert lab.totals() == reading.found()


def test_the_recording_in_the_repository_is_counted(lab: Lab) -> None:
    """The example that everybody can try."""
    streams = list((Path(__file__).parents[2] / "agent_streams").glob("*.jsonl"))
    assert streams
    for file in streams:
        stream = [json.loads(line) for line in file.read_text().splitlines()]
        lab.take(*[record for record in stream if record.get("type", "").startswith("flow") and record.get("internal")])
    assert lab.totals() is not None


@pytest.mark.parametrize("number", ["-1", str(1 << 60), "9" * 30, "9" * 400, "9" * 5000, "1e3", "1.5", '"12"', "null", "[]"])
@pytest.mark.parametrize("column", ["local_bytes", "other_bytes"])
@pytest.mark.parametrize("blocked", [False, True])
def test_numbers_that_are_none_are_not_counted(lab: Lab, number: str, column: str, blocked: bool) -> None:
    """One broken record would spend a budget, and `nfa budget` would end with a traceback: too large for a float."""
    flow = samples.flow(application="netify.youtube")
    lab.take(flow)
    digest = flow["flow"]["digest"]
    payload = samples.payload(samples.stats(digest, local=(0, 1), other=(0, 1)))
    lab.engine.take([payload.replace(f'"{column}":0'.encode(), f'"{column}":{number}'.encode())], int(lab.moment))
    if blocked:
        for counter in lab.usage.counting.counters.values():
            counter.blocks = True
    lab.take(samples.stats(digest, local=(1, 1), other=(2, 1)))
    assert list(lab.totals().values()) == [[2, 1, 1]]
