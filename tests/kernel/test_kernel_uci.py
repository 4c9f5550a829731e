"""Netify's UCI sample on the kernel: what its user enables by `uci set` fills the sets that it names."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from kernel_lab import LOOKS_OFTEN, ROOT, Lab, ip, logged
from samples import Record, flow
from test_kernel_seeds import TRANSPORTS, flows, is_dns, streams, three, unframed

pytestmark = pytest.mark.kernel

PACKAGE = "netify-proc-flow-actions"
SAMPLE = ROOT / "tests" / "compiler" / "config" / "seeds" / PACKAGE
PEERS = os.environ.get("NFA_PEERS", "")
UCI = shutil.which("uci", path=f"{PEERS}/bin:{os.environ.get('PATH', '')}:/sbin")
GAMES = 12  # netify-categories.json of 4.4.7
CHANGES = {
    "games.enabled": "1",
    "ipset_games.target_enabled": "1",
    "nftset_games.target_enabled": "1",
    "log_games.target_enabled": "1",
    "log_games.path": "{logs}",
}


def uci_set(folder: Path, changes: dict[str, str]) -> None:
    """Do what the user types: `uci set` and `uci commit`, with OpenWrt's own program where it is found."""
    if UCI:
        command = [UCI, "-c", str(folder), "-t", str(folder / "saved")]
        for name, value in changes.items():
            subprocess.run([*command, "set", f"{PACKAGE}.{name}={value}"], check=True)
        subprocess.run([*command, "commit", PACKAGE], check=True)
        return
    lines: list[str] = []
    section = ""
    for line in (folder / PACKAGE).read_text().splitlines():
        words = line.split()
        section = words[2].strip("'") if words[:1] == ["config"] else section
        if not (words[:1] == ["option"] and f"{section}.{words[1]}" in changes):
            lines.append(line)
        if words[:1] == ["config"]:
            mine = {name.partition(".")[2]: value for name, value in changes.items() if name.startswith(f"{section}.")}
            lines += [f"option {option} '{value}'" for option, value in mine.items()]
    (folder / PACKAGE).write_text("\n".join(lines) + "\n")


@pytest.fixture
def folder(lab: Lab) -> Path:
    """/etc/config with the sample as it stands, and the files that it names in netifyd's folder."""
    made = lab.folder / "config"
    made.mkdir()
    shutil.copy(SAMPLE, made / PACKAGE)
    (lab.folder / "nfa-games.d").mkdir()
    (lab.folder / "nfa-games.d" / "10-netflix").write_text("# watching is a game, too\napp == 'netify.netflix';\n")
    (lab.folder / "nfa-external.conf").write_text("port == 1;\n")
    return made


def is_game(one: Record) -> bool:
    """The sample's criteria: the category, and the file of the test."""
    name = str(one["detected_application_name"]).lower()
    return GAMES in (one["category"]["application"], one["category"].get("domain")) or name == "netify.netflix"


def is_spared(one: Record) -> bool:
    """The sample's exemptions: the router, DNS and Google everywhere, PlayStation from games."""
    name = str(one["detected_application_name"]).lower()
    return is_dns(one) or "192.168.1.1" in (one["local_ip"], one["other_ip"]) or name in ("netify.google", "netify.playstation")


def four_named(key: tuple[str, str, str, str]) -> tuple[str, str, str, str]:
    """An element as nft lists it, its protocol by name."""
    local, protocol, port, other = key
    return local, TRANSPORTS.get(int(protocol), protocol) if protocol.isdigit() else protocol, port, other


@pytest.mark.parametrize("stream", streams())
def test_the_sample_fills_its_sets_once_it_is_enabled(lab: Lab, folder: Path, stream: object) -> None:
    """The user of Netify's plugin installs nfa, enables an action, and gets the elements that the documentation promises."""
    lab.namespace.run("ipset", "create", "nfa.games", "hash:ip,port,ip", "timeout", "60")
    data = stream()  # type: ignore[operator]
    daemon = lab.start(None, options=["-u", str(folder)])
    status = daemon.status()
    assert (status["policy"]["errors"], status["policy"]["generation"]) == (0, 1)
    assert {name: action["reason"] for name, action in status["actions"].items()} == dict.fromkeys(
        ("games", "external", "auto_label"), "the action is disabled"
    )
    logs = lab.folder / "logs"
    uci_set(folder, {name: value.format(logs=logs) for name, value in CHANGES.items()})
    daemon.signal(signal.SIGHUP)
    assert daemon.loaded(2)["actions"]["games"]["active"]
    extra = [flow("DNS", "netify.netflix", other_port=53, ip_protocol=17), flow("QUIC", "netify.netflix", ip_protocol=17)]
    lab.netifyd.send(data, *extra)
    records = [*unframed(data), *extra]
    status = lab.settled(len(records) + 1)
    found = [one for one in flows(records) if is_game(one) and not is_spared(one)]
    four = {
        (ip(one["local_ip"]), TRANSPORTS[one["ip_protocol"]], str(one["other_port"]), ip(one["other_ip"]))
        for one in found
        if one["ip_version"] == 4
    }
    assert four
    made = lab.namespace.nft_sets()
    assert set(made) == {"netify nfa.games.v4"}
    assert {four_named(key) for key in made["netify nfa.games.v4"].keys} == four
    assert made["netify nfa.games.v4"].options["timeout"] == "60"
    assert lab.namespace.ipset("nfa.games").keys == {three(one) for one in found if one["ip_version"] == 4}
    assert status["actions"]["games"]["matches"] == len(found)
    assert daemon.stop() == 0
    entries = [entry for file in logs.iterdir() for entry in json.loads(file.read_text())["entries"]]
    assert len(entries) == len(logged(records, lambda one: is_game(one) and not is_spared(one))), "one of each flow"


