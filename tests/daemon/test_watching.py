"""The files that a policy was made from are watched: a change is noticed once it has settled, whichever file it is."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import samples
from house import CONFIG, House
from waiting import eventually

from nfa.cli import main
from nfa.compiler.base.report import Reports
from nfa.compiler.compile import names_of_agent
from nfa.daemon.base.dispatcher import Dispatcher
from nfa.daemon.base.messages import Log
from nfa.daemon.watching import Watched
from nfa.image import cpython as image

pytestmark = pytest.mark.usefixtures("warm_children")


class Watch:
    """A watcher without a clock: `look` is one look."""

    def __init__(self, *files: Path) -> None:
        self.told: list[str] = []
        self.watched = Watched(Dispatcher(Log()), self.told.append)
        self.files = [str(file) for file in files]
        self.read()

    def read(self) -> None:
        self.watched.use([(file, image.stamp(file)) for file in self.files])

    def looks(self, count: int = 2) -> list[str]:
        """What is told in so many looks."""
        self.told.clear()
        for _ in range(count):
            self.watched.look()
        return list(self.told)


def write(file: Path, text: str) -> None:
    """Another content of the same length, at another time of the clock that files have."""
    file.write_text(text)
    os.utime(file, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns + 10**9))


def test_a_change_is_told_once_it_has_settled(tmp_path: Path) -> None:
    """A file would be read while an editor writes it, or an update of signatures only in part."""
    one, other, missing, folder = (tmp_path / name for name in ("one", "other", "missing", "folder"))
    one.write_text("1")
    other.write_text("1")
    folder.mkdir()
    watch = Watch(one, other, missing, folder)
    assert watch.looks(5) == []
    changes: list[Callable[[], object]] = [
        lambda: write(one, "2"),
        lambda: missing.write_text("x"),
        lambda: missing.unlink(),
        lambda: (folder / "new").write_text("x"),
        lambda: shutil.copy2(one, tmp_path / "temporary") and os.replace(tmp_path / "temporary", one),
        lambda: other.chmod(0o600),
    ]
    for change in changes:
        change()
        assert watch.looks(1) == [], "it may go on"
        assert len(watch.looks(1)) == 1
        watch.read()
        assert watch.looks(3) == []


def test_a_change_of_many_files_is_one(tmp_path: Path) -> None:
    """Each file of an update of signatures would cause a reload of its own, with half of the update in it."""
    files = [tmp_path / str(number) for number in range(5)]
    for file in files:
        file.write_text("1")
    watch = Watch(*files)
    for file in files:
        write(file, "2")
        assert watch.looks(1) == []
    assert watch.looks(1) == [str(files[0])]


def test_nothing_is_watched_while_the_compiler_reads(tmp_path: Path) -> None:
    """A change before it reads would cause a second reload of the same."""
    file = tmp_path / "file"
    watch = Watch(file)
    watch.watched.forget()
    file.write_text("x")
    assert watch.looks(3) == []


def test_the_status_has_the_files_with_their_times(tmp_path: Path) -> None:
    """Whoever wonders whether the daemon has read the new file could not find out."""
    file = tmp_path / "file"
    file.write_text("x")
    os.utime(file, (1, 1234567890))
    watch = Watch(file, tmp_path / "missing")
    assert watch.watched.files == [
        {"file": str(file), "time": 1234567890}, {"file": str(tmp_path / "missing"), "time": None},
    ]  # fmt: skip


# -- with a compiler ----------------------------------------------------------------------------------------------------


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path)
    made.daemon.loader._started = True
    return made


def settle(house: House) -> None:
    """Two looks at the files; where they lead to a reload, until it is done."""
    loader = house.daemon.loader
    for _ in range(2):
        loader._watched.look()
    if loader.wanted:
        before = loader.info["generation"]
        loader.begin()

        def done() -> bool:
            house.daemon.dispatcher.turn()
            return bool(loader.info["generation"] > before or loader.info["failed_at"])

        eventually(done)


CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
GAMES: dict[str, Any] = {
    "version": 1,
    "actions": {"games": {"criteria": ["category == 'games';"], "targets": ["log.x"]}},
    "targets": {"log.x": {"target_type": "log", "path": "/tmp"}},
}


def categories(games: int, business: int) -> str:
    tags = {"games": games, "business": business}
    index = [[games, [10001]], [business, [10002]]]
    return json.dumps(
        {"application_tag_index": tags, "application_index": index, "protocol_tag_index": {}, "protocol_index": []}
    )


def test_new_categories_are_taken_over_by_themselves(house: House, tmp_path: Path) -> None:
    """After a nightly update of signatures, the rule for games blocked business, and nobody said so."""
    names = tmp_path / "netify-categories.json"
    names.write_text(categories(12, 99))
    house.file.write_text(json.dumps(GAMES))
    assert house.result("reload")["loaded"]

    def matched(category: int) -> bool:
        before = house.daemon.engine.matched
        house.feed(samples.flow("HTTP/S", "netify.youtube", category={"application": category}, digest=f"{before:040x}"))
        return house.daemon.engine.matched > before

    assert (matched(12), matched(99)) == (True, False)
    write(names, categories(99, 12))
    settle(house)
    assert (matched(12), matched(99)) == (False, True)


def test_every_file_that_went_into_the_policy_is_watched(house: House, tmp_path: Path) -> None:
    """A list, a group, a label's name or a certificate would be another one, and the old one stay in use."""
    lists, groups, labels, ca = (tmp_path / name for name in ("lists", "address-groups.d", "connlabel.conf", "ca.pem"))
    lists.mkdir()
    groups.mkdir()
    (lists / "10.list").write_text("port == 1;\n")
    (groups / "10-kids.conf").write_text("10.0.0.1\n")
    labels.write_text("3 games\n")
    ca.write_text(CERTIFICATE)
    (tmp_path / "netify-sink-http.json").write_text(json.dumps({"url": "https://h/", "ca_file": str(ca)}))
    config: dict[str, Any] = {
        "version": 1,
        "actions": {
            "a": {"criteria": [str(lists), "ip == @kids;"], "exemptions": [str(tmp_path / "one.list")], "targets": ["l", "s"]},
            "b": {"criteria": ["*"], "time_of_day": {"time_start": "1:00"}, "targets": ["l"]},
        },
        "targets": {
            "l": {"target_type": "ctlabel", "labels": ["games"]},
            "s": {"target_type": "sink", "sink": "sink-http", "channel": "c"},
        },
        "target_globals": {"ctlabel": {"connlabel_conf": str(labels)}},
        "timezone": "Europe/Berlin",
    }
    (tmp_path / "one.list").write_text("port == 2;\n")
    house.file.write_text(json.dumps(config))
    answer = house.result("reload")
    assert answer["errors"] == 0, answer["reports"]
    watched = {row["file"]: row["time"] for row in house.result("status")["policy"]["watched"]}
    there = [
        house.file, lists, lists / "10.list", groups, groups / "10-kids.conf", tmp_path / "one.list", labels, ca,
        tmp_path / "netify-sink-http.json",
    ]  # fmt: skip
    for file in there:
        assert watched.get(str(file)) == int(file.stat().st_mtime), file
    missing = ["netify-apps.conf", "netify-categories.json", "address-groups.json", "plugins.d"]
    for name in missing:
        assert watched[str(tmp_path / name)] is None, name
    assert any(name.endswith("zoneinfo/Europe/Berlin") for name in watched)
    for change in (lists / "20.list", groups / "20-more.conf", tmp_path / "address-groups.json", ca):
        before = house.daemon.loader.info["generation"]
        write(
            change,
            {"20.list": "port == 3;", "address-groups.json": '{"address_groups": []}', "ca.pem": CERTIFICATE * 2}.get(
                change.name, ""
            ),
        )
        settle(house)
        assert house.daemon.loader.info["generation"] == before + 1, change


