"""When something is wrong: the last good version of each section, what stays shielded, and names that nobody knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import samples
from policies import Desk, config_of, json_only

from nfa.compiler.assemble import image_of
from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Reports
from nfa.compiler.compile import Compiled, compile_policy
from nfa.compiler.config.lastgood import LastGood
from nfa.compiler.config.sources import Sources
from nfa.compiler.explain import explain

OFFICE = "192.168.1.20"
WEB = samples.flow("HTTP/S", "netify.youtube", local_ip=OFFICE)
TIKTOK = samples.flow("HTTP/S", "netify.tiktok", local_ip="192.168.1.99")
ELSEWHERE = samples.flow("HTTP/S", "netify.youtube", local_ip="192.168.1.99")
ALLOW: dict[str, Any] = {"priority": 1, "criteria": [f"local_ip == {OFFICE};"], "halt_on_match": True}
BLOCK: dict[str, Any] = {"criteria": ["app == 'youtube';"], "targets": ["log.y"]}
STAYS = "its last good version stays in use"


class Life:
    """A daemon's life without the daemon: compilations, each of which is given what the one before left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.last_good = b""
        self.made: Compiled
        self.reports = Reports()

    def reload(self, config: object = None, sources: Sources | None = None) -> Life:
        file = self.folder / "policy.json"
        if config is not None:
            file.write_text(json.dumps(config))
        paths = Paths(str(self.folder), str(self.folder))
        made, self.reports = compile_policy(sources or json_only(file), paths, look=False, last_good=self.last_good)
        assert made is not None, self.told()
        self.made = made
        data = image_of(made)
        assert isinstance(data["last_good"], bytes)
        self.last_good = data["last_good"]
        self.kept = [(row["kind"], row["name"]) for row in data["kept"]]  # type: ignore[attr-defined]
        return self

    def restart(self) -> Life:
        self.last_good = b""
        return self

    def actions(self, record: Any) -> list[str] | None:
        return Desk(self.made).actions(record)

    def codes(self) -> dict[str, str]:
        return {item.action.name: item.code for item in self.made.actions}

    def told(self) -> list[str]:
        return [report.text() for report in self.reports.items]

    def consequences(self) -> set[str]:
        return {report.consequence for report in self.reports.errors}


@pytest.fixture
def life(tmp_path: Path) -> Life:
    return Life(tmp_path)


# -- a running action with an error -------------------------------------------------------------------------------------

BROKEN_PARTS: dict[str, dict[str, Any]] = {
    "criteria": {"criteria": ["ap == 'youtube';"]},
    "second entry": {"criteria": ["app == 'youtube';", "port == x;"]},
    "no criteria": {"criteria": []},
    "file of criteria": {"criteria": ["app == 'youtube';", "/nonexistent"]},
    "group": {"criteria": ["app == 'youtube' && local_ip != @nobody;"]},
    "exemption": {"exemptions": ["10.0.0.300"]},
    "exemption's group": {"exemptions": ["@nobody"]},
    "list of exemptions": {"exemptions": ["nobody"]},
    "misspelt exemptions": {"exemption's": ["10.0.0.1"]},
    "misspelt enabled": {"enable": False},
    "misspelt interface": {"interfce": "wan"},
    "misspelt hours": {"time_of_dya": {"time_start": "21:00"}},
    "misspelt halt_on_match": {"halt_on_mach": True},
    "enabled": {"enabled": "perhaps"},
    "priority": {"priority": "first"},
    "halt_on_match": {"halt_on_match": "perhaps"},
    "interface": {"interface": "a-name-that-is-too-long"},
    "hours": {"time_of_day": {"time_start": "25:00"}},
    "hours' name": {"time_of_day": "bedtime"},
    "targets": {"targets": []},
    "target": {"targets": ["nowhere"]},
    "one of the targets": {"targets": ["log.x", "nowhere"]},
}


@pytest.mark.parametrize("part", BROKEN_PARTS)
def test_a_running_action_with_an_error_keeps_its_last_good_version(life: Life, part: str) -> None:
    """A slip in the criteria of a block, then `nfa reload`: the block was gone, with exit code 0."""
    life.reload(config_of({"block": BLOCK, "other": ["app == 'tiktok';"]}))
    life.reload(config_of({"block": BLOCK | BROKEN_PARTS[part], "other": ["app == 'youtube';"]}))
    assert life.actions(WEB) == ["block", "other"]
    assert Desk(life.made).engine.policy.actions[0][3] == ("log.y",)  # type: ignore[union-attr]
    assert life.kept == [("action", "block")]
    assert STAYS in life.consequences() and "the action is left out" not in life.consequences(), life.told()
    life.reload()
    assert life.actions(WEB) == ["block", "other"] and life.kept, "a second reload forgets nothing"
    life.reload(config_of({"block": BLOCK | {"criteria": ["app == 'tiktok';"]}}))
    assert (life.actions(TIKTOK), life.kept, life.reports.errors) == (["block"], [], [])


