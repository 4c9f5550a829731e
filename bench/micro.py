"""What is measured under the real MicroPython: a stream from a socket into kernel sets. Left out where there is no interpreter.

In: a policy and a recording in files. Out: records a second, and the resident set with the policy and at its highest.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import live
import throughput
from live import ROOT, until


def interpreter() -> str:
    """Return the path of MicroPython, "" where there is none."""
    return os.environ.get("NFA_MICROPYTHON") or shutil.which("micropython") or ""


class Micro(live.Daemon):
    """A running `micropython -m nfa.daemon.micropython`."""

    def __init__(self, folder: Path, policy: Path) -> None:
        self.folder = folder
        self.source, self.control, self.log = folder / "netifyd.sock", str(folder / "control.sock"), folder / "micro.log"
        image = folder / "policy.img"
        compiler = [sys.executable, "-m", "nfa", "compile", "--no-uci", "-c", str(policy), "--micropython"]
        compiler += ["--state-dir", str(policy.parent)]
        subprocess.run([*compiler, "-s", f"unix://{self.source}", "-o", str(image)], cwd=ROOT, check=True, stderr=-3)
        environment = os.environ | {"MICROPYPATH": f"{ROOT}:.frozen"}
        command = [interpreter(), "-m", "nfa.daemon.micropython", str(image), "--control", self.control]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=-3, stdout=log, stderr=log, env=environment)
        until(lambda: self.said("policy loaded"), "the policy")


def end_to_end(folder: Path, policy: Path, recording: Path, loops: int) -> dict[str, float]:
    """Replay a recording at full speed. Returns records, CPU and wall seconds, bytes before the stream and at the most."""
    with Micro(folder, policy) as daemon:
        empty = daemon.memory()
        before = daemon.cpu()
        wall = throughput.replayed(daemon, recording, loops)
        cpu = daemon.cpu() - before
        found = daemon.status()
        if any(found["source"]["bad"].values()) or any(target["errors"] for target in found["targets"].values()):
            print(f"bench: bad records or refused elements: {found['source']['bad']} {found['targets']}", file=sys.stderr)
        records = found["source"]["records"]
        return {"records": records, "cpu": cpu, "wall": wall, "empty": empty, "peak": found["memory"]["peak_kb"] * 1024}
