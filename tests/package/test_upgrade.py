"""What of a policy survives a system upgrade, and that the page about it says the same as the package."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "files/lib/upgrade/keep.d/nfa"
PAGE = (ROOT / "docs" / "upgrade.md").read_text(encoding="utf-8")


def paths() -> list[str]:
    lines = KEPT.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_sysupgrade_keeps_lists_groups_and_rules(tmp_path: Path) -> None:
    """After an upgrade of the router the policy is there and its lists are not: it blocks something else, or nothing."""
    mine = [
        "etc/nfa/games.d/10-mine",
        "etc/nfa/allowed_folders",
        "etc/nftables.d/nfa.rules",
        "etc/netifyd/address-groups.d/1.conf",
        "etc/netify.d/netify-proc-flow-actions.json",
    ]
    for name in (*mine, "etc/netifyd/other", "etc/other"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    # As /sbin/sysupgrade of OpenWrt does it, below another root.
    script = f"cd {tmp_path} && find $(sed -ne '/^[[:space:]]*$/d; /^#/d; s,^/,,p' {KEPT}) -type f -o -type l 2>/dev/null"
    found = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False).stdout.split()
    assert sorted(found) == sorted(mine)


def test_the_page_names_what_is_kept() -> None:
    """Somebody would rely on a file that is gone after the upgrade."""
    for path in paths():
        shown = path.replace("/etc/netify.d/", "/etc/netifyd/")
        assert f"`{shown}`" in PAGE and "`/etc/netify.d/`" in PAGE, path
    conffiles = re.search(r"define Package/nfa/conffiles\n(.*?)endef", (ROOT / "Makefile").read_text(), re.DOTALL)
    assert conffiles
    for path in conffiles[1].split():
        assert f"`{path}`" in PAGE, path


def test_the_list_is_in_the_package() -> None:
    """It would be a file of the sources only."""
    assert "$(1)/lib/upgrade/keep.d/nfa" in (ROOT / "Makefile").read_text()
