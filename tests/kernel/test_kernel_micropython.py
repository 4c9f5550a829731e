"""The real MicroPython with the real kernel: the same sets as the daemon makes, healed, in little memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import network_lab
import pytest
from client_lab import client_of
from kernel_lab import Daemon, Lab, Namespace, die_with_us, eventually, ipset, nftset, policy, private_namespace
from micropython_lab import ACTIONS, RECORDED, SETS, MicroPython, micro_image, payloads
from policies import config_of
from samples import Record, flow, frame, hello
from waiting import PATIENCE, patience

from nfa.cli.recording import frames

pytestmark = pytest.mark.kernel

FOUR = {"set_family": "ipv4"}
ADDRESSES = {f"203.0.113.{number}" for number in range(1, 41)}
MORE_SETS: dict[str, dict[str, Any]] = SETS | {
    "nftset.macs": {"target_type": "nftset", "set_name": "macs", "type": ["local_mac", "other_port"]},
    "nftset.ports": {"target_type": "nftset", "set_name": "ports", "type": ["other_port", "ip_proto", "interface"]},
    "ipset.mac": {"target_type": "ipset", "set_name": "mac", "type": "hash:mac"},
    "ipset.three": {"target_type": "ipset", "set_name": "three", "type": "hash:ip,port,ip"},
}
MARKS: dict[str, dict[str, Any]] = {
    "ctmark.two": {"target_type": "ctmark", "mark": "0x2", "mask": "0xff"},
    "ctmark.high": {"target_type": "ctmark", "mark": "0x30000", "mask": "0xff0000"},
    "ctlabel.five": {"target_type": "ctlabel", "labels": ["five", 7]},
    "ctlabel.auto": {"target_type": "ctlabel", "auto_label": True},
}
LABELS = "5 five\n7 seven\n10 a-netify-youtube\n11 a-netify-netflix\n12 p-http-s\n13 p-dns\n14 p-quic\n99 foreign\n"
ALWAYS = {"time_start": "00:00", "time_end": "24:00"}
MORE_ACTIONS: dict[str, dict[str, Any]] = ACTIONS | {
    "early": {"criteria": "protocol == 'ntp';", "targets": ["nftset.ports"], "priority": 1, "halt_on_match": True},
    "late": {"criteria": "ip_protocol == 17;", "targets": ["ipset.three", "ctmark.high"], "priority": 99},
    "lan": {"criteria": "*", "targets": ["nftset.macs", "ipset.mac"], "interface": "lan", "exemptions": ["app == 'netflix';"]},
    "wan": {"criteria": "*", "targets": ["nftset.ports"], "interface": "wan"},
    "marked": {"criteria": "app == 'youtube' || protocol == 'http/s';", "targets": ["ctmark.two", "ctlabel.five"]},
    "labelled": {"criteria": "*", "targets": ["ctlabel.auto"], "exemptions": ["other_port == 123;"]},
    "never": {"criteria": "*", "targets": ["ipset.three"], "time_of_day": ALWAYS | {"policy": "exclusive"}},
    "always": {"criteria": "other_type == other_remote;", "targets": ["ipset.mac"], "time_of_day": ALWAYS},
}


def config(folder: Path) -> dict[str, Any]:
    """A policy with all that an image for MicroPython can hold. Its file of labels is in the folder."""
    targets = {name: {**target, "managed": True, "ttl": 3600} for name, target in MORE_SETS.items()} | MARKS
    labels = {"ctlabel": {"connlabel_conf": str(connlabel(folder))}}
    return config_of(MORE_ACTIONS, timezone="UTC", targets=targets, target_globals=labels, exemptions=["protocol == 'zoom';"])


def connlabel(folder: Path) -> Path:
    file = folder / "etc" / "xtables" / "connlabel.conf"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(LABELS)
    return file


MOST = 200
"""Connections in conntrack."""
MEMORY = 4.5e6
GROWTH = 0.5e6
"""Bytes."""


class Micro(Daemon):
    """`micropython -m nfa.daemon.micropython`, as a process of the namespace, with an image that was compiled there."""

    def __init__(
        self, namespace: Namespace, folder: Path, source: str, config: object, micropython: MicroPython, options: Sequence[str]
    ) -> None:
        """`options`: of the compiler."""
        self.config, self.control, self.errors = folder / "nfa.json", folder / "control.sock", folder / "stderr"
        self.configure(config)
        image = folder / "policy.img"
        compiler = [sys.executable, "-m", "nfa", "compile", *options, "-c", str(self.config), "--state-dir", str(folder)]
        namespace.run(*compiler, "--micropython", "-o", str(image), "-s", source)
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [*namespace.prefix, micropython.path, "-m", "nfa.daemon.micropython", str(image),
                 "--control", str(self.control)],
                stderr=errors, stdout=errors, stdin=subprocess.DEVNULL, env=micropython.environment, cwd=folder,
                preexec_fn=die_with_us,
            )  # fmt: skip
        self.pid = self.process.pid

    def memory(self) -> int:
        """Its resident set, bytes."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


