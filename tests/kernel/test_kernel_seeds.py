"""The configurations of Netify's documentation, as they are, on real and on made streams.

What the sets must hold is read from the records here by the plainest reading of that documentation (shared/seeds), with
nothing of the code under test: a user who copies an example gets these elements, these names, these timeouts.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kernel_lab import ROOT, SHARED, Lab, eventually, ip, logged
from samples import Record, as_v5, flow, frame, recording

pytestmark = pytest.mark.kernel

SEEDS = ROOT / "tests" / "compiler" / "config" / "seeds"
LIVE = SHARED / "data" / "streams" / "live-mix15.bin.gz"
SOCIAL_MEDIA = 24  # netify-categories.json of 4.4.7


def unframed(data: bytes) -> Iterator[Record]:
    """The records of a framed stream, by the lengths in it."""
    position = 0
    while position < len(data):
        end = data.index(b"\n", position)
        length = json.loads(data[position:end])["length"]
        yield json.loads(data[end + 1 : end + 1 + length])
        position = end + 1 + length


def edges() -> bytes:
    """Flows that sit right at what the seeds say."""
    fields: dict[str, Any] = {"host_server_name": "x.example"}
    weak: dict[str, Any] = {"ssl": {"version": "0x0302"}}
    records = [
        flow("DNS", "netify.youtube", other="203.0.113.201", other_port=53, ip_protocol=17, **fields),
        flow("DNS", "netify.facebook", other="203.0.113.202", other_port=53, ip_protocol=17, **fields),
        flow("QUIC", "netify.twitter", other="203.0.113.203", ip_protocol=17, **fields),
        flow("HTTP/S", "netify.reddit", other="203.0.113.204", **fields),
        flow("HTTP/S", "netify.instagram", local="192.168.1.1", other="203.0.113.205", **fields),
        flow("HTTP/S", "netify.instagram", other="192.168.1.1", **fields),
        flow("BitTorrent", "netify.facebook", other="203.0.113.206", other_port=51413, **fields),
        flow("BitTorrent", other="203.0.113.207", other_port=0, ip_protocol=17),
        flow("HTTP/S", other="203.0.113.208", **weak),
        flow("HTTP/S", other="203.0.113.209", ip_nat=True, **weak),
        flow("HTTP/S", local="192.168.1.50", other="203.0.113.210", **weak),
        flow("HTTP/S", other="192.168.1.50", **weak),
        flow("HTTP/S", other="203.0.113.211", ssl={"version": "0x0301"}),
        flow("HTTP/S", other="203.0.113.212", ssl={"version": "0x0303"}),
        as_v5(flow("HTTP/S", other="203.0.113.213", **weak), kind="flow_dpi_update"),
        flow("HTTP/S", local="2001:db8:1::50", other="2001:db8:ffff::213", other_port=8443, **weak),
    ]
    return b"".join(map(frame, records))


def streams() -> list[Any]:
    live = pytest.mark.skipif(not LIVE.exists(), reason="needs shared/data/streams")
    return [
        pytest.param(lambda: gzip.decompress(LIVE.read_bytes()), id="live-mix15", marks=live),
        pytest.param(lambda: recording(seed=7, flows=400) + edges(), id="made"),
    ]


# -- the plain reading ----------------------------------------------------------------------------------------------------

TRANSPORTS = {6: "tcp", 17: "udp", 132: "sctp", 136: "udplite"}


def flows(records: Iterable[Record]) -> Iterator[Record]:
    """What a policy looks at, without what the global exemption of DNS takes away."""
    for record in records:
        if record["type"] in ("flow", "flow_dpi_update", "flow_dpi_complete"):
            yield record["flow"]


def is_dns(one: Record) -> bool:
    return str(one["detected_protocol_name"]).lower() == "dns"


def application(one: Record) -> str:
    return str(one["detected_application_name"]).lower()


def is_social(one: Record) -> bool:
    return SOCIAL_MEDIA in (one["category"]["application"], one["category"].get("domain"))


def three(one: Record) -> str:
    """hash:ip,port,ip: other_ip, protocol and other_port, local_ip; rules match it as dst,dst,src."""
    return f"{ip(one['other_ip'])},{TRANSPORTS[one['ip_protocol']]}:{one['other_port']},{ip(one['local_ip'])}"


def four(one: Record) -> tuple[str, str, str, str]:
    """local_addr, ip_proto, other_port, other_addr."""
    return ip(one["local_ip"]), TRANSPORTS[one["ip_protocol"]], str(one["other_port"]), ip(one["other_ip"])


def by_version(found: Iterable[Record]) -> tuple[set[str], set[str]]:
    made: tuple[set[str], set[str]] = (set(), set())
    for one in found:
        made[one["ip_version"] == 6].add(three(one))
    return made


def seed(name: str) -> Any:
    return json.loads((SEEDS / f"{name}.json").read_text())


def play(lab: Lab, config: object, data: bytes) -> list[Record]:
    records = list(unframed(data))
    lab.start(config)
    lab.netifyd.send(data)
    count = len(records) + 1  # and the greeting
    lab.settled(count)
    status = lab.daemon.status()
    assert sum(status["source"]["bad"].values()) == 0
    assert all(target["errors"] == 0 for target in status["targets"].values())
    return records


@pytest.mark.parametrize("stream", streams())
def test_ipset_integration(lab: Lab, stream: Any) -> None:
    """BitTorrent, YouTube, and social media except Twitter; DNS is exempt. Also the seed ipset-mark-bittorrent."""
    records = play(lab, seed("ipset-integration"), stream())
    found = [one for one in flows(records) if not is_dns(one)]
    expected = {
        "bittorrent": [one for one in found if one["detected_protocol_name"].lower() == "bittorrent"],
        "youtube": [one for one in found if application(one) in ("youtube", "netify.youtube")],
        "social": [one for one in found if is_social(one) and application(one) != "netify.twitter"],
    }
    sets = lab.namespace.ipsets()
    assert set(sets) == {f"nfa.{name}.v{version}" for name in expected for version in (4, 6)}
    for name, matching in expected.items():
        assert matching, "the stream has something of each kind"
        for version, keys in zip((4, 6), by_version(matching), strict=True):
            made = sets[f"nfa.{name}.v{version}"]
            assert made.keys == keys
            options = {key: made.options.get(key) for key in ("family", "maxelem", "timeout", "skbinfo")}
            family = "inet" if version == 4 else "inet6"
            assert made.type == "hash:ip,port,ip"
            assert options == {"family": family, "maxelem": "65536", "timeout": "120", "skbinfo": ""}
            assert all(60 < made.left(key) <= 120 for key in keys)
    assert lab.daemon.stop() == 0
    assert all(not made.keys for made in lab.namespace.ipsets().values()), "flush_on_destroy"


@pytest.mark.parametrize("version", ["0x0302", "0x0301"])
@pytest.mark.parametrize("stream", streams())
def test_nftables_integration(lab: Lab, stream: Any, version: str) -> None:
    """TLS 1.1 without NAT, but for the printer at 192.168.1.50, in a set and a log.

    With TLS 1.0 too: the recorded stream has 108 records of it, and none of 1.1.
    """
    config = seed("nftables-integration")
    config["actions"]["weakssl"]["criteria"] = config["actions"]["weakssl"]["criteria"].replace("0x0302", version)
    # The one other change: a folder of the test's own in place of /tmp.
    logs = lab.folder / "logs"
    config["targets"]["log.weakssl"] |= {"path": str(logs)}
    records = play(lab, config, stream())

    def is_weak(one: Record) -> bool:
        printers = "192.168.1.50" in (one["local_ip"], one["other_ip"])
        return not one["ip_nat"] and one.get("ssl", {}).get("version") == version and not printers

    weak = [one for one in flows(records) if is_weak(one)]
    assert weak or version == "0x0302"
    sets = lab.namespace.nft_sets()
    assert set(sets) == {"netify weakssl.v4", "netify weakssl.v6"}
    for family in (4, 6):
        made = sets[f"netify weakssl.v{family}"]
        mine = [one for one in weak if one["ip_version"] == family]
        keys = {four(one) for one in mine}
        named = {(local, {"6": "tcp", "17": "udp"}.get(proto, proto), port, other) for local, proto, port, other in made.keys}
        assert named == keys
        assert made.type == f"ipv{family}_addr . inet_proto . inet_service . ipv{family}_addr"
        options = {key: made.options[key] for key in ("family", "timeout", "size")}
        assert options == {"family": "inet", "timeout": "120", "size": "65536"}
    assert lab.daemon.stop() == 0
    assert all(not made.keys for made in lab.namespace.nft_sets().values()), "flush_on_destroy"
    _check_logs(logs, logged(records, is_weak))


def _check_logs(folder: Path, weak: list[Record]) -> None:
    files = sorted(folder.iterdir()) if folder.exists() else []
    entries = [entry for file in files for entry in json.loads(file.read_text())["entries"]]
    netifys = ("app_id", "dst_addr", "dst_port", "proto_id", "src_addr")
    assert [{name: entry[name] for name in netifys} for entry in entries] == [
        {
            "app_id": f"{one['detected_application']}.{one['detected_application_name']}",
            "dst_addr": one["other_ip"],
            "dst_port": one["other_port"],
            "proto_id": str(one["detected_protocol"]),
            "src_addr": one["local_ip"],
        }
        for one in weak
    ]


@pytest.mark.parametrize("stream", streams())
def test_flow_actions_plugin(lab: Lab, stream: Any) -> None:
    """Social media except Reddit; DNS and the router are exempt everywhere.

    The other action of the page has hours, in which it writes a log.
    """
    config = seed("flow-actions-plugin")
    config["targets"]["log.example"]["path"] = str(lab.folder / "logs")
    records = play(lab, config, stream())
    social = [
        one
        for one in flows(records)
        if not is_dns(one)
        and "192.168.1.1" not in (one["local_ip"], one["other_ip"])
        and is_social(one)
        and application(one) != "netify.reddit"
    ]
    assert social
    sets = lab.namespace.ipsets()
    assert set(sets) == {"nfa.example.v4", "nfa.example.v6"}
    assert (sets["nfa.example.v4"].keys, sets["nfa.example.v6"].keys) == by_version(social)
    assert {made.options["timeout"] for made in sets.values()} == {"120"}
    assert lab.namespace.nft_sets() == {}, "the nftset of the page is disabled"
    assert lab.daemon.stop() == 0
    left = lab.namespace.ipsets()
    assert not left["nfa.example.v4"].keys and not left["nfa.example.v6"].keys, "off is off, also with flush_on_destroy false"


def test_replay_over_tcp_gives_the_same(lab: Lab) -> None:
    """A router watched from another machine, `tcp://`, and a recording served by `nfa replay`."""
    lab.namespace.run("ip", "link", "set", "lo", "up")
    data = recording(seed=3, flows=100)
    file = lab.folder / "stream.bin"
    file.write_bytes(data)
    lab.netifyd.uri = "tcp://localhost:7150"
    daemon = lab.launch(seed("ipset-integration"))
    daemon.loaded()
    done = lab.namespace.run(*lab.nfa("replay", str(file), "--listen", "tcp://127.0.0.1:7150", "--speed", "full", "--newline"))
    assert done
    count = len(list(unframed(data)))
    status = lab.settled(count)
    assert status["source"]["records"] == count
    found = [one for one in flows(unframed(data)) if one["detected_protocol_name"] == "BitTorrent"]
    eventually(lambda: lab.namespace.ipset("nfa.bittorrent.v4").keys == by_version(found)[0])
