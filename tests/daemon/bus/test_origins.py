"""What status says of where records come from, and what of it needs somebody's eye."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import agent_streams
import pytest
import samples
from agent_streams import LAN, NAMES, WAN
from house import House
from kernel_lab import nftset, policy

from nfa.daemon.base.portable import monotonic
from nfa.daemon.bus import origins

KIDS = 4


def own(index: int, where: bytes) -> tuple[int, bytes, bytes, int]:
    return index, where, where, 24


def house(folder: Path, actions: dict[str, Any]) -> House:
    """A daemon of a router with a LAN and a network for kids."""
    made = House(folder, policy({"far": nftset("video", "other_addr")}, actions=actions))
    addresses = [own(LAN, bytes((192, 168, 1, 1))), own(KIDS, bytes((192, 168, 9, 1))), own(WAN, bytes((81, 2, 3, 1)))]
    made.daemon.engine.networks.learn({**NAMES, KIDS: "kids0"}, addresses, [(254, b"", 0, (WAN,))])
    return made


def words(made: House, code: str) -> list[str]:
    return [one["message"] for one in made.result("status")["findings"] if one["code"] == code]


@pytest.fixture
def long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes have passed since netifyd was connected to."""
    monkeypatch.setattr(origins, "ENOUGH_TIME", -1.0)


ACTIONS = {
    "kids": {"criteria": ["local_ip == 192.168.9.0/24 && app == 'netify.tiktok';"], "targets": ["far"]},
    "tablet": {"criteria": ["app == 'netify.tiktok' && (local_ip == 192.168.1.77 || iface == 'kids0');"], "targets": ["far"]},
    "wan": {"criteria": ["*"], "interface": "wan", "targets": ["far"]},
    "not_kids": {"criteria": ["iface != 'kids9' && !(local_ip == 192.168.9.0/24);"], "targets": ["far"]},
    "off": {"criteria": ["iface == 'kids8';"], "targets": ["far"], "enabled": False},
    "elsewhere": {"criteria": ["local_ip == 10.9.9.0/24;"], "targets": ["far"]},
}


def test_status_says_of_which_conditions_no_record_came(tmp_path: Path, long_ago: None) -> None:
    """A kids' network that the agent does not capture: records grow, nothing matches, all lights are green."""
    made = house(tmp_path, ACTIONS)
    flows = [samples.flow(other_port=port, interface="lan0") for port in range(1, origins.ENOUGH_FLOWS + 1)]
    made.feed(*flows[:-1])
    assert not words(made, "never-seen"), "too few to tell"
    made.feed(flows[-1])
    assert words(made, "never-seen") == [
        "action 'kids': no flow record came from network 192.168.9.0/24 (kids0)",
        "action 'tablet': no flow record came from interface 'kids0'",
        "action 'wan': no flow record came from the WAN side",
    ]
    made.feed(samples.flow(local="192.168.9.7", interface="kids0"))
    assert words(made, "never-seen") == ["action 'wan': no flow record came from the WAN side"]
    made.feed(samples.flow(local="81.2.3.1", interface="wan0", internal=False))
    assert not words(made, "never-seen")


def test_a_start_is_no_reason_to_warn(tmp_path: Path) -> None:
    """Each restart would turn a light on for minutes."""
    made = house(tmp_path, ACTIONS)
    made.daemon.client.first_at = monotonic()
    made.feed(*[samples.flow(other_port=port, interface="lan0") for port in range(1, 300)])
    assert not made.result("status")["findings"]


def test_many_conditions_without_records_are_a_few_findings(tmp_path: Path, long_ago: None) -> None:
    """A generated policy would fill the status with one thing."""
    made = house(tmp_path, {f"a{n}": {"criteria": [f"iface == 'x{n}';"], "targets": ["far"]} for n in range(300)})
    made.feed(*[samples.flow(other_port=port, interface="lan0") for port in range(1, 300)])
    assert len(words(made, "never-seen")) == origins.MAX_TOLD


def test_a_source_that_streams_nothing_is_a_warning_after_a_minute(tmp_path: Path) -> None:
    """netifyd 5's command socket: connected, no records, for ever, and no hint."""
    made = house(tmp_path, ACTIONS)
    client, engine = made.daemon.client, made.daemon.engine
    client.state = "connected"
    client.connects = 1
    client.connected_at = monotonic() - origins.SILENT + 5
    assert not words(made, "source-silent") and made.result("status")["source"]["code"] == ""
    client.connected_at -= 6
    (said,) = words(made, "source-silent")
    assert said.startswith("connected to unix:///") and said.endswith(", but nothing has come for 61 seconds")
    status = made.result("status")
    assert status["source"]["code"] == "source-silent" and status["source"]["last_record"] is None
    assert "command socket" in status["findings"][0]["hint"]
    spoken: list[str] = []
    made.daemon.log.say = lambda level, text: spoken.append(text)  # type: ignore[method-assign,assignment]
    for _ in range(3):
        made.daemon._tell_silence()
    assert len(spoken) == 1 and "sink-socket" in spoken[0]
    engine.heard_at = monotonic()
    assert not words(made, "source-silent") and made.result("status")["source"]["last_record"]
    client.state = "waiting"
    engine.heard_at = 0.0
    assert not words(made, "source-silent"), "no connection has a code of its own"


def test_where_records_came_from_is_listed_with_counts_and_times(tmp_path: Path) -> None:
    """Nobody could see that the agent captures only half of the networks."""
    made = house(tmp_path, ACTIONS)
    assert made.result("status")["networks"]["interfaces"] == {}
    made.feed(*agent_streams.records("nat-lan-wan-pairs"), samples.flow(local="8.8.8.8", other="9.9.9.9", interface="lan0"))
    networks = made.result("status")["networks"]
    lan = [record for record in agent_streams.flows("nat-lan-wan-pairs") if record["interface"] == "lan0"]
    assert networks["interfaces"]["lan0"]["records"] == len(lan) + 1 and networks["interfaces"]["lan0"]["last"] > 0
    assert networks["interfaces"]["wan0"]["duplicates"] == networks["duplicates"] > 0
    rows = {(row["interface"], row["network"]): row for row in networks["origins"]}
    v4 = [record for record in lan if record["flow"]["ip_version"] == 4]
    assert rows[("lan0", "192.168.1.0/24")]["records"] == len(v4) and rows[("lan0", "")]["records"]
    assert {row["interface"] for row in networks["ours"]} == {"lan0", "kids0"}
