"""Budgets of a configuration: what owners write, how it is understood, and that no error lets an action always act."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import samples

from nfa.cli.show import policy_data
from nfa.compiler.assemble import image_of
from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Reports
from nfa.compiler.compile import Compiled, compile_policy
from nfa.compiler.config.jsonconfig import document_of
from nfa.compiler.config.sources import Sources
from nfa.compiler.config.uciwriter import write
from nfa.compiler.explain import explain
from nfa.compiler.micropython import image_for

MB = 10**6
UCI = """
config target 'stop'
	option target_type 'firewall'
	option verdict 'reject'

config time_of_day 'homework'
	list day 'mon'
	option time_start '14:00'
	option time_end '16:00'

config budget 'hour'
	option time '1h'
	option bytes '2GB'
	option start '4:00'
	list day 'sat,sun 2h'
	list day 'fri 1h30m 4GB'
	list day 'wed unlimited'
	list exempt_time 'homework'

config budget 'volume'
	option bytes '20GiB'
	option period 'week'
	option start 'sun 4:00'
	option shared '1'

config action 'games'
	list criteria "category == 'games';"
	list target 'stop'
	option budget 'hour'

config action 'video'
	list criteria "app == 'youtube';"
	list target 'stop'
	option budget 'volume'
"""


def compiled(folder: Path, config: object, last_good: bytes = b"") -> tuple[Compiled, Reports]:
    """Compile a configuration, of UCI (text) or JSON."""
    if isinstance(config, str):
        (folder / "netify-proc-flow-actions").write_text(config)
        sources = Sources(str(folder), True)
    else:
        (folder / "policy.json").write_text(json.dumps(config))
        sources = Sources(None, False, (str(folder / "policy.json"),))
    made, reports = compile_policy(sources, Paths(str(folder), str(folder)), look=False, last_good=last_good)
    assert made is not None, [report.text() for report in reports.items]
    return made, reports


def config_of(amounts: object, **action: Any) -> dict[str, Any]:
    video = {"criteria": ["app == 'youtube';"], "targets": ["log"], "budget": "b"} | action
    return {
        "version": 1, "actions": {"video": video}, "targets": {"log": {"target_type": "log", "path": "/tmp/nfa"}},
        "budgets": {"b": amounts},
    }  # fmt: skip


def found(reports: Reports) -> list[tuple[str, str]]:
    return [(report.severity, report.code) for report in reports.items if report.severity != "info"]


def test_uci_is_understood_as_an_owner_means_it(tmp_path: Path) -> None:
    """Saturday would have what Friday has; or the week would begin on Monday."""
    made, reports = compiled(tmp_path, UCI)
    assert not found(reports)
    games, volume = image_of(made)["budgets"]  # type: ignore[misc]  # rows
    hour, two = (3600, 2 * 10**9), (7200, 2 * 10**9)
    assert games["amounts"] == [hour, hour, (None, None), hour, (5400, 4 * 10**9), two, two]
    assert (games["week"], games["start"], games["shared"]) == (False, (0, 14400), False)
    assert made.schedules.windows[games["exempt"]] == ([((0,), 50400, 57600)], [])
    assert volume["amounts"][0] == (None, 20 << 30)
    assert (volume["week"], volume["start"], volume["shared"], volume["exempt"]) == (True, (6, 14400), True, -1)
    assert image_of(made)["action_budgets"] == [0, 1]
    assert games["words"] == (
        "1h and 2GB a day from 4:00, for each device; sat,sun 2h; fri 1h30m 4GB; wed unlimited; not counted mon 14:00-16:00"
    )
    assert volume["words"] == "20GiB a week from sun 4:00, all devices together"


@pytest.mark.parametrize(
    ("written", "seconds"), [("1h", 3600), ("90m", 5400), ("1h30m", 5400), (" 1H 30Min ", 5400), ("7d", 604800), ("0m", 0)]
)
def test_times(tmp_path: Path, written: str, seconds: int) -> None:
    """An owner writes it as he says it."""
    made, _ = compiled(tmp_path, config_of({"time": written}))
    assert made.policy.budgets["b"].time == seconds


@pytest.mark.parametrize(
    ("written", "size"),
    [("500MB", 500 * MB), ("2 GB", 2 * 10**9), ("1.5gb", 1500 * MB), ("1GiB", 1 << 30), ("0B", 0), ("12kB", 12_000)],
)
def test_sizes(tmp_path: Path, written: str, size: int) -> None:
    """A gigabyte of a tariff is not one of a memory chip."""
    made, _ = compiled(tmp_path, config_of({"bytes": written}))
    assert made.policy.budgets["b"].size == size


@pytest.mark.parametrize("written", ["sat 2h 4GB", "sat 2 h 4 GB", "Sat 2H 4gb", " sat  2 h  4.0 gb "])
def test_amounts_of_a_day_may_have_blanks_as_all_others(tmp_path: Path, written: str) -> None:
    """`option time '2 h'` is good, and `list day 'sat 2 h'` would leave the action out."""
    made, reports = compiled(tmp_path, config_of({"time": "1h", "days": [written]}))
    assert not [one for one in found(reports) if one[0] == "error"]
    assert image_of(made)["budgets"][0]["amounts"][5] == (7200, 4 * 10**9)  # type: ignore[index]  # rows


@pytest.mark.parametrize("word", ["weekend", "mon-fri", "sat-sun", "samedi-dimanche"])
def test_several_days_in_a_word_are_told_how_they_are_written(tmp_path: Path, word: str) -> None:
    """For `weekend`, "did you mean 'wed'?" would give the hour on a Wednesday."""
    _, reports = compiled(tmp_path, config_of({"time": "1h", "days": [f"{word} 2h"]}))
    said = next(one.text() for one in reports.items if one.code == "bad-value")
    assert "Did you mean" not in said and "sat,sun 2h" in said


@pytest.mark.parametrize(
    ("budget", "code"),
    [
        ({"time": "90s"}, "bad-value"),
        ({"time": "60"}, "bad-value"),
        ({"time": 60}, "bad-value"),
        ({"time": "8d"}, "bad-value"),
        ({"time": "1h", "bytes": "2"}, "bad-value"),
        ({"time": "1h", "bytes": "2XB"}, "bad-value"),
        ({"time": "1h", "bytes": "2000TB"}, "bad-value"),
        ({"time": "1h", "period": "month"}, "bad-value"),
        ({"time": "1h", "start": "25:00"}, "bad-value"),
        ({"time": "1h", "start": "sun"}, "bad-value"),
        ({"time": "1h", "period": "week", "start": "someday"}, "bad-value"),
        ({"time": "1h", "period": "week", "day": "sat 2h"}, "bad-value"),
        ({"time": "1h", "day": "sat"}, "bad-value"),
        ({"time": "1h", "day": "sta 2h"}, "bad-value"),
        ({"time": "1h", "day": ["sat 2h", "sat,sun 3h"]}, "bad-value"),
        ({"time": "1h", "day": "sat 2h 3h"}, "bad-value"),
        ({"time": "1h", "exempt_time": "homework"}, "unknown-time-of-day"),
        ({}, "missing-option"),
        ({"shared": True}, "missing-option"),
        ({"time": "1h", "exempt_tiem": []}, "unknown-option"),
        ("1h", "bad-value"),
    ],
)
def test_a_budget_with_an_error_keeps_its_actions_from_acting(tmp_path: Path, budget: object, code: str) -> None:
    """Without its budget the action would always act: a slip of the pen, and nobody has a film any longer."""
    made, reports = compiled(tmp_path, config_of(budget))
    assert ("error", code) in found(reports) and ("error", "budget-unusable") in found(reports)
    assert [item.code for item in made.actions] == ["action-broken"]
    assert image_of(made)["budgets"] == []


@pytest.mark.parametrize(
    ("action", "code"),
    [({"budget": "c"}, "unknown-budget"), ({"bugdet": "b"}, "unknown-option"), ({"budget": ["b", "c"]}, "bad-value")],
)
def test_an_action_without_the_budget_that_it_means_does_not_act(tmp_path: Path, action: dict[str, Any], code: str) -> None:
    """The same: a name that is misspelt."""
    made, reports = compiled(tmp_path, config_of({"time": "1h"}, **action))
    assert ("error", code) in found(reports)
    assert [item.code for item in made.actions] == ["action-broken"]


def test_the_last_good_version_stays(tmp_path: Path) -> None:
    """A parent who makes a mistake in the evening would have given the children the evening, or taken it."""
    first, _ = compiled(tmp_path, config_of({"time": "1h"}))
    kept = first.keeping.good.pack()
    made, reports = compiled(tmp_path, config_of({"time": "1 our"}), kept)
    assert made.policy.budgets["b"].time == 3600 and not made.actions[0].code
    assert ("budget", "b") in made.keeping.kept and ("error", "bad-value") in found(reports)
    without = config_of({"time": "1h"})
    del without["budgets"]
    made, reports = compiled(tmp_path, without, made.keeping.good.pack())
    assert ("error", "unknown-budget") in found(reports)
    assert not made.actions[0].code and made.policy.budgets["b"].time == 3600
    assert [row["name"] for row in image_of(made)["budgets"]] == ["b"]  # type: ignore[attr-defined]  # rows


def test_a_budget_that_no_action_names_is_a_warning(tmp_path: Path) -> None:
    """Somebody would wait for it to act."""
    config = config_of({"time": "1h"})
    del config["actions"]["video"]["budget"]
    _, reports = compiled(tmp_path, config)
    assert found(reports) == [("warning", "budget-unused")]


def test_micropython_leaves_out_what_it_cannot_count(tmp_path: Path) -> None:
    """There the action would always act."""
    made, reports = compiled(tmp_path, config_of({"time": "1h"}))
    assert image_for(made, "unix:///x") is not None
    assert ("warning", "budget-unsupported") in found(reports)
    assert made.actions[0].code


def test_another_amount_is_another_cause_and_the_same_one_is_not(tmp_path: Path) -> None:
    """A reload with more time would leave what runs blocked; each reload would re-evaluate everything."""
    one, again, other = (compiled(tmp_path, config_of({"time": time}))[0] for time in ("1h", "60m", "2h"))
    assert image_of(one)["decides"] == image_of(again)["decides"] != image_of(other)["decides"]


def test_json_becomes_uci_with_its_budgets(tmp_path: Path) -> None:
    """Who moves to UCI with `nfa import` would have actions that always act."""
    exempt = [{"day": "sat", "time_start": "10:00", "time_end": "12:00"}]
    amounts = {"time": "1h30m", "bytes": "2.5GB", "start": "4:00", "days": ["sat 2h"], "shared": True, "exempt_time": exempt}
    config = config_of(amounts)
    first, _ = compiled(tmp_path, config)
    reports = Reports()
    document = document_of(json.dumps(config), "policy.json", reports)
    assert document is not None
    written = write(document)
    assert not written.notes
    second, _ = compiled(tmp_path, written.text)
    one, other = image_of(first)["budgets"], image_of(second)["budgets"]
    assert one == other and image_of(second)["action_budgets"] == [0]


def test_check_and_explain_say_what_a_budget_means(tmp_path: Path) -> None:
    """Somebody would look for the fault in the criteria, when the action does nothing because there is budget left."""
    made, _ = compiled(tmp_path, config_of({"time": "1h", "exempt_time": {"time_start": "14:00", "time_end": "16:00"}}))
    record = samples.flow("QUIC", "netify.youtube", ip_protocol=17)
    noon, afternoon = (explain(made, record, (0, hour * 3600)).steps[0] for hour in (12, 15))
    assert noon.outcome == "matched" and noon.why[0].startswith("if the budget 'b' is spent")
    assert afternoon.outcome == "outside hours" and "exempt time of the budget 'b'" in afternoon.why[0]
    data = policy_data(made)["budgets"]
    assert data[0]["name"] == "b" and data[0]["values"]["time"]["text"] == "1h"  # type: ignore[index]  # plain data
