"""The table of methods: what LuCI, scripts and `ubus call nfa` get, and what they are told when they ask wrongly."""

from __future__ import annotations

import json
import resource
import weakref
from pathlib import Path
from typing import Any

import pytest
import samples
from house import CONFIG, House, youtube

from nfa.daemon.bus import methods, status
from nfa.daemon.targets.sets.states import GONE

pytestmark = pytest.mark.usefixtures("warm_children")

INVALID, NO_METHOD, NOT_FOUND = 2, 3, 4


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_every_method_works_without_any_argument_and_with_uhttpds(house: House) -> None:
    """`ubus call nfa elements` without arguments would fail, or every call that comes from LuCI."""
    for name in methods.METHODS:
        bare, _ = house.call(name)
        session, _ = house.call(name, ubus_rpc_session="00000000000000000000000000000000")
        needed = name in ("explain", "flush", "add_budget", "adopt", "notice", "pause", "resume")
        assert (bare, session) == ((INVALID, INVALID) if needed else (0, 0)), name


@pytest.mark.parametrize(
    ("method", "arguments", "words"),
    [
        ("elements", {"limit": "10"}, "'limit' must be a whole number"),
        ("elements", {"limit": True}, "'limit' must be a whole number"),
        ("elements", {"limit": -1}, "must not be negative"),
        ("elements", {"offset": -1}, "must not be negative"),
        ("elements", {"target": 5}, "'target' must be a string"),
        ("elements", {"taget": "x"}, "unknown argument 'taget'; known: target, search, offset, limit"),
        ("status", {"verbose": True}, "unknown argument 'verbose'; known: none"),
        ("explain", {"flow": 5}, "'flow' must be a value"),
        ("explain", {"flow": "ab"}, "at least 4 characters"),
        ("check", {"criteria": "x", "config": {}}, "only one of"),
        ("check", {"criteria": [1]}, "'criteria' must be a string or an array of strings"),
        ("check", {"config": []}, "'config' must be an object"),
        ("flush", {}, "'target' is required"),
    ],
)
def test_wrong_arguments_are_refused_with_words(house: House, method: str, arguments: dict[str, Any], words: str) -> None:
    """A bare `Command failed: Invalid argument` leaves people to guess."""
    code, data = house.call(method, **arguments)
    assert code == INVALID
    assert words in data["error"]


def test_unknown_names_are_told_with_those_there_are(house: House) -> None:
    """A slip in a target's name would look like an empty set."""
    assert house.call("elements", target="nft.vido")[0] == NOT_FOUND
    code, data = house.call("flush", target="nft.vido")
    assert (code, "nft.video" in data["error"]) == (NOT_FOUND, True)
    assert house.call("nonsense")[0] == NO_METHOD
    assert "status" in house.call("nonsense")[1]["error"]


def test_status_counts_what_happened(house: House) -> None:
    """The Overview page of LuCI, and what support asks for first."""
    house.feed(youtube(1), youtube(2), youtube(1))
    found = house.result("status")
    assert found["flows"]["matched"] == 3
    assert found["actions"]["video"]["matches"] == 3
    assert found["actions"]["games"] == {
        "enabled": False, "active": False, "reason": "the action is disabled", "code": "action-disabled",
        "last_good": False, "in_hours": None, "hours": "", "until": "", "paused_until": None, "targets": ["nft.games"],
        "matches": 0, "last_match": None, "traffic": None, "budget": "", "budget_spent": 0,
    }  # fmt: skip
    assert found["targets"]["nft.video"]["elements"] == found["targets"]["nft.video"]["added"] == 2
    assert found["targets"]["log.video"]["added"] == 2, "one entry a flow"
    assert found["source"]["lag"] > 0
    assert found["memory"]["rss_kb"] > 1000
    assert found["policy"]["generation"] == 1


def test_actions_and_targets_are_searched_and_paged(house: House) -> None:
    """Two hundred actions do not fit on a page."""
    assert [row["name"] for row in house.result("actions")["actions"]] == ["video", "games"]
    assert [row["name"] for row in house.result("targets", search="VIDEO")["targets"]] == ["nft.video", "log.video"]
    first = house.result("targets", limit=2)
    assert (len(first["targets"]), first["total"], first["more"]) == (2, 3, True)
    last = house.result("targets", limit=2, offset=2)
    assert (len(last["targets"]), last["more"]) == (1, False)
    assert house.result("targets", offset=99)["targets"] == []


