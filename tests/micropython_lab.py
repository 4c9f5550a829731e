"""What the tests of MicroPython are made of: a policy that asks for much, streams, and an image."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from policies import compiled
from samples import payload, stream

from nfa.micro.compile import image_for

ROOT = Path(__file__).resolve().parents[1]
RECORDED = Path(os.environ.get("NFA_SHARED", ROOT.parent / "shared")) / "data/streams/live-realtime.bin.gz"

SETS: dict[str, dict[str, Any]] = {
    "nftset.flow": {"target_type": "nftset", "set_name": "flow"},
    "nftset.host": {"target_type": "nftset", "set_name": "host", "type": ["local_mac", "other_addr"]},
    "ipset.flow": {"target_type": "ipset", "set_name": "flow"},
    "ipset.ip": {"target_type": "ipset", "set_name": "ip", "type": "hash:ip"},
}
HOURS = [{"days": ["monday"], "time_start": "08:00", "time_end": "17:00", "exclusive": True}]
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
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=self.environment, cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
