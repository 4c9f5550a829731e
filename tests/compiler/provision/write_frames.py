"""Write frames/*.nft: the table of each frames/*.json, as nft lists it. Look at what changes before you believe it.

In a network namespace of its own: PYTHONPATH=tests:. unshare -n .venv/bin/python tests/compiler/provision/write_frames.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from firewall_lab import SEND
from test_firewall_frame import FRAMES, NAMES, image_of


def main() -> None:
    for name in NAMES:
        subprocess.run(["nft", "flush", "ruleset"], check=True)
        with tempfile.TemporaryDirectory() as folder:
            frame = image_of(Path(folder), name)["frame"]
        text = "\n".join(message.hex() for message in frame)
        sent = subprocess.run([sys.executable, "-c", SEND], input=text, text=True, capture_output=True, check=True)
        assert sent.stdout.strip() == "[]", sent.stdout
        listed = subprocess.run(["nft", "list", "table", "inet", "nfa"], text=True, capture_output=True, check=True)
        (FRAMES / f"{name}.nft").write_text(listed.stdout)


if __name__ == "__main__":
    main()
