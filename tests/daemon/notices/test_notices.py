"""Notices of a whole daemon: what is told, of whom, how often; and what never is."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import samples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from notices_lab import HOSTILE, Told, all_events, flow, mac, policy

from nfa.daemon.notices import harmless, labels, memory
from nfa.daemon.notices.notice import HOUR
from nfa.daemon.notices.settled import Settled
from nfa.daemon.usage.store import decode


def told(tmp_path: Path, *events: str, learnt: bool = True, **more: Any) -> Told:
    """A house with one notice."""
    language = more.pop("language", "en")
    sections = {name: more.pop(name) for name in ("actions", "targets", "devices", "groups", "usage") if name in more}
    notice = all_events(**more) | ({"event": list(events)} if events else {})
    return Told(tmp_path, policy({"phone": notice}, language=language, **sections), learnt)


# -- what is new --------------------------------------------------------------------------------------------------------


def test_a_new_device_is_told_once_with_its_name(tmp_path: Path) -> None:
    """A stranger in the network would go unnoticed, or be told with each of its flows."""
    house = told(tmp_path, "new_device")
    house.feed(flow(1), flow(2), flow(2, port=5), flow(2, "netify.youtube", port=6))
    assert house.heard() == [], "its name may not be known yet"
    house.forward(10)
    assert house.heard() == [f"New device in the network: “Toms tablet” ({mac(1)})", f"New device in the network: {mac(2)}"]
    house.feed(flow(1, port=9), flow(2, port=10))
    house.forward(2 * 86_400, 3600.0)
    house.feed(flow(1, port=19), flow(2, port=20))
    house.forward(10)
    assert house.heard() == []


def test_the_name_of_a_lease_is_told(tmp_path: Path) -> None:
    """An owner does not know devices by their MAC addresses."""
    house = told(tmp_path, "new_device")
    known = house.daemon.learner_now().known
    known._names[bytes.fromhex(mac(7).replace(":", ""))] = ("annas-phone",)
    house.feed(flow(7))
    house.forward(10)
    assert house.heard() == [f"New device in the network: annas-phone ({mac(7)})"]


def test_addresses_that_a_device_makes_up_are_no_new_devices(tmp_path: Path) -> None:
    """A VPN's client with IPv6 would be a new device every day; the router would be one itself."""
    house = told(tmp_path, "new_device")
    record = flow(3, ip_version=6, local_ip="2001:db8::7", other_ip="2001:db8:1::1")
    record["flow"]["local_mac"] = "00:00:00:00:00:00"
    house.feed(record)
    house.forward(10)
    assert house.heard() == []
    assert not labels.is_told("router") and labels.is_told("10.8.0.2") and labels.is_told(mac(3))


def test_all_is_learnt_in_the_first_hour(tmp_path: Path) -> None:
    """At the first start a whole household would be told, device by device."""
    house = told(tmp_path, "new_device", "new_application", learnt=False)
    house.feed(flow(1), flow(2))
    assert 3500 < house.result("status")["notices"]["learning"] <= 3600
    house.forward(memory.LEARN + 10, 60.0)
    house.feed(flow(1, port=4), flow(3), flow(2, "netify.youtube", port=5))
    house.forward(10)
    assert house.heard() == [f"{mac(2)} uses youtube for the first time", f"New device in the network: {mac(3)}"]
    assert house.result("status")["notices"]["learning"] == 0


def test_an_application_is_new_on_a_device_that_is_not(tmp_path: Path) -> None:
    """A phone that joins would be told with each of its thirty applications."""
    house = told(tmp_path, "new_application")
    house.feed(flow(2), flow(2, "netify.youtube", port=5))
    assert house.heard() == [], "it has just come"
    house.wall += memory.LEARN
    house.feed(flow(2, port=6), flow(2, "netify.tiktok", port=7), flow(2, "netify.tiktok", port=8), flow(2, "Unknown", port=9))
    assert house.heard() == [f"{mac(2)} uses tiktok for the first time"]
    house.feed(flow(2, "netify.tiktok", port=10))
    assert house.heard() == []