class MicroLab(Lab):
    """A lab whose daemon runs under MicroPython."""

    def __init__(self, namespace: Namespace, folder: Path, micropython: MicroPython) -> None:
        super().__init__(namespace, folder)
        self._micropython = micropython

    def launch(self, config: object, **more: Any) -> Daemon:
        source = more.pop("source", self.netifyd.uri)
        options = more.pop("options", ("--no-uci",))
        self.daemons.append(Micro(self.namespace, self.folder, source, config, self._micropython, options))
        self._sent = 0
        return self.daemon


@pytest.fixture
def micro(namespace: Namespace, tmp_path: Path, micropython: MicroPython) -> Iterator[MicroLab]:
    made = MicroLab(namespace, tmp_path, micropython)
    try:
        yield made
    finally:
        made.close()


def sets_of(lab: Lab) -> dict[str, set[Any]]:
    """All sets of the kernel, and their elements."""
    made = {name: one.keys for name, one in lab.namespace.nft_sets().items()}
    return made | {name: one.keys for name, one in lab.namespace.ipsets().items()}


def connections(lab: Lab, records: Sequence[bytes]) -> None:
    """Make entries in conntrack for the flows of a stream, with room for labels."""
    lab.namespace.nft("add table inet room; add chain inet room unused; add rule inet room unused ct label set 99")
    commands = {}
    for one in records:
        if b'"type":"flow"' in one and len(commands) < MOST:
            flow = json.loads(one)["flow"]
            ends = [(flow[f"{side}_ip"], flow[f"{side}_port"]) for side in ("local", "other")]
            (source, sport), (destination, dport) = ends if flow.get("local_origin", True) else ends[::-1]
            kind = {6: "-p tcp --state ESTABLISHED", 17: "-p udp"}.get(flow["ip_protocol"])
            words = f"-s {source} -d {destination} --sport {sport} --dport {dport}"
            if kind and (source, sport) != (destination, dport):
                commands[words] = f"conntrack -I {kind} {words} -t 3000"
    lab.namespace.attempt("sh", "-c", "\n".join(commands.values()))


def fed(lab: Lab, records: Sequence[bytes]) -> tuple[dict[str, set[Any]], dict[Any, Any]]:
    """The sets and the marked and labelled connections after a stream."""
    connections(lab, records)
    lab.start(config(lab.folder))
    status = lab.feed(*[b'{"length": %d}\n%b' % (len(one), one) for one in records])
    assert not any(status["source"]["bad"].values()), status["source"]["bad"]
    assert not any(target["errors"] for target in status["targets"].values()), status["targets"]
    table = network_lab.table(lab.namespace, connlabel(lab.folder))
    return sets_of(lab), {(entry.protocol, entry.original): (entry.mark, entry.labels) for entry in table}