@pytest.mark.parametrize("part", BROKEN_PARTS)
def test_off_is_off_and_gone_is_gone_also_while_something_is_wrong(life: Life, part: str) -> None:
    """A rule that was switched off would go on because of a slip in it, or in another."""
    broken = BLOCK | BROKEN_PARTS[part]
    if part != "enabled":
        life.reload(config_of({"block": BLOCK}))
        life.reload(config_of({"block": broken | {"enabled": False}}))
        assert (life.actions(WEB), life.codes(), life.kept) == ([], {"block": "action-disabled"}, [])
        life.reload(config_of({"block": broken | {"enabled": True}}))
        assert life.kept == [], "what was off has no last good version"
    life.restart().reload(config_of({"block": BLOCK, "other": BLOCK}))
    life.reload(config_of({"other": broken}))
    assert (life.actions(WEB), life.kept) == (["other"], [("action", "other")])


def test_a_last_good_action_has_the_files_groups_and_hours_of_then(life: Life) -> None:
    """A slip in a list, a group that is gone, or hours that are wrong would change what an action does that nobody changed."""
    lists, groups = life.folder / "lists", life.folder / "address-groups.d"
    lists.mkdir()
    groups.mkdir()
    (lists / "10.list").write_text("app == 'youtube' && local_ip == @kids;\n")
    (groups / "10-kids.conf").write_text(f"{OFFICE}\n")
    night = {"day": ["mon"], "time_start": "21:00", "time_end": "6:30"}
    config = config_of({"a": {"criteria": [str(lists)], "time_of_day": night}})
    life.reload(config)
    hours = life.made.schedules.words("a")
    (lists / "20.list").write_text("app = 'tiktok';\n")
    (groups / "10-kids.conf").unlink()
    config["actions"]["a"]["time_of_day"] = "bedtime"
    life.reload(config)
    assert life.kept == [("action", "a")]
    assert life.made.schedules.words("a") == hours
    verdict = explain(life.made, WEB, (0, 22 * 3600))
    assert verdict.matched == ["a"]
    assert explain(life.made, TIKTOK, (0, 22 * 3600)).matched == []


def test_a_last_good_action_keeps_its_place_and_loses_targets_that_are_gone(life: Life) -> None:
    """A rule would move behind the one that it stood before, or fill a set that was deleted."""
    life.reload(config_of({"first": BLOCK | {"priority": 1, "targets": ["log.x", "log.y"]}, "second": BLOCK}))
    config = config_of({"first": BLOCK | {"priority": 1000, "criteria": ["x"]}, "second": BLOCK})
    del config["targets"]["log.x"]
    life.reload(config)
    assert life.actions(WEB) == ["first", "second"]
    assert life.made.actions[0].action.targets == ["log.y"]


# -- targets and settings -----------------------------------------------------------------------------------------------

SET = {"target_type": "nftset", "set_name": "video", "ttl": 60}


def of_target(target: dict[str, Any], **more: Any) -> dict[str, Any]:
    config = config_of({"a": {"criteria": ["*"], "targets": ["t", "log.x"]}}, **more)
    config["targets"]["t"] = target
    return config


@pytest.mark.parametrize(
    "wrong", [{"ttl": "ten"}, {"target_type": "nftsett"}, {"target_type": None}, {"type": ["nothing"]}, {"interface": "a/b"}]
)
def test_a_target_with_an_error_keeps_its_last_good_version(life: Life, wrong: dict[str, Any]) -> None:
    """The set of a running block would be emptied and forgotten for a slip in its timeout."""
    life.reload(of_target(SET))
    life.reload(of_target(SET | wrong))
    assert life.made.policy.targets["t"].options["ttl"] == 60
    assert life.kept == [("target", "t")] and life.consequences() == {STAYS}
    assert life.made.actions[0].action.targets == ["t", "log.x"]
    life.reload(of_target(SET | wrong | {"target_enabled": False}))
    assert not life.made.policy.targets["t"].enabled and not life.kept
    life.restart().reload(of_target(SET | wrong))
    assert "t" not in life.made.policy.targets and life.actions(WEB) == ["a"], "the other targets go on"


