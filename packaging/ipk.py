"""Write an .ipk, the package of opkg (OpenWrt 24.10 and before), or show what the Makefile says of one.

In: the Makefile's definitions in the environment (sdk/include/package.mk puts them there), and the folder that is to be
installed as `/`. Out: NAME_VERSION_ARCHITECTURE.ipk, a gzipped tar of debian-binary, data.tar.gz and control.tar.gz. The same
files make the same bytes: entries are sorted, belong to root and have the time SOURCE_DATE_EPOCH.
"""

from __future__ import annotations

import gzip
import io
import os
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

# Every package of OpenWrt has these two; functions.sh enables and starts services, and runs uci-defaults.
_POSTINST = """\
#!/bin/sh
[ "${IPKG_NO_SCRIPT}" = 1 ] && exit 0
[ -s "${IPKG_INSTROOT}/lib/functions.sh" ] || exit 0
. "${IPKG_INSTROOT}/lib/functions.sh"
default_postinst "$0" "$@"
"""
_PRERM = """\
#!/bin/sh
[ -s "${IPKG_INSTROOT}/lib/functions.sh" ] || exit 0
. "${IPKG_INSTROOT}/lib/functions.sh"
default_prerm "$0" "$@"
"""
# The SDK has no way to say it, opkg understands it. The agent may run on another machine.
_SUGGESTS = {"nfa": "netifyd"}


def said(name: str) -> str:
    """Return a definition of the Makefile."""
    return os.environ.get(name, "").strip()


def version() -> str:
    return f"{said('PKG_VERSION')}-r{said('PKG_RELEASE')}"


def control(installed_size: int) -> str:
    """Return the control file. `installed_size`: bytes."""
    # Every package depends on libc. A + asks menuconfig to select the package as well, which is nothing to opkg.
    depends = ["libc", *(word.removeprefix("+") for word in said("DEPENDS").split())]
    fields = {
        "Package": said("NAME"),
        "Version": version(),
        "Depends": ", ".join(depends),
        "Suggests": _SUGGESTS.get(said("NAME"), ""),
        "Conflicts": ", ".join(said("CONFLICTS").split()),
        "Provides": ", ".join(said("PROVIDES").split()),
        "Require-User": said("USERID"),
        "License": said("PKG_LICENSE"),
        "Section": said("SECTION"),
        "URL": said("URL"),
        "Maintainer": said("PKG_MAINTAINER"),
        "Architecture": said("PKGARCH"),
        "Installed-Size": str(installed_size),
        "Description": "\n ".join(line.strip() for line in said("DESCRIPTION").splitlines()),
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)


def archive(entries: Iterable[tuple[str, int, bytes | None]]) -> bytes:
    """Return a gzipped tar of (path, rights, bytes; None: a folder), in the order given."""
    time = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path, rights, content in entries:
            entry = tarfile.TarInfo(path)
            entry.mode, entry.mtime = rights, time
            entry.type, entry.size = (tarfile.DIRTYPE, 0) if content is None else (tarfile.REGTYPE, len(content))
            tar.addfile(entry, io.BytesIO(content or b""))
    return gzip.compress(plain.getvalue(), mtime=0)


def tree(root: Path) -> list[tuple[str, int, bytes | None]]:
    """Return what is below a folder, as `archive` takes it. Rights are those of the files; folders are 0755."""
    found: list[tuple[str, int, bytes | None]] = [("./", 0o755, None)]
    for path in sorted(root.rglob("*")):
        name = f"./{path.relative_to(root)}"
        if path.is_dir():
            found.append((name, 0o755, None))
        else:
            found.append((name, path.stat().st_mode & 0o777, path.read_bytes()))
    return found


def package(root: Path) -> bytes:
    """Return the bytes of the .ipk."""
    files = tree(root)
    size = sum(len(content) for _, _, content in files if content is not None)
    parts = {
        "./conffiles": (0o644, said("CONFFILES") + "\n" if said("CONFFILES") else ""),
        "./control": (0o644, control(size)),
        "./postinst": (0o755, _POSTINST + (said("POSTINST") + "\n" if said("POSTINST") else "")),
        "./preinst": (0o755, said("PREINST") + "\n" if said("PREINST") else ""),
        "./prerm": (0o755, _PRERM),
    }
    about: list[tuple[str, int, bytes | None]] = [("./", 0o755, None)]
    about += [(name, rights, text.encode()) for name, (rights, text) in parts.items() if text]
    members = {"./debian-binary": b"2.0\n", "./data.tar.gz": archive(files), "./control.tar.gz": archive(about)}
    return archive((name, 0o644, content) for name, content in members.items())


def show() -> None:
    """Print what the Makefile says, for people and tests: the control file, then what else it defines."""
    print(control(0), end="")
    for name in ("CATEGORY", "TITLE", "CONFFILES", "INSTALL"):
        print(f"\n[{name}]\n{said(name)}")


def main(arguments: list[str]) -> int:
    """`show`, or `build ROOT OUT`. Returns the exit code."""
    if arguments == ["show"]:
        show()
        return 0
    if len(arguments) != 3 or arguments[0] != "build":
        print("usage: ipk.py show | ipk.py build ROOT OUT", file=sys.stderr)
        return 2
    root, out = map(Path, arguments[1:])
    out.mkdir(parents=True, exist_ok=True)
    file = out / f"{said('NAME')}_{version()}_{said('PKGARCH')}.ipk"
    file.write_bytes(package(root))
    print(f"{file}: {file.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