def test_what_was_seen_is_remembered_over_restarts(tmp_path: Path) -> None:
    """Each restart would tell the whole household again, or learn for an hour, in which a stranger goes unnoticed."""
    config = policy({"phone": all_events(event=["new_device", "new_application"])}, usage_file=str(tmp_path / "kept" / "used"))
    house = Told(tmp_path, config)
    house.feed(flow(2))
    house.notices.close()
    file = tmp_path / "kept" / "used.notices"
    assert file.stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "kept" / "used").exists(), "usage is off"
    again = Told(tmp_path, config)
    again.notices.memory.learnt = False
    again.notices._learnt_at = 0.0
    again.notices.memory = memory.Memory()
    again.notices.memory.restore(again.notices.store.read())
    assert again.notices.memory.learnt
    again.wall += memory.LEARN
    again.feed(flow(2), flow(3))
    again.forward(10)
    assert again.heard() == [f"New device in the network: {mac(3)}"]


@pytest.mark.parametrize("damage", ["version", "damaged", "half"])
def test_a_file_that_cannot_be_used_is_set_aside_and_reported(tmp_path: Path, damage: str) -> None:
    """The daemon would not start, or forget without a word."""
    config = policy({"phone": all_events(event=["new_device"])}, usage_file=str(tmp_path / "used"))
    house = Told(tmp_path, config)
    house.feed(flow(2))
    house.notices.close()
    file = tmp_path / "used.notices"
    raw = file.read_bytes()
    found = decode(raw, house.notices.store._form)
    assert list(found["devices"]) == [mac(2)]
    file.write_bytes({"version": raw.replace(b"notices 1", b"notices 9"), "damaged": raw[:-1] + b"?", "half": raw[:40]}[damage])
    status = Told(tmp_path, config).result("status")["notices"]
    assert status["code"] == ("notices-file-version" if damage == "version" else "notices-file-damaged")
    assert status["devices"] == 0
    assert (tmp_path / "used.notices.bad").exists()


# -- TLS, blocks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "below", "words"),
    [
        ("0x0301", "1.2", "TLS 1.0"), ("0x0302", "1.2", "TLS 1.1"), (0x0300, "1.2", "SSL 3"), (769, "1.2", "TLS 1.0"),
        ("0x0301", "1.1", "TLS 1.0"), ("0xfeff", "1.2", "DTLS 1.0"), ("0x0002", "1.0", "SSL 2"),
        ("0x0302", "1.1", ""), ("0x0303", "1.2", ""), ("0x0304", "1.2", ""), ("0xfefd", "1.2", ""), ("0x0000", "1.2", ""),
        (0, "1.2", ""), ("junk", "1.2", ""), ([1], "1.2", ""), ({}, "1.2", ""), (None, "1.2", ""), ("0x9999", "1.2", ""),
        (True, "1.2", ""),
    ],
)  # fmt: skip
def test_a_version_of_tls_below_is_told(tmp_path: Path, version: object, below: str, words: str) -> None:
    """A camera with broken encryption would go unnoticed; a record without a version, or with nonsense, would be told."""
    house = told(tmp_path, "weak_tls", tls_below=below)
    house.feed(flow(2, ssl={"version": version}), flow(2, ssl={"version": version}, port=5), flow(3, ssl="nonsense"), flow(4))
    assert house.heard() == ([f"{mac(2)} uses the outdated encryption {words} with netflix"] if words else [])
    assert house.daemon.engine.bad["types"] == 0 and house.daemon.dispatcher.faults == 0
    house.forward(86_400, 3600.0)
    house.feed(flow(2, ssl={"version": version}, port=6))
    assert len(house.heard()) == bool(words), "a day later once more"


def test_what_a_policy_blocks_is_told_once_a_day(tmp_path: Path) -> None:
    """A parent would not learn that the tablet tried, or would learn it with each of a hundred flows."""
    house = told(tmp_path, "blocked")
    video = [flow(1, "netify.youtube", port=port) for port in range(1, 50)]
    house.feed(*video, flow(1), flow(2, "netify.youtube"))
    assert house.heard() == ["“Toms tablet”: youtube was blocked by videos", f"{mac(2)}: youtube was blocked by videos"]
    house.forward(80_000, 3600.0)
    house.feed(flow(1, "netify.youtube", port=60))
    assert house.heard() == []
    house.forward(8000, 3600.0)
    house.feed(flow(1, "netify.youtube", port=61))
    assert house.heard() == ["“Toms tablet”: youtube was blocked by videos"]


