"""The streams the repository makes itself look like netifyd's: what passes with them passes on a router."""

from __future__ import annotations

import io
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import samples

from nfa.cli.recording import frames, records

SHARED = Path(os.environ.get("NFA_SHARED", Path(__file__).parents[3] / "shared"))
DATA = SHARED / "data"
needs_data = pytest.mark.skipif(not (DATA / "streams").is_dir(), reason="no shared recordings")
HOUSEHOLD = list(samples.stream(seed=7, flows=400))
FLOWS = [record["flow"] for record in HOUSEHOLD if record["type"] == "flow"]


def real(pattern: str = "*.bin.gz") -> Iterator[dict[str, Any]]:
    for path in sorted((DATA / "streams").glob(pattern)):
        yield from records(path)


def names(record: dict[str, Any], prefix: str = "") -> set[str]:
    """All field names, with their path; what is below a device or an interface's name is left out."""
    found = set()
    for name, value in record.items():
        found.add(prefix + name)
        if isinstance(value, dict) and name not in ("devices", "interfaces", "stats"):
            found |= names(value, f"{prefix}{name}.")
    return found


def test_the_same_seed_gives_the_same_bytes() -> None:
    """A failure that a test found would not come back on the next run."""
    assert samples.recording(3, 100) == samples.recording(3, 100)
    assert samples.recording(3, 100) != samples.recording(4, 100)


def test_a_stream_reads_back_as_it_was_made() -> None:
    """Demo and tests would replay something else than they say."""
    assert list(records(io.BytesIO(samples.recording(7, 400)))) == HOUSEHOLD


@needs_data
def test_records_are_written_as_netifyd_writes_them() -> None:
    """Tests of byte-exact framing would test another format than the router's."""
    for path in sorted((DATA / "streams").glob("one-*.bin.gz")):
        for payload in frames(path):
            assert samples.payload(json.loads(payload)) == payload


@needs_data
def test_field_names_are_those_of_real_records() -> None:
    """A field that netifyd never sends, or a missing one that it always sends, would hide a failure."""
    every: dict[str, set[str]] = {}
    some: dict[str, set[str]] = defaultdict(set)
    for record in real():
        found = names(record)
        every[record["type"]] = every.get(record["type"], found) & found
        some[record["type"]] |= found
    some["flow"] |= {"flow.bt", "flow.bt.info_hash"}  # documented, but in none of the recordings
    for record in HOUSEHOLD:
        found = names(record)
        assert every[record["type"]] <= found <= some[record["type"]], record


@needs_data
def test_names_ids_and_categories_are_netifys() -> None:
    """A policy tested with the samples would match another application on the router."""
    for kind, table in (("applications", samples.APPLICATIONS), ("protocols", samples.PROTOCOLS)):
        lines = (DATA / f"{kind}-4.4.7.txt").read_text().splitlines()
        ids = {tag.strip(): int(number) for number, tag in (line.split(":", 1) for line in lines if line)}
        listed = json.loads((DATA / "netify-categories.json").read_text())[f"{kind[:-1]}_index"]
        categories = {number: category for category, numbers in listed for number in numbers}
        for tag, (number, category) in table.items():
            if number:
                assert ids[tag] == number
                assert categories.get(number, 0) == category


def test_a_stream_has_all_kinds_of_traffic() -> None:
    """The demo would show a policy that nothing matches."""
    kind = ("detected_protocol_name", "detected_application_name", "ip_protocol", "ip_version")
    found = {tuple(flow[name] for name in kind) for flow in FLOWS}
    for ip_protocol in (6, 17):
        for version in (4, 6):
            assert ("BitTorrent", "Unknown", ip_protocol, version) in found
    assert ("QUIC", "netify.youtube", 17, 4) in found
    assert ("HTTP/S", "netify.youtube", 6, 4) in found
    social = {flow["detected_application_name"] for flow in FLOWS if flow["category"]["application"] == 24}
    assert social >= {"netify.facebook", "netify.instagram", "netify.reddit", "netify.twitter"}
    versions = {flow["ssl"]["version"] for flow in FLOWS if "ssl" in flow}
    assert versions >= {"0x0301", "0x0302", "0x0303", "0x0304"}
    assert {"DNS", "NTP", "ICMP", "ICMPv6", "MDNS", "DHCP", "GTP"} <= {name for name, *_rest in found}
    assert {"remote", "local", "multicast", "broadcast"} == {flow["other_type"] for flow in FLOWS}
    assert any(flow["vlan_id"] for flow in FLOWS)
    assert any(flow["detection_guessed"] for flow in FLOWS)
    assert any("gtp" in record["flow"] for record in HOUSEHOLD if record["type"] == "flow_stats")


