"""The documentation and the code say the same: names and defaults, policies that compile, rules that load, links that lead."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from policies import json_only
from private_network import Unavailable, environment, prefix
from waiting import patience

from nfa.cli import _MODULES, COMMANDS, main
from nfa.compiler.assemble import image_of
from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Place, Report
from nfa.compiler.catalogue import builtin
from nfa.compiler.compile import Compiled, compile_policy
from nfa.compiler.config import features, jsontext, servers, uciconfig
from nfa.compiler.config.channel_options import CHANNEL_OPTIONS
from nfa.compiler.config.convert import UINT32
from nfa.compiler.config.document import SINGULARS
from nfa.compiler.config.options import (
    ACTION_OPTIONS,
    BUDGET_OPTIONS,
    COMMON_OPTIONS,
    DEVICE_OPTIONS,
    GLOBAL_OPTIONS,
    GROUP_OPTIONS,
    MAIN_OPTIONS,
    NOTICE_OPTIONS,
    TARGET_GLOBALS,
    TARGET_OPTIONS,
    Option,
    Options,
)
from nfa.compiler.config.sources import Sources
from nfa.compiler.expression.attributes import ATTRIBUTES, BY_NAME, CONSTANTS
from nfa.compiler.expression.tree import Devices, Members, Network
from nfa.compiler.expression.understand import Context, understand
from nfa.compiler.provision import nftset
from nfa.daemon.bus import calls, methods, news, status
from nfa.daemon.daemon import Daemon
from nfa.daemon.engine import engine
from nfa.daemon.sinks import listener
from nfa.daemon.sinks import log as sink_log
from nfa.daemon.sinks.channel import MAX_QUEUED
from nfa.daemon.sinks.link import LONGEST_WAIT
from nfa.daemon.sinks.remembered import MAX_FLOWS
from nfa.daemon.targets import pf
from nfa.daemon.targets.sets import slot
from nfa.daemon.targets.target import SetTarget
from nfa.image import cpython as image

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
MADE = {"bench/results/latest.json"}
"""What documents name and only a run makes."""
FAMILIES = {number: name for name, number in nftset.TABLE_FAMILIES.items()}


def page(name: str) -> str:
    """A page without its code blocks, whose comments would pass for headings."""
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def section(text: str, heading: str) -> str:
    """The text from a heading to the next one of the same or a higher level."""
    level = heading.split(" ")[0]
    found = re.search(rf"^{re.escape(heading)}$(.*?)(?=^#{{1,{len(level)}}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"there is no heading '{heading}'"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row but the headings; `\\|` is a bar."""
    lines = re.findall(r"^\|(.*)\|$", text, re.MULTILINE)
    cells = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)] for line in lines]
    rules = [index for index, row in enumerate(cells) if set("".join(row)) == {"-"}]
    return [row for index, row in enumerate(cells) if index not in rules and index + 1 not in rules]


