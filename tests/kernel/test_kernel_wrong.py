"""When something in the configuration is wrong, on a real kernel: nothing is blocked that should not be, and nothing freed."""

from __future__ import annotations

import json
from typing import Any

from kernel_lab import LOOKS_OFTEN, Lab, nftset
from samples import flow
from waiting import eventually

OFFICE, TABLET = "192.168.1.20", "192.168.1.99"
BLOCK: dict[str, Any] = {"criteria": "app == 'youtube';", "targets": ["n"]}
ALLOW: dict[str, Any] = {"priority": 1, "criteria": f"local_ip == {OFFICE};", "targets": ["ok"], "halt_on_match": True}
BROKEN = f"(local_ip == {OFFICE} || local_ip == 192.168.1.30=192.168.1.40);"


def config(**actions: dict[str, Any]) -> dict[str, Any]:
    target = nftset("block", "other_addr", set_family="ipv4", ttl=600)
    return {"version": 1, "actions": actions, "targets": {"n": target, "ok": {"target_type": "log", "path": "/tmp"}}}


def film(number: int, local: str = TABLET, app: str = "netify.youtube", **more: Any) -> dict[str, Any]:
    return flow("QUIC", app, local=local, other=f"203.0.113.{number}", **more)


def blocked(lab: Lab, *numbers: int) -> None:
    wanted = {(f"203.0.113.{number}",) for number in numbers}
    eventually(lambda: lab.namespace.nft_set("nfa block.v4").keys == wanted, what=f"exactly {wanted} are in the set")


def test_a_broken_allow_rule_does_not_block_the_office(lab: Lab) -> None:
    """A range that could not be read stood above a block of YouTube: the office was blocked."""
    daemon = lab.start(config(allow_office=ALLOW | {"criteria": BROKEN}, block=BLOCK))
    status = lab.feed(film(1, OFFICE), film(2))
    blocked(lab)
    assert status["actions"]["block"]["code"] == "action-held-back"
    assert daemon.said("config", "'block' is held back", "'allow_office', which has an error")
    daemon.configure(config(allow_office=ALLOW, block=BLOCK))
    assert daemon.ask("reload")["errors"] == 0
    lab.feed(film(3, OFFICE), film(4))
    held = {3, 1} & {int(key[0].rpartition(".")[2]) for key in lab.namespace.nft_set("nfa block.v4").keys}
    assert not held, "nothing of the office"
    assert ("203.0.113.4",) in lab.namespace.nft_set("nfa block.v4").keys


def test_a_slip_in_a_running_block_does_not_end_it(lab: Lab) -> None:
    """`nfa reload` said "1 error" with exit code 0, and the tablet was free."""
    daemon = lab.start(config(block=BLOCK))
    lab.feed(film(1))
    blocked(lab, 1)
    daemon.configure(config(block=BLOCK | {"criteria": "ap == 'youtube';"}))
    command = lab.nfa("reload", "--control", str(daemon.control))
    for _ in range(2):
        done = lab.namespace.attempt(*command)
        assert done.returncode == 1 and "Its last good version stays in use" in done.stdout
    blocked(lab, 1)
    lab.feed(film(2))
    blocked(lab, 1, 2)
    printed = lab.namespace.run(*lab.nfa("status", "--control", str(daemon.control)))
    assert "action block is in its last good version" in printed and "on, in its last good version" in printed
    daemon.configure(config(block=BLOCK | {"criteria": "ap == 'youtube';", "enabled": False}))
    assert lab.namespace.attempt(*command).returncode == 1
    blocked(lab)


def test_a_category_that_is_gone_leaves_the_rest_of_a_rule_working(lab: Lab) -> None:
    """The whole rule was left out, and TikTok passed."""
    criteria = "(app == 'netify.tiktok' || app_category == 'ai-tools');"
    lab.start(config(block=BLOCK | {"criteria": criteria}, all_but=BLOCK | {"criteria": "app_category != 'ai-tools';"}))
    status = lab.feed(film(1, app="netify.tiktok"), film(2))
    blocked(lab, 1)
    assert (status["policy"]["errors"], status["policy"]["warnings"]) == (0, 2)


def test_new_categories_are_active_without_being_told(lab: Lab) -> None:
    """After a nightly update of signatures, a rule for games blocked business until somebody typed `nfa reload`."""
    names = lab.folder / "netify-categories.json"

    def write(games: int, business: int) -> None:
        tags = {"games": games, "business": business}
        index = [[games, [10001]], [business, [10002]]]
        data = {"application_tag_index": tags, "application_index": index, "protocol_tag_index": {}, "protocol_index": []}
        names.write_text(json.dumps(data))

    write(12, 99)
    daemon = lab.start(config(games=BLOCK | {"criteria": "app_category == 'games';"}), constants=LOOKS_OFTEN)
    write(99, 12)
    daemon.loaded(2)
    assert daemon.said("notice", "netify-categories.json has changed")
    lab.feed(film(1, category={"application": 99}), film(2, category={"application": 12}))
    blocked(lab, 1)
    shown = lab.namespace.run(*lab.nfa("status", "--control", str(daemon.control)))
    assert str(names) in shown, "status lists the files"