def test_elements_are_shown_as_nft_shows_them(house: House) -> None:
    """The Sets page could not be compared with `nft list set`."""
    house.feed(youtube(1), youtube(300))
    found = house.result("elements", target="nft.video")
    assert [row["element"] for row in found["elements"]] == ["203.0.0.1 . 443", "203.0.1.44 . 443"]
    assert found["elements"][0]["set"] == "video.v4"
    assert 55 <= found["elements"][0]["left"] <= 60
    assert (found["total"], found["more"]) == (2, False)
    assert house.result("elements", target="log.video")["elements"] == []


def test_elements_that_wait_for_their_set_are_not_shown_as_in_it(house: House) -> None:
    """The Sets page would list what the firewall does not have, with the time that is left, beside a count of 0."""
    house.feed(youtube(1), youtube(300))
    (slot,) = [slot for slot in house.daemon.registry.targets["nft.video"].slots if slot.data["set"] == "video.v4"]
    slot.state.happens(GONE, len(slot.live))
    assert house.result("targets", search="nft.video")["targets"][0]["elements"] == 0
    found = house.result("elements", target="nft.video")
    assert (found["elements"], found["total"], found["more"]) == ([], 0, False)


def test_elements_are_searched_in_slices(house: House) -> None:
    """A search in 5,000 elements would hold up the stream."""
    house.feed(*[youtube(number) for number in range(5000)])
    turns = 0
    turn = house.daemon.dispatcher.turn

    def counted(longest: int) -> int:
        nonlocal turns
        turns += 1
        return turn(longest)

    house.daemon.dispatcher.turn = counted  # type: ignore[assignment, method-assign]
    found = house.result("elements", search="203.0.1.4", limit=5, offset=2)
    assert turns >= 5
    assert house.result("elements", limit=2, offset=4999)["elements"][0]["element"] == "203.0.19.135 . 443"
    assert [row["element"] for row in found["elements"]] == [f"203.0.1.{n} . 443" for n in (41, 42, 43, 44, 45)]
    assert (found["found"], found["total"], found["more"]) == (11, 5000, True)


def test_a_page_of_elements_is_the_same_however_it_is_cut(house: House) -> None:
    """Paging would show elements twice, or leave some out, at the border of two sets."""
    house.feed(*[youtube(number) for number in range(7)])
    whole = [row["element"] for row in house.result("elements")["elements"]]
    pages = [row["element"] for start in range(0, 9, 2) for row in house.result("elements", offset=start, limit=2)["elements"]]
    assert pages == whole
    assert len(whole) == 7


def test_pages_show_every_element_once_while_traffic_flows(house: House) -> None:
    """A refresh moves an element to the end of the table: the Sets page would show some twice and others never."""
    house.feed(*[youtube(number) for number in range(1000)])
    seen: list[str] = []
    clock = house.daemon.now
    for turn in range(10):
        page = house.result("elements", offset=len(seen), limit=100)
        seen += [row["element"] for row in page["elements"]]
        house.daemon.now = lambda turn=turn: clock() + 31 * (turn + 1)  # type: ignore[method-assign]
        house.feed(*[youtube(number) for number in range(turn * 97, turn * 97 + 300)])
    assert len(seen) == len(set(seen)) == 1000


def test_answers_stay_below_the_limit_of_ubus(tmp_path: Path) -> None:
    """ubusd drops a client whose message is too long, and with it the object."""
    names = [f"{number:04d}" + "x" * 120 for number in range(2500)]
    config = CONFIG | {"actions": {name: {"criteria": "*", "targets": ["nft.video"]} for name in names}}
    house = House(tmp_path, config)
    found = house.result("status")
    assert found["actions_left_out"] == 2500 - len(found["actions"]) > 0
    seen: list[str] = []
    while True:
        page = house.result("actions", offset=len(seen))
        seen += [row["name"] for row in page["actions"]]
        if not page["more"]:
            break
    assert seen == names
    house.feed(youtube(1))
    assert len(house.result("matches")["matches"][0]["actions"]) == 2500
    house.feed(*[youtube(n) for n in range(200)])
    assert house.result("matches", limit=200)["more"]


def test_matches_are_the_last_two_hundred_newest_first(house: House) -> None:
    """The live table of decisions."""
    house.feed(*[youtube(number) for number in range(250)])
    found = house.result("matches", limit=1000)
    assert len(found["matches"]) == found["total"] == 200
    newest = found["matches"][0]
    assert newest["flow"]["other_ip"] == "203.0.0.249"
    assert (newest["actions"], newest["targets"]) == (["video"], ["nft.video", "log.video"])
    assert newest["flow"]["detected_application_name"] == "netify.youtube"
    assert abs(newest["time"] - status.wall(house.daemon.now(), house.daemon.now())) <= 1  # type: ignore[operator]
    assert len(house.result("matches", limit=3)["matches"]) == 3


