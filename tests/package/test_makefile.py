"""The packages' Makefiles, seen through packaging/sdk: what they define, and the style that OpenWrt's reviewers ask for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SDK = ROOT / "packaging/sdk"
MAKEFILES = {"nfa": ROOT / "Makefile", "python3-pyparsing": ROOT / "feeds/python-pyparsing/Makefile"}

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="there is no make")


def shown(name: str, makefile: Path) -> tuple[dict[str, str], dict[str, list[str]]]:
    """What `make show-NAME` prints: the fields of the control file, and the other definitions, a list of lines each."""
    outside = {key: value for key, value in os.environ.items() if key not in ("TOPDIR", "MAKEFLAGS", "MAKELEVEL")}
    command = ["make", "-s", "--no-print-directory", "--warn-undefined-variables", "-C", str(makefile.parent), f"TOPDIR={SDK}"]
    done = subprocess.run([*command, f"show-{name}"], capture_output=True, text=True, env=outside, check=False)
    assert done.returncode == 0, done.stderr
    undefined = set(re.findall(r"undefined variable '(\S+)'", done.stderr)) - {"MAKEFLAGS", "GNUMAKEFLAGS", "MFLAGS"}
    about_package = {word for word in undefined if word.startswith("PKG_")}
    assert not about_package, f"a slip in a name? {about_package}"
    head, *rest = re.split(r"^\[(\w+)\]\n", done.stdout, flags=re.MULTILINE)
    fields = dict(re.findall(r"^(\S+): (.*(?:\n .*)*)", head, re.MULTILINE))
    return fields, {key: value.strip().splitlines() for key, value in zip(rest[::2], rest[1::2], strict=True)}


def test_nfa_depends_on_what_it_uses_and_takes_the_place_of_netifys_plugin() -> None:
    fields, more = shown("nfa", MAKEFILES["nfa"])
    python = {"python3-light", "python3-urllib", "python3-pyparsing", "python3-uci"}
    assert set(fields["Depends"].split(", ")) == {
        "libc", "kmod-ipt-ipset", "kmod-nft-core", "kmod-nf-conntrack-netlink", *python,
    }  # fmt: skip
    assert fields["Provides"] == fields["Conflicts"] == "netify-proc-flow-actions"
    assert fields["Architecture"] == "all"
    assert fields["License"] == "Apache-2.0"
    assert (fields["Section"], more["CATEGORY"]) == ("net", ["Network"])
    assert more["CONFFILES"] == ["/etc/config/netify-proc-flow-actions", "/etc/nfa/allowed_folders"]
    assert fields["Require-User"] == "nfa=7150:nfa=7150", "the user of the daemon, which the installation creates"


def test_the_sources_are_a_package_of_their_own_that_takes_nobodys_place() -> None:
    fields, more = shown("nfa-src", MAKEFILES["nfa"])
    assert fields["Depends"] == "libc"
    assert not {"Provides", "Conflicts", "Require-User"} & set(fields)
    assert more["TITLE"] == ["Flow actions for netifyd (sources)"]


def test_pyparsing_is_there_for_main() -> None:
    fields, more = shown("python3-pyparsing", MAKEFILES["python3-pyparsing"])
    assert fields["Depends"] == "libc, python3-light, python3-unittest"
    assert (fields["Section"], more["CATEGORY"]) == ("lang", ["Languages"])
    assert fields["License"] == "MIT"
    text = MAKEFILES["python3-pyparsing"].read_text()
    assert re.search(r"^PKG_HASH:=[0-9a-f]{64}$", text, re.MULTILINE)
    assert text.index("pypi.mk") < text.index("package.mk") < text.index("python3-package.mk")


@pytest.mark.parametrize("path", MAKEFILES.values(), ids=MAKEFILES.keys())
def test_blocks_are_indented_as_what_they_are(path: Path) -> None:
    """Make takes a recipe only with tabs; conffiles and scripts are written out as they stand."""
    text = path.read_text()
    assert not re.search(r"[ \t]+$", text, re.MULTILINE), "white space at the end of a line"
    blocks = re.findall(r"^define (\S+)\n(.*?)^endef$", text, re.MULTILINE | re.DOTALL)
    assert blocks and len(blocks) == text.count("\ndefine ")
    for name, body in blocks:
        lines = body.splitlines()
        if name.endswith(("/conffiles", "/preinst", "/postinst", "/prerm", "/postrm")):
            assert not [line for line in lines if line[:1].isspace()], name
        elif name.startswith("Build/") or name.endswith("/install"):
            assert all(line.startswith("\t") for line in lines), name
        elif name.count("/") == 1:
            begun = [line for line, before in zip(lines, ["", *lines], strict=False) if not before.endswith("\\")]
            assert all(re.match(r"  [A-Z]+:=", line) for line in begun), name


@pytest.mark.parametrize("path", MAKEFILES.values(), ids=MAKEFILES.keys())
def test_names_are_literal(path: Path) -> None:
    """Reviewers refuse $(PKG_NAME) where a package is defined, called or evaluated."""
    lines = [line for line in path.read_text().splitlines() if line.startswith(("define ", "$(eval"))]
    assert lines and not [line for line in lines if "PKG_NAME" in line]
    for word in ("PKG_NAME", "PKG_VERSION", "PKG_RELEASE", "PKG_MAINTAINER", "PKG_LICENSE", "PKG_LICENSE_FILES"):
        assert re.search(rf"^{word}:=\S", path.read_text(), re.MULTILINE), word


def test_the_release_is_a_whole_number() -> None:
    """It goes up by one when the packaging changes, and back to 1 with a new version."""
    assert re.search(r"^PKG_RELEASE:=[1-9]\d*$", MAKEFILES["nfa"].read_text(), re.MULTILINE)