def test_only_the_actions_that_a_notice_names_are_told(tmp_path: Path) -> None:
    """Blocked advertisements would bury what the owner asked for."""
    actions = {
        "videos": {"criteria": ["app == 'netify.youtube';"], "targets": ["stop"]},
        "ads": {"criteria": ["app == 'netify.netflix';"], "targets": ["stop"]},
        "watch": {"criteria": ["port == 443;"], "targets": ["mark"]},
    }
    targets = {"stop": {"target_type": "firewall", "verdict": "drop"}, "mark": {"target_type": "firewall", "set_dscp": "EF"}}
    house = told(tmp_path, "blocked", action=["videos"], actions=actions, targets=targets)
    house.feed(flow(2), flow(2, "netify.youtube", port=4))
    assert house.heard() == [f"{mac(2)}: youtube was blocked by videos"]


def test_only_the_devices_that_a_notice_names_are_told(tmp_path: Path) -> None:
    """A notice about a child's tablet would tell of the parents, too."""
    groups = {"kids": {"device": ["tablet"]}}
    house = told(tmp_path, "blocked", "weak_tls", "new_device", "budget", device=["@kids"], groups=groups)
    old = {"version": "0x0301"}
    house.feed(flow(2, "netify.youtube", ssl=old), flow(1, "netify.youtube", ssl=old))
    house.forward(10)
    assert len(house.heard()) == 3
    house.notices.budget("games", "tablet", 80)
    house.notices.budget("games", mac(1), 100)
    house.notices.budget("games", mac(2), 100)
    assert house.heard() == ["“Toms tablet” has used 80 % of the budget games", "“Toms tablet” has used up the budget games"]


def test_a_flow_that_is_blocked_later_is_told(tmp_path: Path) -> None:
    """When a budget is spent or bedtime begins, what runs is blocked without a new record."""
    house = told(tmp_path, "blocked")
    house.daemon.pauses.pause("videos", 60)
    house.feed(flow(2, "netify.youtube"))
    assert house.heard() == []
    house.daemon.pauses.resume("videos")
    list(house.daemon._evaluate())
    assert house.heard() == [f"{mac(2)}: youtube was blocked by videos"]


# -- budgets, netifyd, targets ------------------------------------------------------------------------------------------


def test_budgets_are_told_near_their_end_and_at_it(tmp_path: Path) -> None:
    """A child would be cut off without a warning."""
    house = told(tmp_path, "budget")
    for name, device, percent in (("games", mac(1), 80), ("games", mac(2), 104), ("all", "", 80), ("all", "", 100)):
        house.notices.budget(name, device, percent)
    assert house.heard() == [
        "“Toms tablet” has used 80 % of the budget games",
        f"{mac(2)} has used up the budget games",
        "80 % of the budget all is used",
        "The budget all is used up",
    ]


def test_netifyd_that_is_lost_or_silent_is_told_and_that_it_is_back(tmp_path: Path) -> None:
    """Nothing would be blocked for days, and nobody know."""
    house = told(tmp_path, "agent")
    state = [""]
    house.notices._around.source = lambda: state[0]
    house.forward(60)
    assert house.heard() == []
    state[0] = "lost"
    house.forward(10)
    assert house.heard() == [], "it may be a restart"
    house.forward(30)
    assert house.heard() == ["netifyd cannot be reached: no traffic is detected"]
    house.forward(3600)
    assert house.heard() == []
    state[0] = ""
    house.forward(120)
    assert house.heard() == ["netifyd is back: traffic is detected again"]
    state[0] = "silent"
    house.forward(60)
    assert house.heard() == ["netifyd sends nothing: no traffic is detected"]


def test_a_target_in_trouble_is_told_with_why_and_that_it_is_over(tmp_path: Path) -> None:
    """A set that somebody deleted would be found by accident."""
    targets = {"stop": {"target_type": "nftset", "set_name": "video"}}
    house = told(tmp_path, "trouble", targets=targets)
    house.forward(60)
    first = house.heard()
    assert first == [] or first[0].startswith("The target stop does not work: "), first
    wrong: dict[str, str] = {}
    house.notices._around.troubles = lambda: wrong
    house.forward(600)
    house.heard()
    wrong["stop"] = "the set\nis \x1b[31mgone"
    house.forward(30)
    assert house.heard() == ["The target stop does not work: the set is [31mgone"]
    del wrong["stop"]
    house.forward(90)
    assert house.heard() == ["The target stop works again"]