def test_a_strangers_long_name_is_cut_and_the_record_not_kept(house: House) -> None:
    """Two hundred records of a megabyte each would fill a router's memory."""
    house.feed(youtube(7, host_server_name="x" * 100_000))
    (kept,) = house.result("matches", limit=1)["matches"]
    assert kept["flow"]["host_server_name"] == "x" * 256
    code, data = house.call("explain", flow=kept["flow"]["digest"])
    assert (code, "too long" in data["error"]) == (NOT_FOUND, True)


def test_explain_has_the_flow_as_the_daemon_has_it(house: House) -> None:
    """It would say that a device's flow matches nothing, because netifyd calls the other end local."""
    house.daemon.engine.networks.name(["192.168.1.0/24"])
    flow = youtube(1, other_type="local")
    flow["flow"] |= {"local_ip": "203.0.113.1", "other_ip": "192.168.1.20", "local_origin": False, "local_port": 443}
    for given in (flow, flow["flow"]):
        assert "203.0.113.1 . " in str(house.result("explain", flow=given)["effects"])


def test_explain_takes_a_digest_of_a_recent_decision_or_a_record(house: House) -> None:
    """A click on a match says why."""
    record = youtube(7)
    house.feed(record)
    digest = record["flow"]["digest"]
    for flow in (digest[-1:] and digest[:40], digest[:39].upper(), record, record["flow"]):
        found = house.result("explain", flow=flow)
        assert found["actions"] == ["video"]
        assert "youtube" in json.dumps(found["steps"][0]["why"])
        assert found["targets"] == ["nft.video", "log.video"]
    assert house.call("explain", flow="ffff")[0] == NOT_FOUND
    code, data = house.call("explain", flow={"digest": 5})
    assert (code, "not a flow record" in data["error"]) == (INVALID, True)


def test_check_of_criteria_says_what_is_wrong_and_where(house: House) -> None:
    """The editor of LuCI shows it under the field, at its position."""
    assert house.result("check", criteria="app == 'youtube';")["ok"]
    found = house.result("check", criteria="app == 'youtube' &&\nprotcol == 'dns';")
    (report,) = [item for item in found["reports"] if item["severity"] == "error"]
    assert (report["place"]["file"], report["place"]["line"], report["place"]["column"]) == ("criteria", 2, 1)
    assert "protocol" in report["hint"]
    found = house.result("check", criteria=["app == 'youtube';", "app ="])
    assert [item["place"]["file"] for item in found["reports"]] == ["criteria[1]"]
    assert not house.result("check", exemptions="192.168.1.300")["ok"]
    assert house.result("check", exemptions="192.168.1.30")["ok"]


def test_check_of_a_configuration(house: House) -> None:
    """A distribution's page checks what it is about to write; and nothing of it is put in force."""
    assert house.result("check", config=CONFIG)["ok"]
    found = house.result("check", config=json.dumps(CONFIG).replace("app ==", "ap =="))
    assert not found["ok"]
    assert house.result("check", config="{")["errors"] == 1
    assert house.result("check")["ok"]
    assert house.daemon.loader.info["generation"] == 1


UCI = """
config action 'a'
	option criteria '*'
	list target 't'
config target 't'
	option target_type 'sink'
	option sink 'panel'
	option channel 'big'
config sink 'panel'
	option type 'http'
	option url 'http://example.org/${uuid_agent}'
config channel 'big'
	option sink 'panel'
	option batch '500'
"""


def test_check_of_a_uci_text_checks_its_sinks(house: House) -> None:
    """A page that is about to write sinks would write what the daemon refuses."""
    assert house.result("check", config=UCI) == {"ok": True, "errors": 0, "warnings": 0, "reports": [], "left_out": 0}
    for right, wrong, words in (
        ("http://example", "example", "expected a URL"), ("'500'", "'5000'", "a whole number from 1 to 1000"),
        ("channel 'big'", "channel 'pig'", "does not have"), ("type 'http'", "type 'htp'", "did you mean 'http'?"),
        ("config sink", "config 'sink", "this ' is never closed"),
    ):  # fmt: skip
        found = house.result("check", config=UCI.replace(right, wrong, 1))
        assert found["errors"] == 1 and words in json.dumps(found["reports"]), found
        assert found["reports"][0]["place"]["file"] == "config"