def test_settings_with_an_error_keep_their_last_good_values(life: Life) -> None:
    """A slip in the time zone, or in the defaults of all sets, would move all hours, or fill another table."""
    good = {"timezone": "CET-1CEST,M3.5.0,M10.5.0/3", "target_defaults": {"nftset": {"table_name": "mine"}}}
    bad = {"timezone": "Nowhere/Land", "target_defaults": {"nftset": {"table_name": "a b"}}}
    life.reload(of_target(SET, **good))
    for wrong in (bad, {"timezone": 1, "target_defaults": 1}, {"timezone": [], "target_defaults": {"nftset": 1}}):
        life.reload(of_target(SET, **wrong))
        assert life.made.policy.timezone == good["timezone"]
        assert life.made.policy.targets["t"].options["table_name"] == "mine"
        assert ("configuration", "timezone") in life.kept and ("target_defaults of nftset", "table_name") in life.kept
    life.restart().reload(of_target(SET, **bad))
    assert life.made.policy.targets["t"].options["table_name"] != "mine"


def test_a_label_whose_name_is_gone_keeps_its_bit(life: Life) -> None:
    """Connections would lose their label, and with it their queue, because a file was written again."""
    names = life.folder / "connlabel.conf"
    names.write_text("3 games\n")
    config = config_of({"a": {"criteria": ["*"], "targets": ["t"]}})
    config["targets"]["t"] = {"target_type": "ctlabel", "labels": ["games"]}
    config["target_globals"] = {"ctlabel": {"connlabel_conf": str(names)}}
    life.reload(config)
    for _ in range(2):
        names.write_text("4 game\n")
        life.reload(config)
        assert [slot["labels"] for slot in life.made.slots] == [1 << 3] and life.kept == [("target", "t")]
    names.write_text("4 games\n")
    life.reload(config)
    assert [slot["labels"] for slot in life.made.slots] == [1 << 4] and not life.kept and not life.reports.errors


def test_the_members_of_then_go_with_global_exemptions_whose_group_is_gone(life: Life) -> None:
    """A group that was deleted by mistake: the office was no longer exempt."""
    folder = life.folder / "address-groups.d"
    folder.mkdir()
    (folder / "10-office.conf").write_text(f"{OFFICE}\n")
    config = config_of({"block": BLOCK}, exemptions=["@office"])
    life.reload(config)
    (folder / "10-office.conf").unlink()
    for _ in range(2):
        life.reload(config)
        assert (life.actions(WEB), life.actions(ELSEWHERE), life.kept) == (None, ["block"], [("exemption", "global")])


def test_what_is_no_object_at_all_loses_nothing(life: Life) -> None:
    """`"actions": []` by a generator that had nothing to say would end every rule."""
    life.reload(config_of({"block": BLOCK}, exemptions=["10.9.9.9"]))
    life.reload(config_of({}) | {"actions": [], "targets": 5})
    assert life.actions(WEB) == ["block"] and set(life.kept) >= {("action", "block"), ("target", "log.y")}
    life.restart().reload(config_of({}) | {"actions": []})
    assert life.actions(WEB) == []


@pytest.mark.parametrize("wrong", ["listen 'tcp://nowhere'", "listen '::'", "mode 'x'"])
def test_a_target_whose_sink_has_an_error_keeps_its_channel(life: Life, wrong: str) -> None:
    """Whoever reads the events would lose them for a slip in the sink that nobody has noticed yet."""
    uci = life.folder / "netify-proc-flow-actions"
    head = (
        "config action a\n\toption criteria '*'\n\tlist targets t\n"
        "config target t\n\toption target_type sink\n\toption sink s\n"
        "config sink s\n\toption type socket\n"
    )
    sources = Sources(str(life.folder), True)
    uci.write_text(head + "\toption listen 'unix:///tmp/nfa-test.sock'\n")
    life.reload(sources=sources)
    channel = life.made.policy.targets["t"].channel
    assert channel is not None
    uci.write_text(head + f"\toption {wrong}\n")
    life.reload(sources=sources)
    kept = life.made.policy.targets["t"].channel
    assert kept is not None and kept.options["listen"] == channel.options["listen"]
    assert life.kept == [("target", "t")] and life.consequences() == {STAYS}, life.told()
    uci.write_text(head + f"\toption {wrong}\n\toption enable 0\n")
    life.reload(sources=sources)
    assert life.made.policy.targets["t"].channel is None and not life.kept, "off is off"
    uci.write_text(head.partition("config sink")[0])
    life.reload(sources=sources)
    assert life.made.policy.targets["t"].channel is None and not life.kept, "gone is gone"


