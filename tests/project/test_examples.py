"""Every example of the documents that names the recording can be typed, and prints what the page shows."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections import Counter
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import samples
from policies import json_only
from private_network import Unavailable, environment, prefix
from waiting import PATIENCE, eventually, patience

from nfa.cli.recording import records
from nfa.compiler.base.paths import Paths
from nfa.compiler.compile import compile_policy
from nfa.daemon.bus.control import call

ROOT = Path(__file__).resolve().parents[2]
RECORDING = "demo/recording.bin.gz"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
POLICIES = {"weaktls.json": ("recipes.md", "## Block weak TLS, but not for the printer")}
"""Files that an example reads, and where the page shows them."""


def examples() -> list[tuple[str, str, str]]:
    """Page, command and what it prints, of each example that reads the recording."""
    found = []
    for path in PAGES:
        for block in re.findall(r"^```text\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            for command, shown in re.findall(r"^[$#] (nfa .*)\n((?:(?![$#] ).*\n)*)", block, re.MULTILINE):
                if RECORDING in command and not command.startswith("nfa replay"):
                    found.append((path.name, command, shown))
    return found


def policy_of(page: str, heading: str) -> str:
    """The first policy in JSON after a heading."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8").partition(heading)[2]
    found = re.search(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def shows(shown: str, printed: str) -> bool:
    """Whether a page shows what was printed; a line `...` stands for any lines, also for none."""
    parts = [re.escape(part) for part in re.split(r"^\.\.\.\n", shown, flags=re.MULTILINE)]
    return re.fullmatch(r"(?:.*\n)*?".join(parts), printed) is not None


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the sources as a reader has it, with the files that the pages show."""
    (tmp_path / "demo").symlink_to(ROOT / "demo")
    for name, place in POLICIES.items():
        (tmp_path / name).write_text(policy_of(*place), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_recording_is_what_the_generator_makes() -> None:
    """Nobody could change it, or say what is in it."""
    made = gzip.decompress((ROOT / RECORDING).read_bytes())
    assert made == samples.home(), "type: .venv/bin/python demo/recording.py"
    assert (ROOT / RECORDING).stat().st_size < 150_000


def test_the_recording_has_what_a_newcomer_wants_to_try() -> None:
    """`nfa eval` of the first thing that comes to mind would find nothing."""
    flows = [record["flow"] for record in records(ROOT / RECORDING) if record["type"] == "flow"]
    names = Counter(flow["detected_application_name"] for flow in flows)
    names.update(flow["detected_protocol_name"] for flow in flows)
    for name in ("netify.youtube", "netify.netflix", "ZOOM", "BitTorrent", "DNS", "IPP", "QUIC", "HTTP/S", "netify.facebook"):
        assert names[name] >= 5, name
    for application in ("netify.youtube", "netify.netflix"):
        versions = {flow["ip_version"] for flow in flows if flow["detected_application_name"] == application}
        assert versions == {4, 6}
    local = [flow for flow in flows if flow["local_ip"] != "192.168.1.1"]
    macs = {flow["local_mac"] for flow in local}
    assert len(macs) == 7
    both = {mac for mac in macs if {f["ip_version"] for f in local if f["local_mac"] == mac} == {4, 6}}
    assert len(both) >= 4, "a device is one MAC address with addresses of both families"
    nobodys = [ip_network(text) for text in ("192.168.0.0/16", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24",
                                             "224.0.0.0/4", "2001:db8::/32")]  # fmt: skip
    for flow in flows:
        for end in ("local_ip", "other_ip"):
            assert any(ip_address(flow[end]) in network for network in nobodys), flow[end]


def test_no_example_needs_a_recording_that_nobody_has() -> None:
    """A newcomer would type it, and read "No such file"."""
    own = re.compile(r"home\.(bin|jsonl)")  # what the example before it makes
    for path in PAGES:
        for line in re.findall(r"^[$#] nfa (?:eval|explain|replay) .*", path.read_text(encoding="utf-8"), re.MULTILINE):
            for name in re.findall(r"[\w./-]+\.bin(?:\.gz)?", line):
                assert name == RECORDING or own.match(name), (path.name, line)
    assert len(examples()) >= 8


@pytest.mark.parametrize(
    ("command", "shown"), [pytest.param(command, shown, id=f"{page}-{command[:40]}") for page, command, shown in examples()]
)
def test_an_example_prints_what_the_page_shows(command: str, shown: str, folder: Path) -> None:
    """The page would show what no reader gets."""
    state = ["--state-dir", str(folder)] if "-c demo/" in command else []
    typed = [sys.executable, "-u", "-m", "nfa", *shlex.split(command)[1:], *state]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(typed, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, check=False)
    assert shows(shown, done.stdout), done.stdout


SCRIPT = """
ip link set lo up
$NFA replay demo/recording.bin.gz --listen unix://$D/netifyd.sock --speed full --linger 600 >$D/replay.log 2>&1 &
REPLAY=$!
$NFA run -v -c demo/policy.json -s unix://$D/netifyd.sock --state-dir $D --control $D/c.sock >$D/run.log 2>&1 &
for _ in $(seq 600); do
    $NFA status --control $D/c.sock 2>/dev/null | grep -q "417 evaluated" && break
    sleep 0.2
done
$NFA matches -n 2 --control $D/c.sock 2>&1
$NFA elements ipset.youtube 192.168.1.7 --control $D/c.sock 2>&1
kill $! $REPLAY
wait
"""


def timeless(text: str) -> str:
    """The text without times of the day and seconds that are left."""
    return re.sub(r"\b\d\d:\d\d:\d\d\b", "TIME", re.sub(r" +\d+ s ", " LEFT ", text))


@pytest.mark.kernel
def test_what_the_pages_replay_into_a_daemon_is_what_they_show(folder: Path) -> None:
    """A newcomer's second step, after `make demo`: two terminals, and what `matches` and `elements` tell then."""
    try:
        private = prefix()
    except Unavailable as reason:
        pytest.skip(str(reason))
    variables = environment() | {"NFA": f"{sys.executable} -u -m nfa", "D": str(folder), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*private, "sh", "-c", SCRIPT], capture_output=True, text=True, env=variables, timeout=patience(120), check=False
    )
    run, replay = [(folder / name).read_text().replace(str(folder), "/tmp") for name in ("run.log", "replay.log")]
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")

    def shown(command: str) -> str:
        found = re.search(rf"^```text\n[$#] {re.escape(command)}[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        assert found, command
        return timeless(found[1])

    assert timeless(done.stdout) == shown("nfa matches -n 2") + shown("nfa elements ipset.youtube"), (
        done.stdout + done.stderr + run
    )
    assert shows(shown("nfa run -v -c demo/policy.json") + "...\n", run), run
    assert shows(shown("nfa replay demo/recording.bin.gz") + "...\n", replay), replay


def test_the_log_of_a_device_is_what_the_recipe_shows(tmp_path: Path) -> None:
    """The recipe promises who talks to whom, how often and how much; a flow that has two entries is counted twice."""
    policy = json.loads(policy_of("recipes.md", "## Log what a device does"))
    (target,) = policy["targets"].values()
    target["path"] = str(tmp_path / "logs")
    file = tmp_path / "camera.json"
    file.write_text(json.dumps(policy))
    assert compile_policy(json_only(file), Paths(str(tmp_path)), look=False)[0] is not None
    nfa = [sys.executable, "-m", "nfa"]
    source, control = f"unix://{tmp_path}/run/netifyd.sock", str(tmp_path / "control.sock")
    replay = subprocess.Popen([*nfa, "replay", str(ROOT / RECORDING), "--listen", source, "--speed", "full", "--linger", "600"])
    daemon = subprocess.Popen([*nfa, "run", "-c", str(file), "-s", source, "--state-dir", str(tmp_path), "--control", control])
    try:
        count = sum(1 for _ in records(ROOT / RECORDING))

        def read() -> bool:
            try:
                return call(control, "status", {})["source"]["records"] >= count  # type: ignore[index,no-any-return]
            except OSError:
                return False

        eventually(read, what="all records")
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(PATIENCE) == 0
    finally:
        for process in (daemon, replay):
            process.kill()
            process.wait()
    files = sorted((tmp_path / "logs").iterdir())
    entries = [entry for path in files for entry in json.loads(path.read_text())["entries"]]
    key = lambda entry: entry["host"]  # noqa: E731 (twice the same)
    rows = [(host, list(group)) for host, group in itertools.groupby(sorted(entries, key=key), key)]
    made = "".join(f"{host}\t{len(group)}\t{sum(entry['bytes'] for entry in group)}\n" for host, group in rows)
    text = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert f"/tmp/nfa-logs/camera-*.json\n{made}```" in text, made
    assert {entry["mac"] for entry in entries} == {"c4:2c:03:06:49:fe"}