def test_check_does_not_look_for_sinks_in_files(house: House, tmp_path: Path) -> None:
    """A finding would tell a browser what is in netifyd's files; and a sink that is there is no error."""
    (tmp_path / "netify-sink-mqtt.json").write_text('{"hots": "b", "pass": "S3CR3T"}')
    shape = {"target_type": "sink", "sink": "sink-mqtt"}
    targets = {"s": shape, "t": shape}
    config = {"version": 1, "actions": {"a": {"criteria": "*", "targets": ["s", "t"]}}, "targets": targets}
    found = house.result("check", config=config)
    assert found["ok"] and {item["severity"] for item in found["reports"]} == {"info"}
    assert "does not look for the sink" in found["reports"][0]["message"] and "S3CR3T" not in json.dumps(found)
    targets["t"] = shape | {"format": "msgpack"}
    found = house.result("check", config=config)
    assert found["errors"] == 1 and "but differs in format" in found["reports"][-1]["message"]


def test_check_does_not_show_files_to_a_browser(house: House, tmp_path: Path) -> None:
    """Who may only look at policies could read /etc/shadow, or netifyd's passwords, through the excerpt of an error."""
    secret = tmp_path / "secret"
    secret.write_text("root:hash\n")
    for path in (str(secret), "${path_state_persistent}/secret", str(tmp_path), "/\0"):
        for config in (
            CONFIG | {"actions": {"a": {"criteria": [path], "targets": ["log.video"]}}},
            CONFIG | {"exemptions": [path]},
        ):
            found = house.result("check", config=config)
            assert "hash" not in json.dumps(found)
            assert found["ok"] and "this check does not read" in found["reports"][0]["message"]


@pytest.mark.parametrize("form", ["json", "uci"])
def test_check_does_not_show_a_file_of_labels_to_a_browser(house: House, tmp_path: Path, form: str) -> None:
    """The lines of any file came back, quoted as labels that are none."""
    secret = tmp_path / "secret"
    secret.write_text("root:hash\n3 hash\n")
    target = {"target_type": "ctlabel", "labels": ["root", "other"], "auto_label": True}
    config: Any = {
        "version": 1, "actions": {"a": {"criteria": "*", "targets": ["t"]}}, "targets": {"t": target},
        "target_globals": {"ctlabel": {"connlabel_conf": str(secret)}},
    }  # fmt: skip
    if form == "uci":
        config = (
            f"config target_global 'ctlabel'\n\toption connlabel_conf '{secret}'\n"
            "config target 't'\n\toption target_type 'ctlabel'\n\tlist label 'root'\n"
            "config action 'a'\n\toption enabled '1'\n\tlist criteria '*'\n\tlist target 't'\n"
        )
    found = house.result("check", config=config)
    assert "hash" not in json.dumps(found) and found["ok"], found
    assert any("this check does not read" in report["message"] for report in found["reports"])


