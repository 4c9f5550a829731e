"""Makes `demo/recording.bin.gz`, which ships: a household's four minutes, so that every example of the documents can be typed.

In: nothing but the repository's own generator (tests/samples.py). Out: the file, always with the same records. Type
`.venv/bin/python demo/recording.py` after a change of the generator, and look at the documents that show it.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests")]

from samples import home  # noqa: E402

RECORDING = HERE / "recording.bin.gz"


def main() -> None:
    """Write the file."""
    RECORDING.write_bytes(gzip.compress(home(), 9, mtime=0))
    print(f"{RECORDING.name}: {RECORDING.stat().st_size} bytes")


if __name__ == "__main__":
    main()
