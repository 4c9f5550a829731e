"""The table of firewall targets in the kernel: as it is listed, when it is sent again, and when it goes.

frames/*.json are targets, frames/*.nft beside each what `nft list table inet nfa` (1.0.6) shows, written by
`write_frames.py`. A file more is a test more.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from policies import compiled, config_of

FRAMES = Path(__file__).with_name("frames")
NAMES = sorted(path.stem for path in FRAMES.glob("*.json"))
THEIRS = """\
table inet nfa {
	set mine.v4 {
		type ipv4_addr
		elements = { 192.0.2.1 }
	}

	chain forward {
		type filter hook forward priority filter; policy accept;
		ip daddr @mine.v4 drop
	}
}
"""
"""What a person has in the same table, as docs/openwrt.md has it."""
Run = Callable[[str], str]
Send = Callable[..., list[int]]


def image_of(folder: Path, name: str) -> dict[str, Any]:
    """The table in the image of a policy with these targets."""
    targets = json.loads((FRAMES / f"{name}.json").read_text())
    targets = {name: {"target_type": "firewall"} | options for name, options in targets.items()}
    made, _ = compiled(folder, config_of({"a": {"criteria": "port == 443;", "targets": list(targets)}}, targets=targets))
    assert made.firewall is not None
    return made.firewall


@pytest.mark.parametrize("name", NAMES)
def test_it_is_listed_as_written_also_when_sent_twice(name: str, namespace: Run, send: Send, tmp_path: Path) -> None:
    """It is sent again whenever somebody deleted a part: rules must not stand there twice."""
    image = image_of(tmp_path, name)
    for _ in range(2):
        errors = send(*image["frame"], batch=True)
        assert not any(errors), errors
    listed = namespace("nft list table inet nfa")
    if "v1.0.6 " in namespace("nft --version"):
        assert listed == (FRAMES / f"{name}.nft").read_text()
    for chain in image["chains"]:
        assert f"chain {chain} {{" in listed


@pytest.mark.parametrize("name", NAMES)
def test_it_goes_whole_and_takes_nothing_of_others_along(name: str, namespace: Run, send: Send, tmp_path: Path) -> None:
    """A person's rules in the same table are none of ours."""
    namespace(f"nft -f - <<'END'\n{THEIRS}END")
    image = image_of(tmp_path, name)
    assert not any(send(*image["frame"], batch=True))
    for part in ("set mine.v4 {", "ip daddr @mine.v4 drop"):
        assert part in namespace("nft list table inet nfa")
    assert not any(send(*image["destroy"] + image["destroy_effects"], batch=True))
    assert namespace("nft list table inet nfa") == THEIRS


@pytest.mark.parametrize("name", NAMES)
def test_chains_of_targets_can_be_reached_from_maps(name: str, namespace: Run, send: Send, tmp_path: Path) -> None:
    """An element that leads to a chain of ours is what all this is for; it holds the chain while it is there."""
    image = image_of(tmp_path, name)
    assert not any(send(*image["frame"], batch=True))
    effects = image["effects"].values()
    jumps = "; ".join(f"add rule inet nfa c1 jump {chain}" for effect in effects for chain in effect["chains"])
    commands = f"add chain inet nfa c1; {jumps}; add element inet nfa combinations {{ 1 : jump c1 }}; "
    for scope, stem, key in (
        ("connection", "connections", "192.0.2.1 . 1 . tcp . 192.0.2.2 . 2"),
        ("connection", "plain_connections", "192.0.2.1 . icmp . 192.0.2.2"),
        ("server", "servers", "192.0.2.1 . tcp . 192.0.2.2 . 2"),
        ("device", "devices_up", "192.0.2.1"),
        ("device", "devices_down", "192.0.2.1"),
    ):
        for hook in {effect["hook"] for effect in effects if effect["scope"] == scope}:
            where = f"{'router_' if hook == 'router' else ''}{stem}.v4"
            commands += f"add element inet nfa {where} {{ {key} : 1 }}; "
    namespace(f"nft '{commands}'")
    assert not any(send(*image["frame"], batch=True)), "it cannot be healed while it is used"
