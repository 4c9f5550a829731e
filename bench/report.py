"""What remains of a run: bench/results/latest.json, a line in bench/history.jsonl, a picture, and README's table if wanted.

In: figures. Out: files. README's table is made of a recorded run only, and says which, so that it cannot disagree with it.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import picture
import table

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
LATEST = RESULTS / "latest.json"
PICTURE = "docs/bench.svg"
BEGIN, END = "<!-- bench -->", "<!-- /bench -->"

Entry = dict[str, Any]


def machine() -> dict[str, Any]:
    """Say where this is."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}


def record(figures: dict[str, Any], quick: bool) -> None:
    """Keep the figures."""
    git = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True, check=False)
    entry = {"date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "commit": git.stdout.strip(), "quick": quick}
    entry |= {"machine": machine(), "figures": figures}
    RESULTS.mkdir(exist_ok=True)
    LATEST.write_text(json.dumps(entry, indent=1) + "\n")
    (RESULTS / "bench.svg").write_text(picture.draw(figures["evaluation"]))
    with (HERE / "history.jsonl").open("a") as file:
        file.write(json.dumps(entry) + "\n")


def block(entry: Entry) -> str:
    """Return what stands between README's two marks."""
    here, figures = entry["machine"], entry["figures"]
    command = "make bench-quick" if entry["quick"] else "make bench"
    python = ".".join(here["python"].split(".")[:2])
    kernel = ".".join(here["kernel"].split(".")[:2])
    run = f"({entry['date']}, commit {entry['commit']})"
    flows = figures["decoding"]["flows"]
    return f"""{BEGIN}
One run of `{command}` {run}: {here["cores"]} cores ({here["cpu"]}), Linux {kernel}, Python {python};
the stream {figures["stream"]}, {flows:,} flow records, from a unix socket into real nftables sets and ipsets.

![What a flow record costs to evaluate, over the number of actions]({PICTURE})

{table.markdown(figures)}
{END}"""


def write_readme(root: Path, entry: Entry) -> None:
    """Write README's table and picture from a recorded run. Raises ValueError when README lacks the two marks."""
    readme = root / "README.md"
    text = readme.read_text()
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md lacks {BEGIN} or {END}")
    readme.write_text(head + block(entry) + tail)
    (root / PICTURE).write_text(picture.draw(entry["figures"]["evaluation"]))