@pytest.mark.parametrize("recorded", [False, True])
def test_the_sets_are_those_that_the_daemon_makes(micro: MicroLab, tmp_path: Path, recorded: bool) -> None:
    """A policy that was tested on a PC would let other flows through on the router."""
    if recorded and not RECORDED.is_file():
        pytest.skip(f"no {RECORDED}")
    # A connection whose flow begins and ends in one turn of the loop is not marked: that depends on how much is read at once.
    records = [one for one in (frames(RECORDED) if recorded else payloads(3, 400)) if b'"flow_purge"' not in one]
    found, marks = fed(micro, records)
    folder = tmp_path / "cpython"
    folder.mkdir()
    with private_namespace() as namespace:
        lab = Lab(namespace, folder)
        try:
            wanted, wanted_marks = fed(lab, records)
        finally:
            lab.close()
    assert sum(map(len, wanted.values())) > 50
    assert all(keys for name, keys in wanted.items() if not name.endswith("v6")), wanted
    assert found == wanted
    assert len(set(wanted_marks.values())) > 5
    assert marks == wanted_marks


def start(micro: MicroLab, **more: Any) -> None:
    """Fill an nftables set and an ipset with ADDRESSES."""
    targets = {"n": nftset("n", "other_addr", ttl=600, **FOUR, **more), "i": ipset("i", ttl=600, **FOUR, **more)}
    micro.start(policy(targets))
    micro.feed(*[flow(other=address) for address in sorted(ADDRESSES)])


def nft_keys(micro: MicroLab) -> set[str]:
    return {key[0] for key in micro.namespace.nft_set("nfa n.v4").keys}


def test_what_others_empty_or_delete_is_put_back(micro: MicroLab) -> None:
    """A reload of the firewall would let everybody go."""
    start(micro)
    assert nft_keys(micro) == ADDRESSES
    for deed in ("flush set inet nfa n.v4", "delete table inet nfa"):
        micro.namespace.nft(deed)
        eventually(lambda: nft_keys(micro) == ADDRESSES, what="all elements are back")
    micro.namespace.run("ipset", "flush", "i.v4")
    eventually(lambda: micro.namespace.ipset("i.v4").keys == ADDRESSES, what="all elements are back")


def test_sigterm_ends_it_in_order(micro: MicroLab, micropython: MicroPython) -> None:
    """flush_on_destroy would leave its elements, and the control socket would stay."""
    if "ffi" not in micropython.run("try:\n import ffi\n print('ffi')\nexcept ImportError: print('no')"):
        pytest.skip("this MicroPython has no ffi: a signal ends it there and then")
    start(micro, flush_on_destroy=True)
    assert micro.daemon.stop() == 0
    assert nft_keys(micro) == set()
    assert not micro.daemon.control.exists()
    assert micro.daemon.said("stopped")