def ticked(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


# -- configuration.md ---------------------------------------------------------------------------------------------------


def documented(table: list[list[str]]) -> dict[str, tuple[set[str], str]]:
    """Property to (aliases, default cell). Aliases are written: Also `other`."""
    return {ticked(row[0])[0]: (set(re.findall(r"Also `(\w+)`", row[-1])), row[-2]) for row in table}


def default_of(option: Option) -> str:
    """The default as the page writes it, or '' where it has words of its own."""
    if option.required:
        return "required"
    value = option.default
    if option.convert is servers.mode:
        return f"`{value:04o}`"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return hex(value) if value == UINT32 else str(value)
    if isinstance(value, str) and value:
        return f"`{value}`"
    if value == (4, 6):
        return "`*`"
    return ", ".join(f"`{word}`" for word in value) if isinstance(value, tuple) and value else ""


def compare(options: Options, table: list[list[str]]) -> None:
    found = documented(table)
    assert set(found) == {option.name for option in options}
    for option in options:
        aliases, default = found[option.name]
        assert aliases == set(option.aliases), option.name
        assert not default_of(option) or default == default_of(option), option.name


def test_every_global_and_action_property_is_documented_with_its_default_and_no_other() -> None:
    text = page("configuration.md")
    top = [row for row in rows(section(text, "## Top level")) if ticked(row[0])[0] in {o.name for o in GLOBAL_OPTIONS}]
    compare(GLOBAL_OPTIONS, top)
    actions = section(text, "## Actions").partition("\n### ")[0]
    compare(ACTION_OPTIONS, rows(actions))


def test_every_property_of_a_device_is_documented_with_its_default_and_no_other() -> None:
    text = page("configuration.md")
    compare(DEVICE_OPTIONS, rows(section(text, "## Devices").partition("\n### ")[0]))
    compare(GROUP_OPTIONS, rows(section(text, "### Groups of devices")))
    compare(NOTICE_OPTIONS, rows(section(text, "## Notices")))


def test_every_property_of_a_budget_is_documented_with_its_default_and_no_other() -> None:
    compare(BUDGET_OPTIONS, rows(section(page("budgets.md"), "## Properties")))


def test_every_target_option_is_documented_with_its_default_and_no_other() -> None:
    text = page("configuration.md")
    common = [row for row in rows(section(text, "## Targets").partition("\n### ")[0]) if ticked(row[0]) != ["target_type"]]
    compare(COMMON_OPTIONS, common)
    for kind, options in TARGET_OPTIONS.items():
        compare(options, rows(section(text, f"### {kind}")))
    of_types = rows(section(text, "### target_globals"))
    for kind, options in TARGET_GLOBALS.items():
        compare(options, [row[1:] for row in of_types if row[0] == kind])
    assert {row[0] for row in of_types} <= {*TARGET_OPTIONS}


def test_every_option_of_a_channel_is_documented_with_its_default_and_no_other() -> None:
    text = page("configuration.md")
    for kind, options in CHANNEL_OPTIONS.items():
        compare(options, rows(section(text, f"### Channels of {kind}")))


def test_the_bounds_of_tables_are_those_of_the_code() -> None:
    text = section(page("targets.md"), "## pftable") + page("bounds.md") + page("testing.md")
    for words in (
        f"after {pf.LIMIT:.0f} seconds", f"up to {pf.LAST_RETRY} seconds", f"up to {pf.BATCH:,} addresses",
        f"{pf.STOP_LIMIT:.0f} seconds at the end", f"{pf.MAX_WAITING:,} to be added", features.PFCTL_VARIABLE,
    ):  # fmt: skip
        assert words in text, words


def test_the_bounds_of_sinks_are_those_of_the_code() -> None:
    text = section(page("targets.md"), "## sink")
    for words in (
        f"the {MAX_FLOWS:,} heard from", f"up to {listener.MAX_READERS} readers",
        f"more than {listener.MAX_BEHIND >> 20} MiB", f"writes more than {listener.MAX_WRITTEN >> 10} KiB",
        f"over {listener.MAX_HELD >> 20} MiB wait for all",
        f"nothing for {listener.STALLED:.0f} seconds", f"over {sink_log.MAX_PENDING >> 20} MiB in an interval",
        f"{MAX_QUEUED >> 20} MiB wait", f"later each time up to {LONGEST_WAIT:.0f} s",
    ):  # fmt: skip
        assert words in text, words


def test_every_section_of_uci_is_documented_and_the_options_of_main() -> None:
    text = section(page("configuration.md"), "## UCI")
    table = rows(text.partition("\n### ")[0])
    documented_types = {ticked(row[0])[0].split()[1] for row in table}
    assert documented_types == {*SINGULARS, "time_of_day", "sink", "channel", "nfa"}
    compare(MAIN_OPTIONS, rows(section(text, "### The section nfa main")))


def test_the_bounds_of_configuration_files_are_those_of_the_code() -> None:
    text = section(page("configuration.md"), "## When something is wrong")
    assert f"JSON {jsontext.MAX_SIZE >> 20} MiB, UCI {uciconfig.MAX_SIZE >> 20} MiB" in text


# -- expressions.md -----------------------------------------------------------------------------------------------------


def attribute_rows() -> list[list[str]]:
    return rows(section(page("expressions.md"), "## Attributes"))


def test_every_attribute_alias_and_constant_is_documented_and_no_other() -> None:
    table = attribute_rows()
    assert sorted(ticked(row[0]) for row in table) == sorted(list(attribute.names) for attribute in ATTRIBUTES)
    text = page("expressions.md")
    assert all(f"`{constant}`" in text for constant in CONSTANTS)


def test_every_example_of_an_attribute_is_a_valid_expression_about_it() -> None:
    members = (Network(bytes((192, 0, 2, 0)), 24),), frozenset({bytes(6)})
    groups = {name: Members(name, *members) for name in ("servers", "tablets")}
    devices = {name: Devices(name, frozenset((0,))) for name in ("kids_tablet", "printers", "kids")}
    warnings: list[str] = []
    context = Context(builtin(), groups, devices, warn=lambda code, message, offset, hint: warnings.append(message))
    for row in attribute_rows():
        example = ticked(row[3])[0]
        nodes, errors = understand(example + ";", context)
        assert nodes and not errors and not warnings, (example, errors, warnings)
        names = set(re.findall(r"\w+", re.sub(r"'[^']*'", "", example))) & set(BY_NAME)
        assert names & set(ticked(row[0])), example


def shown_findings() -> list[tuple[str, str]]:
    """The expressions of the page that `nfa eval` finds fault with, and what the page says it prints."""
    text = (ROOT / "docs" / "expressions.md").read_text(encoding="utf-8")
    return re.findall(r'^\$ nfa eval "(.*)" \S+\n(expression:.*\n.*\n.*\^)$', text, re.MULTILINE)


@pytest.mark.parametrize(("expression", "printed"), shown_findings())
def test_errors_are_shown_as_nfa_eval_prints_them(
    expression: str, printed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = tmp_path / "none.jsonl"
    recording.touch()
    main(["eval", "--state-dir", str(tmp_path), expression, str(recording)])
    assert printed in capsys.readouterr().err


# -- commands.md --------------------------------------------------------------------------------------------------------


def test_every_command_has_a_section_and_every_option_is_in_it() -> None:
    text = page("commands.md")
    assert re.findall(r"^## nfa (\w+)$", text, re.MULTILINE) == list(COMMANDS)
    for name in COMMANDS:
        parser = argparse.ArgumentParser()
        importlib.import_module(f"nfa.cli.{_MODULES.get(name, name)}").add_arguments(parser)
        real = {option for action in parser._actions for option in action.option_strings} - {"-h", "--help"}
        # What several commands share stands at the head of the page, or with the first of them.
        shared = text.partition("\n## nfa run")[0]
        same_as = section(text, "## nfa apps") if name in _MODULES else ""
        here = section(text, f"## nfa {name}")
        said = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", " ".join(ticked(shared + same_as + here))))
        assert real <= said, (name, real - said)
        first_cells = " ".join(row[0] for row in rows(here))
        assert set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", first_cells)) <= real, name


def test_the_readme_names_every_command() -> None:
    named = set(re.findall(r"`nfa (\w+)`", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert named == set(COMMANDS)


# -- status.md ----------------------------------------------------------------------------------------------------------


def test_every_field_of_status_is_documented_and_no_other(tmp_path: Path) -> None:
    policy = tmp_path / "p.json"
    policy.write_text(
        '{"version": 1, "actions": {"a": {"criteria": "*", "targets": ["l"]}}, "targets": {"l": {"target_type": "log"}}}'
    )
    compiled, _ = compile_policy(json_only(policy), Paths(str(tmp_path)), look=False)
    assert compiled is not None
    daemon = Daemon({"source": "unix:///nowhere", "files": [], "control": "/nowhere", "ubus": "none"})
    daemon.loader.take(image_of(compiled) | {"watch": []}, 1)
    daemon.pauses.pause("a", 60)
    report = status.report(daemon, calls.PAGE_BYTES)
    flat = (
        "source",
        "policy",
        "flows",
        "networks",
        "kernel",
        "devices",
        "usage",
        "budgets",
        "ubus",
        "loop",
        "memory",
        "faults",
        "health",
    )
    flat += ("notices",)
    nested = {*flat, "actions", "targets", "findings", "paused"}
    text = page("status.md")
    fields = {"Top": set(report) - nested, "actions": set(report["actions"]["a"]), "targets": set(report["targets"]["l"])}
    fields["paused"] = set(report["paused"][0])
    fields.update({name: set(report[name]) for name in flat})
    for name, expected in fields.items():
        table = section(text, f"## {name}").partition("\n`trouble` is")[0].partition("\n| severity")[0]
        assert {word for row in rows(table) for word in ticked(row[0])} == expected, name
    source = section(text, "## source")
    assert set(report["source"]["bad"]) | set(report["source"]["kinds"]) <= set(ticked(source))


def test_the_fields_of_a_set_in_status_are_documented() -> None:
    kernel_set = SimpleNamespace(data={"set": "s.v4", "table": "t"}, present=0, trouble="", trouble_code="")
    counters = slot.Counters("t", "nftset")
    bound = SetTarget(counters, "*")
    bound.slots = [kernel_set]  # type: ignore[list-item]
    registry = SimpleNamespace(counters=lambda name, kind: counters, targets={"t": bound}, connections=None)
    report = status._target(
        {"name": "t", "type": "nftset", "enabled": True, "channel": {}}, registry, SimpleNamespace(until=lambda name: None), 1
    )
    row = next(row for row in rows(section(page("status.md"), "## targets")) if row[0] == "`sets`")
    assert set(report["sets"][0]) == set(ticked(row[1])) - {'""'}


# -- bus.md -------------------------------------------------------------------------------------------------------------


def test_every_method_and_argument_of_the_bus_is_documented_and_no_other() -> None:
    table = rows(section(page("bus.md"), "## Methods").partition("\n### ")[0])
    documented = {ticked(row[0])[0]: set(ticked(row[1])) for row in table}
    assert documented == {name: set(arguments) for name, arguments in methods.signatures().items()}


def test_every_field_of_a_finding_is_documented_and_no_other() -> None:
    """A program that reads `check` would look for a field that is not there."""
    found = Report("bad-value", "error", Place("f", 1, 1, "p.s.o"), "m", "h", "c", "e").as_dict()
    first, second = section(page("bus.md"), "### Findings").split("A place has:")
    assert {word for row in rows(first) for word in ticked(row[0])} == set(found)
    assert {word for row in rows(second) for word in ticked(row[0])} == set(found["place"])


def test_what_must_be_done_about_a_trouble_is_documented_by_its_code() -> None:
    """Who reads a code in status would not find what to do."""
    text = section(page("status.md"), "## targets").partition("\n`trouble` is")[2]
    codes = {word for row in rows(text) for word in ticked(row[0])}
    assert codes >= {
        "set-full",
        "set-missing",
        "set-other-type",
        "labels-no-room",
        "no-permission",
        "kernel-refused",
        "cut-refused",
    }
    assert codes <= set(
        re.findall(r"^\| `([a-z-]+)` \|", (ROOT / "docs" / "codes.md").read_text(encoding="utf-8"), re.MULTILINE)
    )


def test_the_rights_for_a_browser_are_about_every_method() -> None:
    (block,) = [json.loads(text) for text in blocks((ROOT / "docs" / "bus.md").read_text(encoding="utf-8"), "json")]
    named = [method for right in ("read", "write") for method in block["nfa"][right]["ubus"]["nfa"]]
    assert sorted(named) == sorted(methods.signatures())
    writing = ["reload", "flush", "add_budget", "forget_usage", "adopt", "notice", "pause", "resume"]
    assert block["nfa"]["write"]["ubus"]["nfa"] == writing


def test_the_limits_and_events_of_the_bus_are_documented() -> None:
    text = page("bus.md")
    assert f"{methods.MAX_LIMIT:,} items" in text
    assert f"the last {engine.RECENT} decisions" in text
    assert f"at most {news.MATCHES_A_SECOND} a second" in text
    assert {ticked(row[0])[0] for row in rows(section(text, "## Events"))} == {
        f"nfa.{name}" for name in re.findall(r"tell[(,] ?\"(\w+)\"", "".join(
            (ROOT / "nfa/daemon" / file).read_text()
            for file in ("daemon.py", "loader.py", "bus/news.py", "notices/notice.py")
        ))
    }  # fmt: skip


# -- what can be copied from all pages ----------------------------------------------------------------------------------


def state_folder(folder: Path) -> Paths:
    """A folder in netifyd's place, with the files that the pages show for it."""
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for name, body in re.findall(r"^`/etc/netifyd/([\w./-]+)`:\n\n```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(body, encoding="utf-8")
    return Paths(str(folder))


def policies() -> Iterator[tuple[Path, str]]:
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for body in (*blocks(text, "json"), *blocks(text, "uci")):
            if '"version"' in body or body.startswith("config "):
                yield path, body


def compiled_policy(body: str, folder: Path) -> Compiled:
    """Compile a policy in JSON or in UCI that has nothing wrong in it."""
    package = not body.startswith("{")
    file = folder / (uciconfig.PACKAGE if package else "policy.json")
    file.write_text(body, encoding="utf-8")
    sources = Sources(str(folder), True) if package else json_only(file)
    compiled, reports = compile_policy(sources, state_folder(folder / "state"), look=False)
    found = [report.text() for report in reports.items if report.severity != "info"]
    assert compiled is not None and not found, "\n".join(found)
    return compiled


@pytest.mark.parametrize(("path", "body"), [pytest.param(*p, id=f"{p[0].stem}-{i}") for i, p in enumerate(policies())])
def test_every_policy_of_the_pages_compiles_without_a_finding(path: Path, body: str, tmp_path: Path) -> None:
    compiled = compiled_policy(body, tmp_path)
    assert (compiled.actions or compiled.policy.notices) and image.load(image.dump(image_of(compiled)))


def rules_of(path: Path, folder: Path) -> str:
    """A script that makes the sets of a page's policies, then loads its rules."""
    text = path.read_text(encoding="utf-8")
    lines = ["set -e"]
    for index, body in enumerate((*blocks(text, "json"), *blocks(text, "uci"))):
        own = folder / str(index)
        own.mkdir()
        for made in compiled_policy(body, own).slots:
            if made["kind"] == "nftset":
                key = nftset.key_of(made["fields"], made["family"])
                family = FAMILIES[made["table_family"]]
                lines.append(nftset.command(family, made["table"], made["set"], key, ttl=made["ttl"]))
    for number, rules in enumerate(blocks(text, "nft")):
        file = folder / f"{number}.nft"
        file.write_text(rules, encoding="utf-8")
        lines.append(f"nft -f {file}")
    for block in blocks(text, "sh"):
        lines += [line for line in block.splitlines() if line.startswith(("ipset ", "iptables ", "ip6tables "))]
    return "\n".join(lines)


WITH_RULES = [path for path in PAGES if blocks(path.read_text(encoding="utf-8"), "nft")]


@pytest.mark.kernel
@pytest.mark.parametrize("path", WITH_RULES, ids=lambda p: p.stem)
def test_the_rules_of_the_pages_load_where_their_sets_are(path: Path, tmp_path: Path) -> None:
    try:
        private = prefix()
    except Unavailable as reason:
        pytest.skip(str(reason))
    script = rules_of(path, tmp_path)
    if "iptables " in script and not shutil.which("iptables", path=environment()["PATH"]):
        pytest.skip("iptables is not installed")
    done = subprocess.run(
        [*private, "sh", "-c", script], capture_output=True, text=True, env=environment(), timeout=patience(60), check=False
    )
    assert done.returncode == 0, done.stderr


def anchor(heading: str) -> str:
    """The name by which GitHub links a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_between_the_pages_leads_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        name, _, fragment = link.partition("#")
        target = path.parent / name if name else path
        assert target.is_file(), link
        if fragment:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert fragment in map(anchor, headings), link


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_path_of_the_repository_that_a_document_names_is_there(path: Path) -> None:
    """Who follows a document into the code would find nothing where it points."""
    folders = "|".join(name for name in ("nfa", "tests", "docs", "bench", "demo", "packaging", "feeds", "files", r"\.ci"))
    named = re.findall(rf"(?<![\w./:-])((?:{folders})/[\w./-]*\w)", path.read_text(encoding="utf-8"))
    assert [name for name in named if name not in MADE and not (ROOT / name).exists()] == []


def test_the_architecture_shows_every_package() -> None:
    """A newcomer reads the map first; a package that is not on it is found by chance."""
    text = section((ROOT / "docs/architecture.md").read_text(encoding="utf-8"), "## The house")
    folders = [path.parent for path in (ROOT / "nfa").rglob("__init__.py")]
    missing = [folder.name for folder in folders if not re.search(rf"\b{folder.name}/", text)]
    assert set(missing) <= {"data"}


def test_every_decision_is_listed_and_has_its_three_parts() -> None:
    """A decision that nobody finds, or that does not say why, will be made again."""
    folder = ROOT / "docs/decisions"
    listed = rows((folder / "README.md").read_text(encoding="utf-8"))
    records = sorted(folder.glob("0*.md"))
    assert [row[0] for row in listed] == [f"[{number}]({path.name})" for number, path in enumerate(records, 1)]
    for row, path in zip(listed, records, strict=True):
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {int(path.name[:4])}. {row[1]}\n"), path.name
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"], path.name


def test_who_wants_to_stop_what_plays_is_led_to_cut() -> None:
    """A bedtime that lets the film go on: with offloading the rules alone do not stop it."""
    sections = {
        "configuration.md": ("### time_of_day", "## Targets"),
        "openwrt.md": ("## Flow offloading", "## When nothing"),
        "recipes.md": ("## Bedtime", "## Zoom"),
    }
    for page, (begin, end) in sections.items():
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        assert "(targets.md#cut)" in text.partition(begin)[2].partition(end)[0], page
    assert "#option cut '1'" in (ROOT / "files/etc/config/netify-proc-flow-actions").read_text(encoding="utf-8")


def test_who_wants_to_mark_for_a_second_wan_is_warned_and_led_to_the_recipe() -> None:
    """A mark alone changes no route, and one that does breaks the connection that it is put on."""
    text = (ROOT / "docs/targets.md").read_text(encoding="utf-8")
    marks = text.partition("## ctmark")[2].partition("## ctlabel")[0]
    for words in ("must not change its route", "(recipes.md#netflix-through-wan-2)"):
        assert words in marks
    assert "ln -s /etc/connlabel.conf /etc/xtables/connlabel.conf" in text.partition("## ctlabel")[2]