# -- what stays shielded ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"criteria": ["(local_ip == 192.168.1.20 || local_ip == 192.168.1.30=192.168.1.40);"]},
        {"criteria": ["local_ip == @nobody;"]},
        {"criteria": ["/nonexistent"]},
        {"criteria": ["local_ip == 192.168.1.20;", "/nonexistent"]},
        {"exemptions": ["nonsense"]},
        {"targets": []},
        {"targets": ["nowhere"]},
        {"halt_on_match": "perhaps"},
        {"priority": "first"},
        {"enabled": "perhaps"},
        {"interface": "a/b"},
        {"time_of_day": "office-hours"},
        {"halt_on_match": None, "halt-on-match": True},
    ],
)
def test_what_a_broken_halting_action_shields_stays_shielded(life: Life, wrong: dict[str, Any]) -> None:
    """A range that could not be read above a block of YouTube: the office was blocked."""
    actions = {"allow_office": ALLOW | wrong, "before": BLOCK | {"priority": 0}, "block": BLOCK}
    life.reload(config_of(actions))
    first = [] if "priority" in wrong else ["before"]
    assert life.actions(WEB) == life.actions(ELSEWHERE) == first
    assert life.codes()["allow_office"] == "action-broken" and life.codes()["block"] == "action-held-back"
    held = next(item for item in life.made.actions if item.action.name == "block")
    assert held.reason == "held back by 'allow_office', which has an error"
    assert any(report.code == "action-held-back" and "'block'" in report.message for report in life.reports.warnings)
    (step,) = [step for step in explain(life.made, WEB).steps if step.action == "block"]
    assert (step.outcome, step.why) == ("off", (held.reason,))
    life.reload(config_of(actions | {"allow_office": ALLOW}))
    assert (life.actions(WEB), life.actions(ELSEWHERE)) == (["before", "allow_office"], ["before", "block"])
    life.reload(config_of(actions))
    assert (life.actions(WEB), life.actions(ELSEWHERE)) == (["before", "allow_office"], ["before", "block"]), (
        "its last good version"
    )


def test_a_broken_action_that_does_not_halt_or_is_off_shields_nothing(life: Life) -> None:
    """One slip would switch the whole policy off."""
    wrong = {"criteria": ["x"]}
    life.reload(config_of({"a": ALLOW | wrong | {"halt_on_match": False}, "b": ALLOW | wrong | {"enabled": False}, "c": BLOCK}))
    assert life.actions(WEB) == ["c"]


@pytest.mark.parametrize("target", [{"target_type": "nftset"}, SET | {"target_enabled": False}, {"target_type": "pftable"}])
def test_an_action_without_a_usable_target_still_halts(life: Life, target: dict[str, Any]) -> None:
    """The log of an allow rule could not be used, and the office was blocked."""
    config = config_of({"allow": ALLOW | {"targets": ["t"]}, "block": BLOCK})
    config["targets"]["t"] = target
    life.reload(config)
    assert (life.actions(WEB), life.actions(ELSEWHERE)) == (["allow"], ["block"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"exemptions": ["192.168.1.300"]},
        {"exemptions": ["@nobody", "10.0.0.1"]},
        {"exemptions": ["ap == 'x';"]},
        {"exemptions": ["/nonexistent"]},
        {"exemptions": [OFFICE, 5]},
        {"exemptions": [""]},
        {"exemptoins": [OFFICE]},
        {"exemptions": {"a": 1}},
    ],
)
def test_no_action_acts_while_the_global_exemptions_have_an_error(life: Life, wrong: dict[str, Any]) -> None:
    """A slip in the address of the office, and the office was blocked."""
    life.reload(config_of({"block": BLOCK}, **wrong))
    assert not life.actions(WEB) and not life.actions(ELSEWHERE)
    assert life.codes() == {"block": "exemptions-broken"}
    assert life.reports.errors and any(report.code == "exemptions-broken" for report in life.reports.warnings)
    life.reload(config_of({"block": BLOCK}, exemptions=[OFFICE]))
    assert (life.actions(WEB), life.actions(ELSEWHERE)) == (None, ["block"])
    more = {name: [*value, "10.0.0.77"] if isinstance(value, list) else value for name, value in wrong.items()}
    life.reload(config_of({"block": BLOCK}, **more))
    assert (life.actions(WEB), life.actions(ELSEWHERE)) == (None, ["block"]), "the last good version"
    assert life.kept == [("exemption", "global")]
    if "exemptions" in more and isinstance(more["exemptions"], list):
        assert life.actions(samples.flow("HTTP/S", "netify.youtube", local_ip="10.0.0.77")) is None, "and what can be read"