def test_status_can_be_asked_for_with_the_usual_command(micro: MicroLab) -> None:
    """An administrator would not see what it does."""
    start(micro)
    control = ["--control", str(micro.daemon.control)]
    done = subprocess.run(micro.nfa("status", *control), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "connected" in done.stdout
    assert "nfa 0." in done.stdout
    assert next(line for line in done.stdout.splitlines() if line.split()[:2] == ["n", "nftset"]).split()[2] == "40"
    asked = subprocess.run(micro.nfa("matches", *control), capture_output=True, text=True, check=False)
    assert "under MicroPython the only method is status" in asked.stderr
    status = micro.daemon.status()
    assert (status["source"]["decoder"], status["ubus"]["state"]) == ("json of MicroPython", "not there")
    assert status["policy"]["image"] == str(micro.folder / "policy.img")


def test_devices_are_known_by_what_the_kernel_and_a_dhcp_server_tell(micro: MicroLab, tmp_path: Path) -> None:
    """A tablet that is blocked would go on with its IPv6 addresses, and a device known by its name would never be blocked."""
    six, seven, later = "fd00:1::21", "fd00:1::22", "fd00:1::23"
    run = micro.namespace.run
    for command in ("add lan type veth peer name far", "set far up", "set lan up"):
        run("ip", "link", *command.split())
    run("ip", "neigh", "add", six, "lladdr", "02:aa:00:00:00:01", "dev", "lan", "nud", "reachable")
    leases = tmp_path / "leases"
    leases.write_text(f"1789046852 104181145 {seven} Anns-Phone 00:01:00:01\n")
    (tmp_path / "dhcp").write_text(f"config dnsmasq\n\toption leasefile '{leases}'\n")
    (tmp_path / "netify-proc-flow-actions").write_text("")
    devices = {"tablet": {"mac": "02:aa:00:00:00:01"}, "phone": {"name": "anns-phone"}}
    config = policy({"n": nftset("n", "local_addr", ttl=600)}, "local_device;", devices=devices)
    daemon = micro.start(config, options=("-u", str(tmp_path)))
    daemon.until(lambda status: (status["devices"]["neighbours"], status["devices"]["leases"]) == (1, 1), "both are known")
    micro.feed(*[flow(local=address, other="2001:db8::1", local_mac="") for address in (six, seven, later, "fd00:1::24")])

    def found() -> set[str]:
        return {key[0] for key in micro.namespace.nft_set("nfa n.v6").keys}

    assert found() == {six, seven}
    run("ip", "neigh", "add", later, "lladdr", "02:aa:00:00:00:01", "dev", "lan", "nud", "reachable")
    eventually(lambda: found() == {six, seven, later}, what="the flow of an address that is learnt later")


def test_it_connects_again(micro: MicroLab) -> None:
    """netifyd restarts now and then."""
    start(micro)
    micro.netifyd.close()
    micro.daemon.until(lambda status: not status["source"]["connected"], "it is noticed")
    micro.netifyd.open()
    micro.netifyd.accept()
    micro.netifyd.send(flow(other="203.0.113.99"))
    eventually(lambda: "203.0.113.99" in nft_keys(micro), what="the element of a later flow")


FEEDER = """
import socket, sys
host, file = sys.argv[1:]
listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((host, 7150))
listener.listen(1)
connection, _ = listener.accept()
connection.sendall(open(file, "rb").read())
sys.exit(connection.recv(1) != b"")
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_netifyd_on_tcp_may_come_late_die_and_come_again(micro: MicroLab, host: str) -> None:
    """A router watched from another machine: netifyd restarts, and no flow would be matched from then on."""
    micro.namespace.run("ip", "link", "set", "lo", "up")
    uri = f"tcp://[{host}]:7150" if ":" in host else f"tcp://{host}:7150"
    daemon = micro.launch(policy({"n": nftset("n", "other_addr", ttl=600, **FOUR)}), source=uri)
    daemon.until(lambda status: "refused" in status["source"]["last_error"], "it is told why there is no connection")
    stream = micro.folder / "stream"
    cut = frame(flow(other="198.51.100.99"))[:-40]
    for number in (1, 2, 3):
        address = f"203.0.113.{number}"
        stream.write_bytes(frame(hello()) + frame(flow(other=address)) + cut)
        with (micro.folder / "feeder").open("wb") as output:
            feeder = micro.namespace.popen(sys.executable, "-c", FEEDER, host, str(stream), output=output)
        try:
            eventually(lambda address=address: address in nft_keys(micro), what="the element of its flow")  # type: ignore[misc]
            source = daemon.status()["source"]
            assert (source["state"], source["uri"], source["connects"]) == ("connected", uri, number)
            assert feeder.poll() is None, "it must not write, nor close"
        finally:
            feeder.kill()
            feeder.wait()
        daemon.until(lambda status: not status["source"]["connected"], "it is noticed that netifyd died")
    status = daemon.status()
    assert status["source"]["bad"]["length"] == 3, "a record that was cut off is counted"
    assert nft_keys(micro) == {"203.0.113.1", "203.0.113.2", "203.0.113.3"}
    assert len(daemon.said("connected to " + uri)) == 3
    assert daemon.said("no connection to " + uri, "Connection refused")


def test_damage_costs_no_good_record(micro: MicroLab) -> None:
    """Strangers choose names; a record that is broken or larger than the memory must not end it."""
    start(micro)
    deep = b'{"type":"flow","flow":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"
    large = b'{"type":"flow","x":"' + b"x" * 900_000 + b'"}\n'
    wide = b'{"type":"flow","x":[' + b"1," * 300_000 + b"1]}\n"
    number_too_long = b'{"length": ' + b"9" * 9000 + b"}\n"
    for number, bad in enumerate((b"\x00\xff garbage {]\n" * 20, deep, large, wide, number_too_long), 100):
        framed = bad if number in (100, 104) else b'{"length": %d}\n%b' % (len(bad), bad)
        micro.netifyd.send(framed, flow(other=f"203.0.113.{number}"))
        eventually(lambda number=number: f"203.0.113.{number}" in nft_keys(micro), what="the flow after")  # type: ignore[misc]
    assert micro.daemon.process.poll() is None
    assert not micro.daemon.said("please report")


def test_marks_are_set(micro: MicroLab) -> None:
    """ctmark works under MicroPython as documented."""
    entry = "-p udp -s 192.168.1.20 -d 203.0.113.10 --sport 5000 --dport 443 -t 100"
    probe = micro.namespace.attempt("conntrack", "-I", *entry.split())
    if probe.returncode:
        pytest.skip(f"conntrack cannot make an entry: {probe.stderr}")
    micro.start(policy({"m": {"target_type": "ctmark", "mark": "0x2", "mask": "0xff"}}))
    record = flow("QUIC", local="192.168.1.20", other="203.0.113.10", ip_protocol=17, local_port=5000, other_port=443)
    micro.feed(record)
    eventually(lambda: "mark=2" in micro.namespace.run("conntrack", "-L"), what="the mark")


def test_packets_are_stopped_marked_and_slowed_down(micro: MicroLab, namespace: Namespace, tmp_path: Path) -> None:
    """A small router would show a policy that is in force, and block nothing."""
    targets = {
        "stop": {"target_type": "firewall", "verdict": "reject"},
        "first": {"target_type": "firewall", "set_dscp": "EF"},
        "slow": {"target_type": "firewall", "limit": "1mbit", "per_device": True},
        "mine": {"target_type": "firewall", "set_mark": "0x100/0x300"},
    }
    applications = {"stop": "youtube", "first": "facebook", "slow": "tiktok", "mine": "netflix"}
    actions = {name: {"criteria": f"app == '{app}';", "targets": [name]} for name, app in applications.items()}
    with client_of(micro, namespace, tmp_path) as client:
        micro.start({"version": 1, "targets": targets, "actions": actions})
        for version in (4, 6):
            for name in applications:
                client.connect("udp", version, name)
        connections = [("udp", version, name) for version in (4, 6) for name in applications]
        micro.feed(*[client.record(*one, application=f"netify.{applications[one[2]]}") for one in connections])
        for one in connections:
            client.passes(one[2] != "stop", one)
        marks = {0xAE, 0x100}
        client.net.until(lambda entries: marks <= {one.mark for one in entries}, "EF with its bit, and the mark of 'mine'")
        status = micro.daemon.status()
        assert {name: status["targets"][name]["traffic"]["held"] for name in targets} == dict.fromkeys(targets, 2)
        assert status["targets"]["slow"]["traffic"]["packets"] >= 2
        namespace.run("nft", "delete", "table", "inet", "nfa")
        for version in (4, 6):
            client.passes(False, ("udp", version, "stop"))
        micro.feed(client.record("udp", 4, "stop", application="netify.reddit"))
        client.passes(True, ("udp", 4, "stop"))
    assert not micro.daemon.said("please report")


def workload(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The policy that the bench measures with: 100 actions."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "bench"))
    for name in ("mixes", "workload"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import mixes

    return json.loads(mixes.write(folder, 100).read_text())


def test_a_hundred_actions_need_four_and_a_half_megabytes(
    micro: MicroLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would not fit where it is made for; or it would grow until the router has no memory left."""
    daemon = micro.start(workload(tmp_path, monkeypatch))
    assert isinstance(daemon, Micro)
    daemon.loaded()
    assert daemon.memory() <= MEMORY
    records: list[Record | bytes] = [frame(json.loads(one)) for one in payloads(1, 300)]
    micro.feed(*records)
    assert daemon.memory() <= MEMORY
    micro.feed(*records * 10)
    settled = daemon.memory()
    assert settled <= MEMORY
    micro.feed(*records * 20)
    assert daemon.memory() - settled <= GROWTH


def test_more_flows_than_memory_are_forgotten(micro: MicroLab) -> None:
    """A scan of the network would end it, or make it so slow that no flow matches."""
    start(micro)
    for part in range(6):
        records = [flow(other=f"10.{part}.{n >> 8}.{n & 255}", local_port=n, digest=f"{part:04x}{n:08x}") for n in range(2000)]
        status = micro.feed(*records)
    assert status["flows"]["dropped"] > 1000
    assert status["targets"]["n"]["errors"] == 0
    assert ("10.5.7.207",) in micro.namespace.nft_set("nfa n.v4").keys
    assert len(micro.namespace.nft_set("nfa n.v4").keys) == 12040, "the kernel keeps what is forgotten here"
    assert isinstance(micro.daemon, Micro)
    assert micro.daemon.memory() <= 6e6
    assert not micro.daemon.said("fault")


def test_an_image_that_is_none_is_refused_in_words(micropython: MicroPython, tmp_path: Path) -> None:
    """The wrong file would end in a traceback, or be executed as root."""
    other, cut, missing = tmp_path / "other.img", tmp_path / "cut.img", tmp_path / "none.img"
    other.write_bytes(b"NFA-IMAGE 1 cpython-311\n" + b"x" * 100)
    cut.write_bytes(b"NFA-MICROPYTHON 2\n" + b"\0" * 20)
    for file, words in ((other, "compile it with --micropython"), (cut, "damaged"), (missing, "No such file")):
        command = [micropython.path, "-m", "nfa.daemon.micropython", str(file)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=micropython.environment
        )
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stdout + done.stderr


def test_a_policy_larger_than_the_memory_is_told_in_words(micropython: MicroPython, tmp_path: Path) -> None:
    """It would end in a traceback that nobody can read."""
    actions = {f"a{n}": {"criteria": f"url == 'x{n}' && port == {n};", "targets": ["nftset.flow"]} for n in range(1500)}
    image = micro_image(tmp_path, {"version": 1, "actions": actions, "targets": SETS})
    command = [
        micropython.path,
        "-X",
        "heapsize=1M",
        "-m",
        "nfa.daemon.micropython",
        str(image),
        "--control",
        str(tmp_path / "control"),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=patience(60), check=False, env=micropython.environment
    )
    assert done.returncode == 1
    assert "does not fit into memory; allow more: micropython -X heapsize=8M" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_wrong_usage_is_answered_with_the_usage(micropython: MicroPython) -> None:
    """A user would have to read the source."""
    command = [micropython.path, "-m", "nfa.daemon.micropython", "--nonsense"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=micropython.environment)
    assert done.returncode == 2
    assert "usage: micropython -m nfa.daemon.micropython IMAGE" in done.stdout