@given(st.lists(st.booleans(), min_size=1, max_size=400))
def test_what_comes_and_goes_is_told_by_turns_and_seldom(wrong: list[bool]) -> None:
    """A target that fails every other second would flood a telephone; one that stays broken would never be told."""
    settled = Settled()
    heard = [word for state in wrong for _, word in settled.changed({"a": "no"} if state else {})]
    assert heard == ["no" if place % 2 == 0 else "" for place in range(len(heard))]
    assert len(heard) <= 2 + len(wrong) // 8
    for _ in range(20):
        heard += [word for _, word in settled.changed({"a": "no"})]
    assert heard[-1] == "no"


# -- limits -------------------------------------------------------------------------------------------------------------


def test_a_flood_gives_as_many_notices_as_are_allowed_and_a_count(tmp_path: Path) -> None:
    """Somebody who makes up MAC addresses could drown the one notice that matters, or cost money for each message."""
    house = told(tmp_path, "new_device", "blocked", limit=7)
    for number in range(10_000):
        house.feed(flow(number % 60_000, "netify.youtube"))
    house.forward(20)
    assert len(house.heard()) == 7
    house.forward(HOUR)
    (last,) = house.heard()
    assert last.endswith(" more notices were left out in the last hour")
    status = house.result("status")["notices"]
    left_out = status["notices"]["phone"]["left_out"]
    assert int(last.split()[0]) == left_out
    assert left_out + status["no_room"] >= 10_000, "what nobody is told of is counted"
    assert len(house.notices.memory.devices) <= memory.MAX_DEVICES
    assert len(house.notices.memory.told) <= memory.MAX_TOLD
    house.forward(3 * HOUR, 60.0)
    assert house.heard() == [], "it is said once"


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 8)), max_size=60))
def test_no_hour_has_more_than_the_limit(steps: list[tuple[int, int]]) -> None:
    """At the turn of an hour twice as many would come."""
    from nfa.daemon.notices.notice import Notice

    notice = Notice("phone", lambda level, text: None, lambda name, data: None)
    notice.use({"limit": 5}, None)
    sent: list[float] = []
    asked, moment, counted = 0, 0.0, 0
    for seconds, count in steps:
        moment += seconds
        asked += count
        sent += [moment for _ in range(count) if notice.room(moment)]
        counted += notice.rest(moment)
    for first in sent:
        assert len([one for one in sent if first <= one < first + HOUR]) <= 5
    counted += notice.rest(moment + HOUR)
    assert len(sent) + counted == asked


def test_one_that_is_left_out_is_said_in_the_singular(tmp_path: Path) -> None:
    """A sentence that nobody would say looks like a fault."""
    house = told(tmp_path, "new_device", limit=1)
    house.feed(flow(2), flow(3))
    house.forward(HOUR + 20, 5.0)
    assert house.heard() == [f"New device in the network: {mac(2)}", "1 more notice was left out in the last hour"]


# -- names from the wire ------------------------------------------------------------------------------------------------