@pytest.mark.parametrize(
    ("section", "codes"),
    [
        ("config exemption\n\tlist exemption 192.168.1.20\n", {"a": "exemptions-broken"}),
        ("config exemption global\n\tlist exempt 192.168.1.20\n", {"a": "exemptions-broken"}),
        ("config exemtion global\n\tlist exemption 192.168.1.20\n", {"a": "exemptions-broken"}),
        ("config exemption office\n\tlist exempt 192.168.1.20\n", {"a": "action-broken"}),
        ("config exemption office\n\tlist exemption 192.168.1.300\n", {"a": "action-broken"}),
    ],
)
def test_slips_in_uci_exemptions_keep_actions_from_acting(life: Life, section: str, codes: dict[str, str]) -> None:
    """An option that is misspelt would expose the office, with a warning at best."""
    uci = life.folder / "netify-proc-flow-actions"
    uses = "\tlist exemptions office\n" if " office" in section else ""
    rest = f"config action a\n\toption criteria '*'\n\tlist targets t\n{uses}config target t\n\toption target_type log\n"
    uci.write_text(rest + section)
    life.reload(sources=Sources(str(life.folder), True))
    assert life.codes() == codes and life.reports.errors, life.told()


def test_a_file_that_cannot_be_used_may_hold_exemptions(life: Life) -> None:
    """After a boot with a broken file, half a policy came into use, perhaps the half without the exemptions."""
    first, second = life.folder / "first.json", life.folder / "second.json"
    first.write_text(json.dumps(config_of({"block": BLOCK})))
    second.write_text("{")
    sources = json_only(first, second)
    paths = Paths(str(life.folder), str(life.folder))
    assert compile_policy(sources, paths, look=False)[0] is None, "a running policy stays active"
    life.reload(sources=Sources(files=sources.files, salvage=True))
    assert life.codes() == {"block": "configuration-incomplete"} and life.actions(ELSEWHERE) == []


# -- groups -------------------------------------------------------------------------------------------------------------


def test_a_group_with_an_error_keeps_its_last_good_version(life: Life) -> None:
    """A slip in one line of a group: the address in it was no longer exempt."""
    folder = life.folder / "address-groups.d"
    folder.mkdir()
    group = folder / "10-office.conf"
    group.write_text(f"{OFFICE}\n10.0.0.1\n")
    config = config_of({"block": BLOCK}, exemptions=["@office"])
    life.reload(config)
    group.write_text("192.168.1.20.5\n10.0.0.1\n")
    life.reload(config)
    assert (life.actions(WEB), life.actions(ELSEWHERE), life.kept) == (None, ["block"], [("group", "office")])
    assert life.consequences() == {STAYS}
    life.restart().reload(config)
    assert life.codes() == {"block": "exemptions-broken"}, "without it, what it spares stays spared"


@pytest.mark.parametrize(
    ("action", "matched", "code"),
    [
        ({"criteria": ["local_ip == @some;"]}, (False, True), ""),
        ({"criteria": ["local_ip != @some;"]}, (False, False), ""),
        ({"criteria": ["!(local_ip == @some);"]}, (False, False), ""),
        ({"criteria": ["local_ip == @some;"], "halt_on_match": True}, (False, False), "action-broken"),
        ({"criteria": ["*"], "exemptions": ["@some"]}, (False, False), "action-broken"),
        ({"criteria": ["*"], "exemptions": ["local_ip == @some;"]}, (False, False), "action-broken"),
    ],
)
def test_a_group_that_lacks_entries_never_makes_more_match(
    life: Life, action: dict[str, Any], matched: tuple[bool, bool], code: str
) -> None:
    """The line that cannot be read may be the very device that a rule leaves alone."""
    folder = life.folder / "address-groups.d"
    folder.mkdir()
    (folder / "10-some.conf").write_text("192.168.1.20.5\n192.168.1.99\n")
    life.reload(config_of({"a": action}))
    assert (life.actions(WEB) == ["a"], life.actions(ELSEWHERE) == ["a"], life.codes()["a"]) == (*matched, code)


