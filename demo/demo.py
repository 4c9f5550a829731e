"""`make demo`: the daemon at work on private networks: packets that are blocked, then sets that fill.

Out: a story on the terminal, plain text elsewhere; exit code 0 only if packets and the kernel's sets did exactly what the
policy says. It takes about 25 seconds and leaves nothing behind: everything runs in a network and process namespace that ends
with it, its files lie in one folder that is removed.

    outer process: folder, namespace, cleaning up    ->    inner process (--inside FOLDER): packets.act, sets.act
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]

import packets  # noqa: E402
import sets  # noqa: E402
from private_network import Unavailable, environment, prefix  # noqa: E402
from stage import Failed, headline, printable  # noqa: E402

# -- the outer process -------------------------------------------------------------------------------------------------


def main() -> int:
    """Make the namespace and the folder, tell the story in them, and take both away again, whatever happens."""
    try:
        command = prefix()
    except Unavailable as reason:
        print(f"demo: {reason}", file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    folder = tempfile.mkdtemp(prefix="nfa-demo-")
    story: subprocess.Popen[bytes] | None = None
    try:
        story = subprocess.Popen([*command, sys.executable, __file__, "--inside", folder], env=environment())
        return story.wait()
    except KeyboardInterrupt:
        print("\ndemo: stopped; nothing is left behind", file=sys.stderr)
        return 130
    finally:
        if story is not None:
            story.kill()  # unshare takes the namespace's first process with it, and that all others
            story.wait()
        _remove(folder)


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _remove(folder: str) -> None:
    """Remove the folder, also while the last processes that write to it are dying."""
    deadline = time.monotonic() + 5
    while os.path.exists(folder) and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)


# -- the inner process -------------------------------------------------------------------------------------------------


def inside(folder: Path) -> int:
    """Tell the story, and say why when it breaks."""
    try:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        packets.act(folder)
        sets.act(folder)
        headline(9, "What to try next")
        print("""\
    .venv/bin/nfa check -c demo/block.json       what nfa thinks of a policy; copy it and try a typing error
    .venv/bin/nfa eval "app == 'netflix';" demo/recording.bin.gz
                                                 which flows of a recording an expression matches
    .venv/bin/nfa explain -c demo/policy.json --matched demo/recording.bin.gz
                                                 why each flow matches
    .venv/bin/nfa apps youtube                   what a policy may name; also protocols, categories
    .venv/bin/nfa --help                         all commands, with examples
    nfa run -c policy.json                       on a router: reads netifyd's own socket; needs root""")
    except Failed as failure:
        print(f"demo: {failure}", file=sys.stderr)
        for path in folder.glob("**/*.log"):
            said = [line for line in path.read_text(errors="replace").splitlines() if ": match:" not in line]
            print(f"What {path.stem} said last:", *[f"    {printable(line)}" for line in said[-8:]], sep="\n", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(inside(Path(sys.argv[2])) if sys.argv[1:2] == ["--inside"] else main())