def is_harmless(text: str) -> bool:
    """Whether a text is one short line that shows what it is."""
    categories = {unicodedata.category(char) for char in text}
    return (
        len(text) <= 320
        and categories.isdisjoint(("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
        and "://" not in text
        and "@" not in text
        and text == text.strip()
        and text.isprintable()
    )


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_names_are_harmless_in_every_sentence(tmp_path: Path, kind: str) -> None:
    """A host name could write lines of the log, turn text around, or make a link of itself."""
    house = told(tmp_path)
    evil = HOSTILE[kind]
    known = house.daemon.learner_now().known
    known._names[bytes.fromhex(mac(5).replace(":", ""))] = (evil,)
    house.feed(flow(5, evil.replace("\ud800", "?"), ssl={"version": "0x0301"}), flow(5, "netify.youtube", port=4))
    house.notices.budget(evil, evil, 80)
    house.notices._around.troubles = lambda: {evil: evil}
    house.forward(60)
    heard = house.heard()
    assert len(heard) >= 4, heard
    for text in heard:
        assert is_harmless(text), ascii(text)
        assert text.count("“") == text.count("”"), ascii(text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200) | st.text(alphabet="“”\"'\u202e\u0301@/:a\n\x1b", max_size=40))
def test_any_text_is_harmless_as_a_name(text: str) -> None:
    """Another kind of name than those that somebody thought of would come through."""
    named = harmless.name(text, ("“", "”"))
    assert is_harmless(named) and len(named) <= harmless.MAX_NAME + 2
    inner = named[1:-1] if named.startswith("“") else named
    assert "“" not in inner and "”" not in inner
    assert harmless.clean(harmless.clean(text)) == harmless.clean(text)


def test_names_of_people_stay_what_they_are() -> None:
    """Who writes in another alphabet would not know their own devices."""
    for name in ("Müllers-Drucker", "телефон", "手机", "जुबेर", "📱 Anna", "O’Neill"):
        assert harmless.clean(name) == name
    assert harmless.name("annas-phone.lan", ("«", "»")) == "annas-phone.lan"
    assert harmless.name("Annas phone", ("«", "»")) == "«Annas phone»"


# -- who needs it -------------------------------------------------------------------------------------------------------


def test_without_a_notice_nothing_is_loaded_and_nothing_hears(tmp_path: Path) -> None:
    """Routers without notices would pay for them."""
    house = Told.__mro__[1](tmp_path, policy({}, usage=True))
    assert house.daemon.notices is None
    counting = house.daemon.counted.usage.counting
    assert counting.on_kind is None and counting.announce is counting.plain_announce
    assert house.result("status")["notices"] == {
        "on": False, "learning": 0, "devices": 0, "no_room": 0, "file": "", "saved": None, "trouble": "", "code": "",
        "notices": {},
    }  # fmt: skip


def test_only_notices_of_flows_have_flows_counted(tmp_path: Path) -> None:
    """A notice about netifyd would cost a tenth of the throughput."""
    house = told(tmp_path, "agent", "trouble")
    assert house.daemon.counted is None and house.daemon.engine.counting is None
    other = told(tmp_path, "blocked")
    assert other.daemon.counted.usage is not None and other.daemon.accounts is None, "counted, but not kept"
    status, data = other.call("usage")
    assert status and "switched off" in data["error"]
    assert not (tmp_path / "usage").exists()


def test_a_reload_keeps_limits_and_memory_and_follows_the_policy(tmp_path: Path) -> None:
    """Each reload would give a flood another hour's notices, or tell everything again."""
    house = told(tmp_path, "new_device", limit=2)
    house.feed(flow(2), flow(3), flow(4))
    house.forward(10)
    assert len(house.heard()) == 2
    before = house.notices
    house.file.write_text(json.dumps(policy({"phone": all_events(event=["new_device"], limit=2)})))
    assert house.result("reload")["loaded"]
    assert house.daemon.notices is before
    house.feed(flow(2, port=9), flow(5))
    house.forward(10)
    assert house.heard() == []
    assert house.result("status")["notices"]["notices"]["phone"]["left_out"] == 2
    house.file.write_text(json.dumps(policy({})))
    assert house.result("reload")["loaded"]
    assert house.daemon.notices is None and house.daemon.engine.counting is None


def test_a_fault_in_a_notice_keeps_no_record_from_its_effects(tmp_path: Path) -> None:
    """Telling would be in the way of blocking."""
    house = told(tmp_path, "blocked")

    def fails(*_: object) -> None:
        raise RuntimeError("a fault")

    house.notices._look = fails
    house.feed(flow(2, "netify.youtube"))
    assert house.daemon.engine.matched == 1
    assert house.daemon.dispatcher.faults == 1


def test_german_sentences(tmp_path: Path) -> None:
    """The owner's language is the configuration's."""
    house = told(tmp_path, language="de")
    house.feed(flow(1, "netify.youtube"))
    house.forward(10)
    assert house.heard() == [
        "„Toms tablet“: youtube wurde von videos blockiert",
        f"Neues Gerät im Netz: „Toms tablet“ ({mac(1)})",
    ]


def test_a_budget_that_is_spent_is_told(tmp_path: Path) -> None:
    """Budgets and notices would each work, and nobody would hear of it."""
    budgets = {"video": {"bytes": "1kB", "period": "day"}}
    actions = {"videos": {"criteria": ["app == 'netify.youtube';"], "targets": ["stop"], "budget": "video"}}
    house = Told(tmp_path, policy({"phone": all_events(event=["budget"])}, actions=actions, budgets=budgets))
    counted: Any = house.daemon.counted
    used = flow(1, "netify.youtube")
    house.feed(used, samples.stats(used["flow"]["digest"], local=(100, 1), other=(750, 1)))
    counted.usage.counting.bills.settle()
    assert house.heard() == ["“Toms tablet” has used 80 % of the budget video"]
    house.feed(samples.stats(used["flow"]["digest"], local=(100, 1), other=(750, 1)))
    counted.usage.counting.bills.settle()
    assert house.heard() == ["“Toms tablet” has used up the budget video"]
