"""What nfa takes of a router's flash, with all that it needs: the table of docs/openwrt.md.

In: this Python's standard library and interpreter, the installed pyparsing, and this repository. Out: of each package the size
of its files, and of what they become in a squashfs with xz and blocks of 256 KiB, which is how OpenWrt packs an image.

Measured: byte-code, the same on every router, by this Python. Stand-ins: libpython, its extensions, libbz2 and zlib are
those of this machine, stripped; they are built for another processor, and not by OpenWrt. Taken from the feed: which file
belongs to which package (python3-packages.json). Not counted: libc, libuci and kernel modules, which a router with a firewall
has; the extension of python3-uci, some 10 kB.
"""

from __future__ import annotations

import lzma
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pyparsing
import router

BLOCK = 256 << 10
BOUND = 6_500_000
"""Bytes: the most that all may take together, compressed."""
ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ["python3-light", "python3-urllib", "python3-pyparsing", "python3-uci"]
"""What the package depends on, besides kernel modules."""


def compressed(files: list[Path]) -> int:
    """Return the bytes of these files in a squashfs with xz: block by block, small files together in one."""
    data = b"".join([file.read_bytes() for file in files])
    blocks = [data[place : place + BLOCK] for place in range(0, len(data), BLOCK)]
    return sum([min(len(block), len(lzma.compress(block, check=lzma.CHECK_CRC32))) for block in blocks])


def needed() -> tuple[str, list[str]]:
    """Return the release that has this Python, and all packages of the feed that nfa needs there."""
    release = router.release_of(f"{sys.version_info.major}.{sys.version_info.minor}")
    every = [name for package in PACKAGES for name in router.needed(release, package)]
    return release, list(dict.fromkeys(every))


def interpreter() -> list[Path]:
    """Return the program and, if it is apart, its library."""
    program = Path(sys.executable).resolve()
    name = sysconfig.get_config_var("INSTSONAME") if sysconfig.get_config_var("Py_ENABLE_SHARED") else None
    return [program, *([Path(str(sysconfig.get_config_var("LIBDIR"))) / str(name)] if name else [])]


def libraries() -> list[Path]:
    """Return zlib and libbz2, as far as they are found."""
    found = []
    for name in ("libz.so.1", "libbz2.so.1.0"):
        places = (Path("/lib", folder) for folder in ("", "x86_64-linux-gnu", "aarch64-linux-gnu"))
        found += [place / name for place in places if (place / name).exists()][:1]
    return [file.resolve() for file in found]


def stripped(files: list[Path], folder: Path) -> list[Path]:
    """Return copies without symbols: OpenWrt strips what it packs."""
    made = []
    for file in files:
        target = folder / f"{len(list(folder.iterdir()))}-{file.name}"
        shutil.copy(file, target)
        if shutil.which("strip"):
            subprocess.run(["strip", "--strip-unneeded", str(target)], check=True)
        made.append(target)
    return made


def measure(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the bytes of each package: of its files, and compressed. `folder`: an empty one to work in."""
    release, packages = needed()
    stdlib = Path(sysconfig.get_path("stdlib"))
    parts: dict[str, list[Path]] = {}
    (folder / "programs").mkdir()
    for package, names in router.library(release, packages).items():
        files = []
        for name in names:
            router.byte_code(stdlib / name, folder / package / name)
            made = folder / package / (name.with_suffix(".pyc") if name.suffix == ".py" else name)
            files += stripped([made.resolve()], folder / "programs") if name.suffix == ".so" else [made]
        parts[package] = files
    parts["libpython3"] = stripped(interpreter(), folder / "programs")
    parts["libbz2, zlib"] = stripped(libraries(), folder / "programs")
    for package, source in (("python3-pyparsing", Path(pyparsing.__file__).parent), ("nfa", ROOT / "nfa")):
        for file in sorted(source.rglob("*")):
            if file.is_file() and file.suffix != ".pyc":
                router.byte_code(file, folder / package / file.relative_to(source))
        parts[package] = sorted(file for file in (folder / package).rglob("*") if file.is_file())
    parts["nfa"] += sorted(file for file in (ROOT / "files").rglob("*") if file.is_file())
    order = ["nfa", "python3-pyparsing", "python3-urllib", "python3-email", "python3-light", "python3-base", "libpython3"]
    found = {name: parts[name] for name in (*order, "libbz2, zlib") if parts.get(name)}
    return {name: (sum([file.stat().st_size for file in files]), compressed(files)) for name, files in found.items()}


def main() -> int:
    """Print the table. Returns 1 if all together is more than BOUND."""
    with tempfile.TemporaryDirectory() as name:
        found = measure(Path(name))
    for package, (size, packed) in found.items():
        print(f"| {package} | {packed / 1e6:.2f} MB | {size / 1e6:.2f} MB |")
    total = sum([packed for _, packed in found.values()])
    print(f"| all | {total / 1e6:.2f} MB | {sum([size for size, _ in found.values()]) / 1e6:.1f} MB |")
    print(f"at most {BOUND / 1e6} MB; Python {sys.version.split()[0]}, pyparsing {pyparsing.__version__}", file=sys.stderr)
    return int(total > BOUND)


if __name__ == "__main__":
    sys.exit(main())
