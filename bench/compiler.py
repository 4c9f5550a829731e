"""The compiler's memory, with the Python that a router has: it runs beside the daemon at each reload.

In: a policy. Out: bytes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyparsing

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "packaging"))

import router  # noqa: E402
import sizes  # noqa: E402

_PROGRAM = """
import sys
from nfa.cli import main
code = main()
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")), file=sys.stderr)
sys.exit(code)
"""


def python_of_router(root: Path) -> Path:
    """Make a router's Python in a folder: nfa, and what its package depends on. Returns the interpreter."""
    release, packages = sizes.needed()
    if pyparsing.__version_info__[:2] >= (3, 3) and "python3-unittest" not in packages:
        packages.append("python3-unittest")  # main's version needs it, and main's package of it asks for it
    return router.make(root, release, packages, [Path(pyparsing.__file__).parent, ROOT / "nfa"])


def peak(python: Path, folder: Path, policy: Path) -> int:
    """Return the bytes that the compiler of a policy has resident at the most. `python`: of `python_of_router`."""
    command = [python, "-P", "-c", _PROGRAM, "compile", "--no-uci", "-c", policy, "-o", folder / "image", "--state-dir", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})
    if done.returncode:
        raise RuntimeError(done.stderr)
    return int(done.stderr.split()[-1]) * 1024