def test_flows_live_as_netifyds_do() -> None:
    """Expiry and refinement would be tested with lives that no flow has."""
    live: set[str] = set()
    refined = 0
    for record in HOUSEHOLD:
        if record["type"] == "flow":
            if record["flow"]["detection_updated"]:
                assert record["flow"]["digest"] in live
                refined += 1
            live.add(record["flow"]["digest"])
        elif record["type"] == "flow_stats":
            assert record["flow"]["digest"] in live
            inner = record["flow"]
            assert inner["total_bytes"] >= inner["local_bytes"] + inner["other_bytes"]
        elif record["type"] == "flow_purge":
            live.remove(record["flow"]["digest"])
    assert refined > 50
    assert not live
    reasons = {record["reason"] for record in HOUSEHOLD if record["type"] == "flow_purge"}
    assert reasons >= {"closed", "expired"}
    updates = [record["timestamp"] for record in HOUSEHOLD if record["type"] == "agent_status"]
    assert {after - before for before, after in pairwise(updates)} == {15}


def test_addresses_belong_to_nobody() -> None:
    """A test that escapes its namespace, or a published example, would point at a stranger."""
    nobodys = [ip_network(text) for text in (
        "0.0.0.0/32", "255.255.255.255/32", "10.0.0.0/8", "192.168.0.0/16", "192.0.2.0/24", "198.51.100.0/24",
        "203.0.113.0/24", "224.0.0.0/4", "2001:db8::/32", "fe80::/10", "ff02::/16",
    )]  # fmt: skip
    for flow in FLOWS:
        for side in ("local", "other"):
            address = ip_address(flow[side + "_ip"])
            assert str(address) == flow[side + "_ip"]
            assert address.version == flow["ip_version"]
            assert any(address in network for network in nobodys)


def test_version_3_puts_the_id_into_the_name() -> None:
    """3.x agents would not be covered by any test."""
    record = samples.as_v3(samples.flow("HTTP/S", "netify.netflix"))
    assert record["flow"]["detected_application_name"] == "133.netify.netflix"
    assert "category" not in record["flow"]
    assert samples.as_v3(samples.flow("ICMP"))["flow"]["detected_application_name"] == "Unknown"
    assert samples.as_v3(samples.definitions())["type"] == "protocols"
    assert not samples.frame(samples.hello(), newline=False).endswith(b"\n")


@needs_data
def test_version_5_has_the_fields_of_its_documentation() -> None:
    """5.x agents would be tested with records that they do not send."""
    text = (SHARED / "reference" / "flow-stream.md").read_text()
    documented = json.loads(next(line for line in text.splitlines() if line.startswith('{"flow":')))
    ssl = documented["flow"]["ssl"]
    name = ssl["client_sni"]
    flow = samples.flow(ssl=ssl, host_server_name=name, dns_host_name=name)
    record = samples.as_v5(flow, wan="203.0.113.1")
    assert names(documented) <= names(record)
    extra = {"nfq", "nfq.src_iface", "nfq.dst_iface", "tags", "tcp", "detection_packets"}
    assert names(record) - names(documented) == {f"flow.{name}" for name in extra}
    assert record["flow"]["conntrack"]["reply_dst_ip"] == "203.0.113.1"
    kinds = [samples.as_v5(samples.flow(), kind)["type"] for kind in ("flow_dpi_update", "flow_dpi_complete")]
    assert kinds == ["flow_dpi_update", "flow_dpi_complete"]
    assert samples.as_v5(samples.flow(), tags=["guest"])["flow"]["tags"] == ["guest"]