def test_the_daemon_watches_no_more_files_than_it_has_time_for(house: House, tmp_path: Path) -> None:
    """A folder of a thousand lists would cost a slow router a noticeable part of its time, for nothing."""
    lists = tmp_path / "lists"
    lists.mkdir()
    for number in range(300):
        (lists / f"{number}.list").write_text("port == 1;\n")
    house.file.write_text(json.dumps(GAMES | {"actions": {"a": {"criteria": str(lists), "targets": ["log.x"]}}}))
    answer = house.result("reload")
    assert [report["code"] for report in answer["reports"]] == ["not-watched"]
    watched = [row["file"] for row in house.result("status")["policy"]["watched"]]
    assert len(watched) == 256 and str(lists) in watched


# -- what reload says ---------------------------------------------------------------------------------------------------


def test_a_reload_says_what_an_automatic_one_has_said_already(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    """Two seconds after the file was saved, `nfa reload` said "0 warnings": nobody saw those of the automatic reload."""
    house.file.write_text(json.dumps(GAMES))
    house.result("reload")
    house.feed(samples.flow("HTTP/S", "netify.youtube"))
    video = CONFIG["actions"]["video"] | {"time_of_day": {"time_start": "1:00", "time_end": "2:00"}}
    write(house.file, json.dumps(CONFIG | {"actions": {"video": video, "odd": video | {"criteria": "category == 'gmaes';"}}}))
    settle(house)
    assert house.daemon.loader.info["generation"] == 3
    told = [report["code"] for report in house.daemon.loader.info["reports"]]
    assert "flows-not-remembered" in told and "unknown-category" in told
    for _ in range(2):
        answer = house.result("reload")
        assert [report["code"] for report in answer["reports"]] == told
        assert answer["warnings"] == len(told)
    house.file.write_text(json.dumps(GAMES))
    assert "flows-not-remembered" not in [report["code"] for report in house.result("reload")["reports"]]


def test_errors_come_first_where_there_is_not_room_for_all(house: House) -> None:
    """The error that explains fifty held back rules would be the one that is not shown."""
    actions: dict[str, Any] = {f"a{n}": {"criteria": ["category == 'x';"], "targets": ["log.video"]} for n in range(60)}
    actions["z"] = {"criteria": ["x"], "targets": ["log.video"]}
    house.file.write_text(json.dumps(CONFIG | {"actions": actions}))
    answer = house.result("reload")
    assert (len(answer["reports"]), answer["errors"], answer["reports"][0]["severity"]) == (50, 1, "error")


def test_status_and_questions_know_of_last_good_versions(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    """`nfa explain` and the pages would say that a rule is off which blocks the tablet."""
    broken = CONFIG["actions"]["video"] | {"criteria": "ap == 'x';"}
    house.file.write_text(json.dumps(CONFIG | {"actions": CONFIG["actions"] | {"video": broken}}))
    answer = house.result("reload")
    assert (answer["loaded"], answer["errors"]) == (True, 1)
    status = house.result("status")
    assert status["policy"]["last_good"] == [{"kind": "action", "name": "video"}]
    assert (status["actions"]["video"]["active"], status["actions"]["video"]["last_good"]) == (True, True)
    assert (status["actions"]["games"]["last_good"], status["targets"]["nft.video"]["last_good"]) == (False, False)
    found = house.result("explain", flow=samples.flow("HTTP/S", "netify.youtube"))
    assert found["actions"] == ["video"]
    (report,) = house.result("check")["reports"]
    assert report["consequence"] == "its last good version stays in use"
    # The command knows nothing of what a daemon keeps, and says so.
    assert main(["check", "-c", str(house.file), "--no-uci", "--state-dir", str(house.file.parent)]) == 1
    printed = capsys.readouterr().out
    assert "The action is left out" in printed and "a running daemon keeps" in printed


def test_a_daemon_that_could_not_activate_a_policy_keeps_what_was_good(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """One fault, and the next slip would end a rule for good."""
    assert house.result("reload")["loaded"]
    good = house.daemon.loader._last_good
    assert good
    house.file.write_text("{")
    assert not house.result("reload")["loaded"]
    assert house.daemon.loader._last_good == good


def test_all_names_of_the_agent_are_looked_for_where_they_may_be(tmp_path: Path) -> None:
    """A list that an update brings would be passed over until the next reload."""
    from nfa.compiler.base.paths import Paths

    paths = Paths(str(tmp_path), str(tmp_path))
    assert names_of_agent(paths) and Reports()
    assert {str(tmp_path / name) for name in ("netify-apps.conf", "netify-categories.json")} <= paths.looked_at.keys()
