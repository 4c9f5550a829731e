"""What the tests of MicroPython are made of: a policy that asks for much, streams, an image, and a comparison with CPython."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from policies import compiled
from policies import decided as matched
from samples import payload, stream
from waiting import patience

from nfa.compiler.assemble import image_of
from nfa.compiler.micropython import image_for
from nfa.daemon.engine.policy import Policy
from nfa.daemon.engine.view import MALFORMED
from nfa.daemon.stream.records import BadRecord, read
from nfa.image import cpython as image

ROOT = Path(__file__).resolve().parents[1]
RECORDED = Path(os.environ.get("NFA_SHARED", ROOT.parent / "shared")) / "data/streams/live-realtime.bin.gz"

SETS: dict[str, dict[str, Any]] = {
    "nftset.flow": {"target_type": "nftset", "set_name": "flow"},
    "nftset.host": {"target_type": "nftset", "set_name": "host", "type": ["local_mac", "other_addr"]},
    "ipset.flow": {"target_type": "ipset", "set_name": "flow"},
    "ipset.ip": {"target_type": "ipset", "set_name": "ip", "type": "hash:ip"},
}
_CRITERIA = [
    "app == 'youtube' || app == 'netflix' || app == 'facebook';", "protocol == 'dns';", "category == 'social-media';",
    "detected_hostname == 'rx:^(www|api)\\.[a-z]{2,9}\\.';", r"detected_hostname == 'rx:\bads?[0-9]+\b';",
    "detected_hostname == 'école.example';", "other_ip == 31.13.0.0/16;", "other_ip == 2a00:1450::/32;",
    "local_ip == 192.168.1.0/24 && other_port > 1000;", "ip_protocol == 17 && other_port >= 3478 && other_port <= 3498;",
    "ssl_version == 0x0301;", "local_mac == 02:00:5e:10:01:14;", "ip_nat == false && !(protocol == 'http/s');",
    "detected_hostname == 'www.google.com' || detected_hostname == 'dns.google';", "risks == 36;", "origin == origin_local;",
    "ip_version == 6 && (app == 'google' || other_port == 443);", "protocol == 'bittorrent';",
]  # fmt: skip
ACTIONS: dict[str, dict[str, Any]] = {
    f"a{number:02}": {"criteria": text, "targets": [list(SETS)[number % 4]]} for number, text in enumerate(_CRITERIA)
}
ACTIONS["a01"]["exemptions"] = ["192.168.1.10", "app == 'netify.twitter';"]
ACTIONS["a02"]["targets"] = list(SETS)
ACTIONS["a15"]["time_of_day"] = {"day": ["mon"], "time_start": "08:00", "time_end": "17:00"}
ACTIONS["a12"]["time_of_day"] = {"day": ["mon"], "time_start": "08:00", "time_end": "17:00", "policy": "exclusive"}


def payloads(seed: int, flows: int) -> list[bytes]:
    """A made stream."""
    return [payload(record) for record in stream(seed, flows)]


def micro_image(folder: Path, config: dict[str, Any], source: str = "unix:///none.sock") -> Path:
    """Compile a configuration for MicroPython; netifyd's folders are in `folder`."""
    made, _ = compiled(folder, json.loads(json.dumps(config)))
    raw = image_for(made, source)
    assert raw is not None, [report.text() for report in made.reports.items]
    file = folder / "policy.img"
    file.write_bytes(raw)
    return file


class MicroPython:
    """The interpreter. It finds this repository's nfa."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.environment = {**os.environ, "MICROPYPATH": f"{ROOT}:.frozen"}

    def run(self, program: str, *arguments: str, heap: str = "") -> str:
        """Run a program; return what it printed."""
        options = ["-X", f"heapsize={heap}"] if heap else []
        command = [self.path, *options, "-c", program, *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=patience(120), check=False, env=self.environment, cwd=ROOT
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


# -- both decide ---------------------------------------------------------------------------------------------------

DECIDE = """
import sys
from nfa.image.micropython import load
from nfa.daemon.base.micropython_text import set_lower
from nfa.daemon.engine.policy import Policy
from nfa.daemon.engine.view import MALFORMED
from nfa.daemon.stream.framing import Framer
from nfa.daemon.stream.records import BadRecord, read
data = load(open(sys.argv[1], "rb").read())
set_lower(data["lower"], data["sigma"])
policy = Policy(data, data["code"], {}, list(range(len(data["slots"]))))
policy.keep_hours(int(sys.argv[3]))
framer, file = Framer(), open(sys.argv[2], "rb")
while True:
    chunk = file.read(7000)
    for payload in framer.feed(chunk) if chunk else framer.end():
        try:
            kind, value = read(payload)
            if kind != "flow":
                print(kind)
                continue
            keys = []
            verdict = policy.decide(value, value["flow"])
            actions = None if verdict.exempt else verdict.plan.actions if verdict.plan else ()
            for key in policy.key_functions:
                try:
                    keys.append(key(value, value["flow"]).hex())
                except MALFORMED:
                    keys.append("-")
            print(actions, ",".join(keys))
        except BadRecord as bad:
            print("bad", bad.kind)
        except MALFORMED:
            print("malformed")
    if not chunk:
        break
"""
MONDAY_NOON = 1700481600


def decided(policy: Policy, data: list[bytes]) -> list[str]:
    """What CPython makes of the records, in the form that DECIDE prints."""
    lines = []
    for one in data:
        try:
            kind, value = read(one)
            if kind != "flow":
                lines.append(kind)
                continue
            keys = []
            actions = matched(policy, value)
            for key in policy.key_functions:
                try:
                    keys.append(key(value, value["flow"]).hex())
                except MALFORMED:
                    keys.append("-")
            lines.append(f"{actions} {','.join(keys)}")
        except BadRecord as bad:
            lines.append(f"bad {bad.kind}")
        except MALFORMED:
            lines.append("malformed")
    return lines


def compare(micropython: MicroPython, folder: Path, config: dict[str, Any], records: list[bytes], heap: str = "") -> list[str]:
    """Have both decide. Returns what both said."""
    made, reports = compiled(folder, config)
    assert not reports.errors, [report.text() for report in reports.errors]
    data = image.load(image.dump(image_of(made)))
    policy = Policy(data, image.code_of(data["code"]), {}, list(range(len(data["slots"]))))  # type: ignore[arg-type]
    policy.keep_hours(MONDAY_NOON)
    stream = folder / "stream"
    stream.write_bytes(b"".join(b'{"length": %d}\n%b' % (len(one), one) for one in records))
    given = str(micro_image(folder, config)), str(stream), str(MONDAY_NOON)
    printed = micropython.run(DECIDE, *given, heap=heap).splitlines()
    wanted = decided(policy, records)
    assert len(printed) == len(wanted)
    differing = [(p, here, there) for p, here, there in zip(records, wanted, printed, strict=True) if here != there]
    (folder / "differing.txt").write_text(repr(differing))
    assert not differing, differing[:20]
    return wanted