@pytest.mark.parametrize(
    "criteria",
    ["detected_hostname == 'rx:[!-\U0010ffff].*a.*b.*c';", "detected_hostname == 'rx:" + "[\\W\u4e00-\u4e10]" * 200 + "';"],
)
def test_no_question_takes_the_routers_memory(house: House, criteria: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty characters of a read-only user took 536 MB."""
    monkeypatch.undo()  # a cold start: what a child of ours takes is measured
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    code, _ = house.call("check", criteria=criteria)
    assert code in (0, INVALID, 9)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss <= max(before, 150_000)


def test_a_reload_does_not_wait_for_questions(house: House) -> None:
    """Who may only look could keep `uci commit` from taking effect."""
    house.daemon.loader._started = True
    codes: list[int] = []
    for _ in range(3):
        methods.answer(house.daemon, "check", {}, lambda code, data: codes.append(code))
    assert house.result("reload")["loaded"]
    assert codes[0] == 9, "the one that ran is interrupted, and told so"
    house.daemon.children.close()


def test_a_fault_in_a_call_does_not_end_the_daemon(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """One unforeseen argument would take the firewall's sets with it."""
    monkeypatch.setitem(methods.METHODS, "actions", ({}, lambda *_: 1 / 0))
    answers: list[tuple[int, Any]] = []
    house.daemon.call("actions", {}, lambda code, data: answers.append((code, data)))
    assert answers[0][0] == 9 and "ZeroDivisionError" in answers[0][1]["error"]


@pytest.mark.parametrize("fields", [{"last_seen_at": 10**400}, {"last_seen_at": "now"}, {"last_seen_at": None}])
def test_no_record_makes_status_fail(house: House, fields: dict[str, Any]) -> None:
    """The overview page would end the daemon at each poll."""
    house.feed(youtube(1, **fields))
    assert house.result("status")["source"]["lag"] is None


def test_deep_records_do_not_make_matches_fail(house: House) -> None:
    """A record that could just be read as it came cannot be read again a few calls deeper."""
    for depth in range(900, 1000, 3):
        raw = samples.payload(youtube(depth)).decode()
        house.daemon.engine.take([raw.replace('"flow":{', '"flow":{"x":' + "[" * depth + "]" * depth + ",", 1).encode()], 1)
    assert house.result("matches", limit=200)["total"] == house.daemon.engine.matched > 0


def test_names_are_those_of_the_files_and_of_the_running_agent(house: House) -> None:
    """The lists that one chooses from would lack what the agent knows."""
    found = house.result("apps", search="YouTube")["apps"]
    assert (found[0]["name"], found[0]["id"]) == ("netify.youtube", 124)
    assert found[0]["category"] == "streaming-media"
    house.daemon.engine.names = json.dumps([{"77777": "netify.brandnew", "5": "DNS"}, {"999": "NEWPROTO"}]).encode()
    assert house.result("apps", search="brandnew")["apps"] == [{"name": "netify.brandnew", "id": 77777}]
    assert house.result("protocols", search="newproto")["protocols"] == [{"name": "newproto", "id": 999}]
    categories = house.result("categories", search="vpn")["categories"]
    assert {row["of"] for row in categories} == {"application", "protocol"}


def test_reload_answers_with_its_outcome(house: House) -> None:
    """A script would go on with the old policy, and not learn of the error."""
    house.daemon.loader._started = True
    found = house.result("reload")
    assert (found["loaded"], found["generation"], found["errors"]) == (True, 2, 0)
    house.file.write_text("{")
    found = house.result("reload")
    assert (found["loaded"], found["generation"], found["errors"]) == (False, 2, 1)
    (report,) = found["reports"]
    assert (report["code"], report["place"]["file"]) == ("bad-syntax", str(house.file))


def test_flush_empties_the_sets_of_a_target(house: House) -> None:
    """An administrator lets everybody go, and flows that go on come back."""
    house.feed(youtube(1), youtube(2))
    assert len(house.kernel.sets["video.v4"]) == 2
    assert house.result("flush", target="nft.video") == {"target": "nft.video", "kind": "nftset", "sets": 2, "withdrawn": 2}
    assert house.kernel.sets["video.v4"] == []
    assert house.result("status")["targets"]["nft.video"]["withdrawn"] == 2
    house.feed(youtube(2))
    assert len(house.kernel.sets["video.v4"]) == 1


def test_flush_of_a_target_without_sets_is_refused(house: House) -> None:
    """A log would seem to have been emptied."""
    code, data = house.call("flush", target="log.video")
    assert (code, "'log.video' has no set to flush" in data["error"]) == (INVALID, True)


def test_too_many_questions_at_once_are_refused(house: House) -> None:
    """A page that asks without end would start processes without end."""
    answers: list[int] = []
    for _ in range(30):
        methods.answer(house.daemon, "check", {"criteria": "*"}, lambda code, data: answers.append(code))
    assert answers.count(9) >= 20
    house.daemon.children.close()


def test_explain_of_a_thousand_actions_fits(tmp_path: Path) -> None:
    """The page of a large policy would show an error in the place of the reason."""
    actions = {f"a{number}": {"criteria": f"port == {number};", "targets": ["log.video"]} for number in range(1, 1001)}
    actions["hit"] = {"criteria": "app == 'youtube';", "targets": ["log.video"]}
    house = House(tmp_path, CONFIG | {"actions": actions})
    found = house.result("explain", flow=youtube(1))
    assert (len(found["steps"]), found["steps_left_out"]) == (500, 501)
    assert found["steps"][-1]["action"] == "hit"


def test_old_policies_leave_the_memory(house: House) -> None:
    """Every save in LuCI would take memory for good: the decisions that are remembered must not hold their policies."""
    house.daemon.loader._started = True
    gone = []
    for number in range(3):
        house.feed(youtube(number))
        gone.append(weakref.ref(house.daemon.engine.policy.decide))  # type: ignore[union-attr]
        house.result("reload")
    assert [old() for old in gone] == [None] * 3
    assert house.result("matches")["total"] == 3