# -- unknown names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("criteria", "matches"),
    [
        ("(app == 'netify.tiktok' || app_category == 'ai-tools');", True),
        ("app == 'netify.tiktok' && app_category == 'ai-tools';", False),
        ("app == 'netify.tiktok' && app_category != 'ai-tools';", False),
        ("app == 'netify.tiktok' && !(app_category == 'ai-tools');", False),
        ("!(app == 'netify.youtube' || category == 'ai-tools');", False),
        ("!(app == 'netify.youtube' && category == 'ai-tools');", True),
        ("!(app == 'netify.tiktok' && category == 'ai-tools');", False),
        ("!(!(category == 'ai-tools'));", False),
        ("!(category != 'ai-tools');", False),
        ("!ac:ai-tools", False),
        ("ac:ai-tools", False),
        ("ai:netify.tiktok\n!pc:ai-tools", True),
        ("app != 'nosuchthing';", False),
        ("!(app == 'nosuchthing');", False),
        ("app == 'nosuchthing' || app == 'netify.tiktok';", True),
        ("protocol != 'nosuchthing';", False),
        ("!pi:nosuchthing", False),
        ("risks != 'nosuchthing' || !(risks == 'nosuchthing');", False),
        ("domain_category != 'ai-tools' || port != 1 && overlay_category != 'x';", False),
        ("app != 'unknown';", True),
    ],
)
@pytest.mark.parametrize("where", ["criteria", "exemption", "halting"])
def test_an_unknown_name_is_neither_true_nor_false(life: Life, criteria: str, matches: bool, where: str) -> None:
    """A category that is gone took TikTok's block along; `!=` of it would have blocked everything."""
    action: dict[str, Any] = {"criteria": criteria.split("\n")}
    if where == "exemption":
        action = {"criteria": ["*"], "exemptions": criteria.split("\n")}
    if where == "halting":
        action |= {"halt_on_match": True, "priority": 1}
    life.reload(config_of({"a": action, "last": ["*"]}))
    assert not life.reports.errors and life.codes() == {"a": "", "last": ""}
    walked = explain(life.made, TIKTOK).matched
    expected = {"criteria": ["a", "last"] if matches else ["last"], "halting": ["a"] if matches else ["last"]}
    expected["exemption"] = ["last"] if matches else ["a", "last"]
    assert life.actions(TIKTOK) == walked == expected[where]
    if "'unknown'" in criteria or criteria.startswith("app == 'nosuchthing' ||"):
        return  # the agent may know it, and if not, nothing depends on it
    warnings = [report for report in life.reports.warnings if report.code.startswith("unknown-")]
    words = {"criteria": "meets this condition", "exemption": "no flow is exempt by it", "halting": "kept from later actions"}
    assert warnings and all(words[where] in report.consequence for report in warnings), life.told()


def test_an_unknown_name_is_told_with_the_nearest(life: Life) -> None:
    """The user would have to guess which of a hundred names is the one."""
    life.reload(config_of({"a": ["category == 'gmaes';", "app == 'netify.youtub';"]}))
    hints = {report.code: report.hint for report in life.reports.warnings}
    assert "'games'" in hints["unknown-category"] and "youtube" in hints["unknown-application"]


# -- the bytes ----------------------------------------------------------------------------------------------------------


def test_bytes_of_another_release_or_none_at_all_are_no_last_good_version(life: Life) -> None:
    """After an update of the package, the first reload would fail for what the old release had left."""
    life.reload(config_of({"a": BLOCK}))
    good = life.last_good
    for raw in (b"", b"x", good[:-1], good[:20], good + b"x", bytes(200)):
        assert LastGood.unpack(raw).actions.keys() <= {"a"}
    assert LastGood.unpack(good).pack() == good


def test_a_policy_that_is_too_large_to_be_kept_has_no_last_good_version(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon would hold any number of bytes for the case of an error."""
    monkeypatch.setattr("nfa.compiler.config.lastgood.MAX_SIZE", 10)
    life.reload(config_of({"a": BLOCK}))
    assert life.last_good == b""
    assert any(report.code == "last-good-too-large" for report in life.reports.warnings)