def test_uci_comes_before_json_on_the_kernel_too(lab: Lab, folder: Path) -> None:
    """A distribution writes JSON, the administrator overrides one target by `uci set`."""
    sets = {"target_type": "nftset", "managed": True, "set_family": "ipv4", "type": ["other_addr"], "ttl": 500}
    config = {
        "version": 1,
        "actions": {"all": {"criteria": "port == 443;", "targets": ["nftset_games", "mine"]}},
        "targets": {"nftset_games": sets | {"set_name": "json"}, "mine": sets | {"set_name": "mine", "table_name": "netify"}},
    }
    daemon = lab.start(config, options=["-u", str(folder)])
    assert [report["code"] for report in daemon.status()["policy"]["reports"]].count("defined-twice")
    uci_set(folder, {"nftset_games.target_enabled": "1"})
    daemon.signal(signal.SIGHUP)
    daemon.loaded(2)
    lab.feed(flow(other="203.0.113.1"))
    made = lab.namespace.nft_sets()
    assert set(made) == {"netify nfa.games.v4", "netify mine.v4"}
    assert made["netify mine.v4"].options["timeout"] == "500"
    assert len(made["netify nfa.games.v4"].keys) == 1


def test_source_and_log_level_are_followed_over_a_reload(lab: Lab, folder: Path) -> None:
    """`uci set ...main.source=...` and a reload: netifyd has moved; a name that has no address is tried again later."""
    package = folder / PACKAGE
    sample = package.read_text()

    def main(source: str, level: str) -> None:
        package.write_text(f"{sample}\nconfig nfa 'main'\n\toption source '{source}'\n\toption log_level '{level}'\n")

    main(lab.netifyd.uri, "notice")
    lab.netifyd.open()
    daemon = lab.launch(None, options=["-u", str(folder)], source="")
    lab.netifyd.accept()
    lab.netifyd.close()
    lab.netifyd.path = lab.folder / "elsewhere.sock"
    lab.netifyd.open()
    main(f"unix://{lab.netifyd.path}", "error")
    daemon.signal(signal.SIGHUP)
    lab.netifyd.accept()
    assert daemon.until(lambda status: status["source"]["connected"])["source"]["uri"].endswith("elsewhere.sock")
    assert len(daemon.said("notice", "policy loaded")) == 1, "log_level is error by then"
    main("tcp://no.such.host.invalid:7150", "error")
    daemon.signal(signal.SIGHUP)
    status = daemon.until(lambda status: status["policy"]["errors"], "the name is told")
    assert status["policy"]["reports"][-1]["code"] == "source-unresolved"
    assert status["source"]["connected"], "the running source stays"


def test_a_source_without_an_address_is_shown_and_told(lab: Lab, folder: Path) -> None:
    """After a boot without DNS, status would show a socket that nobody configured, and no reason."""
    package = folder / PACKAGE
    package.write_text(package.read_text() + "\nconfig nfa 'main'\n\toption source 'tcp://no.such.host.invalid:7150'\n")
    daemon = lab.launch(None, options=["-u", str(folder)], source="")
    source = daemon.loaded()["source"]
    assert (source["uri"], source["connected"]) == ("tcp://no.such.host.invalid:7150", False)
    assert source["last_error"] == "its host name cannot be resolved"
    assert daemon.said("config", "error", "cannot resolve the source")
    lab.netifyd.open()
    package.write_text(package.read_text().replace("tcp://no.such.host.invalid:7150", lab.netifyd.uri))
    daemon.signal(signal.SIGHUP)
    lab.netifyd.accept()
    assert daemon.until(lambda status: status["source"]["connected"])["source"]["uri"] == lab.netifyd.uri


def test_at_the_start_a_broken_file_does_not_take_the_others_along(lab: Lab, folder: Path) -> None:
    """A leftover JSON file, or a stick that is not there yet: after a boot there would be no sets, and no word of the policy.

    But what is in it may exempt flows, so no action acts before it can be read.
    """
    uci_set(folder, {"games.enabled": "1", "nftset_games.target_enabled": "1"})
    leftover = lab.folder / "netify-proc-flow-actions.json"
    leftover.write_text('{"version": 1,')
    daemon = lab.start(None, options=["-u", str(folder)], constants=LOOKS_OFTEN)
    status = daemon.status()
    assert (status["policy"]["generation"], status["policy"]["errors"]) == (1, 1)
    assert status["actions"]["games"]["code"] == "configuration-incomplete"
    assert status["targets"]["nftset_games"]["active"]
    leftover.unlink()
    assert daemon.loaded(2)["actions"]["games"]["active"], "the daemon sees that by itself"
    leftover.write_text('{"version": 1,')
    daemon.signal(signal.SIGHUP)
    status = daemon.until(lambda status: status["policy"]["failed_at"], "the third reading")
    assert status["policy"]["generation"] == 2, "now there is a policy that is better than a part of one"
    assert status["actions"]["games"]["active"]
