"""netifyd's files about categories, of every age: numbers, tags of the owner's, lists."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import samples
from policies import Desk, compiled, config_of

from nfa.cli import main
from nfa.compiler import catalogue, categories

OLDER = {
    "last_update": 1696950440,
    "application_index": {"streaming-media": [124, 133], "games": [10362], "messaging": [199], "junk": "x"},
    "protocol_index": {"web": [7, 196], "games": [76]},
}


def record(host: str = "", other: str = "203.0.113.10", **category: int) -> samples.Record:
    made = samples.flow("HTTP/S", "netify.youtube", local="192.168.1.35", other=other)
    made["flow"] |= {"category": {"application": 0, "protocol": 0, "domain": 0} | category}
    if host:
        made["flow"]["host_server_name"] = host
    return made


def test_the_older_file_is_read_as_netifyd_reads_it(tmp_path: Path) -> None:
    """Conditions on categories would use the built-in numbers, which mean something else to such an agent."""
    (tmp_path / "netify-categories.json").write_text(json.dumps(OLDER))
    names = catalogue.load([str(tmp_path)])
    assert names.application_categories == {"games": 1, "messaging": 2, "streaming-media": 3}
    assert names.protocol_categories == {"games": 1, "web": 2}
    assert names.category_of_application == {10362: 1, 199: 2, 124: 3, 133: 3}
    assert names.category_of_protocol == {76: 1, 7: 2, 196: 2}
    assert names.sources[-1] == str(tmp_path / "netify-categories.json")
    made, reports = compiled(tmp_path, config_of({"a": "category == 'games';", "b": "protocol_category == 'web';"}))
    assert not reports.items
    assert Desk(made).actions(record(application=1, protocol=2)) == ["a", "b"]
    assert Desk(made).actions(record(application=12, protocol=22)) == []


def test_only_the_agents_own_numbers_count(tmp_path: Path) -> None:
    """A built-in number would stand for another category of a newer agent: flows of strangers would match."""
    (tmp_path / "netify-categories.json").write_text(
        json.dumps({"application_tag_index": {"dating": 12}, "protocol_tag_index": {}})
    )
    names = catalogue.load([str(tmp_path)])
    assert names.application_categories == {"dating": 12}
    assert names.protocol_categories == catalogue.builtin().protocol_categories
    assert names.category_of_application == catalogue.builtin().category_of_application


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"application_index": {}}', '{"application_index": [[1, [2]]]}', "{"])
def test_a_file_that_says_nothing_is_told(tmp_path: Path, content: str) -> None:
    """A half-written update would be named as a source while the built-in numbers are used."""
    file = tmp_path / "netify-categories.json"
    file.write_text(content)
    names = catalogue.load([str(tmp_path)])
    assert str(file) not in names.sources
    assert names.application_categories == catalogue.builtin().application_categories
    _, reports = compiled(tmp_path, config_of({"a": "*"}))
    (warning,) = reports.items
    assert (warning.code, warning.severity) == ("names-unreadable", "warning")
    assert str(file) in warning.text()
    assert "the built-in names are used" in warning.text().lower()


def test_categories_of_ones_own_have_their_numbers(tmp_path: Path) -> None:
    """What netifyd 5 calls custom categories could not be written."""
    rows = [{"id": 10000, "tag": "Self-Harm", "label": "Self harm"}, {"id": "x", "tag": "odd"}, {"tag": "none"}, 5]
    (tmp_path / "custom-categories.json").write_text(json.dumps(rows))
    (tmp_path / "categories.d").mkdir()
    (tmp_path / "categories.d" / "10-self-harm.conf").write_text("dom:bad.example\n")
    made, reports = compiled(tmp_path, config_of({"a": "domain_category == 'self-harm';"}))
    assert not reports.items
    assert Desk(made).actions(record(domain=10000)) == ["a"]
    # netifyd has a number for it, and so it is netifyd who matches the list.
    assert Desk(made).actions(record(host="bad.example")) == []
    assert "odd" not in made.catalogue.application_categories


LIST = "# mine\ndom:example.org\n dom:Shop.Example.NET\nplain.example\nnet:198.51.100.0/24\nnet:2001:db8:5::/48\n" + (
    "net:192.0.2.1-192.0.2.9\nrxp:ads?[0-9]+\\.example\\.com\nnonsense:1\nnet:x\nrxp:[[:alpha:]]\n"
)


@pytest.mark.parametrize("name", ["categories.d/50-mine.conf", "categories.d/50.mine.conf", "domains.d/10-Mine.txt"])
def test_a_list_whose_tag_netifyd_does_not_know_is_matched_by_nfa(tmp_path: Path, name: str) -> None:
    """An owner's list could not be used: netifyd ignores it without a word when its tag is none of its categories."""
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text(LIST)
    actions = {
        "any": "category == 'mine';", "name": "domain_category == 'Mine';", "net": "other_network_category == 'mine';",
        "not": "category != 'mine';", "both": "category == 'mine' && other_port == 443;",
    }  # fmt: skip
    made, reports = compiled(tmp_path, config_of(actions))
    assert not reports.errors
    assert {report.code for report in reports.items} == {"category-list"}
    assert any(f"{name}:9: 'nonsense:1' is no entry of a list" in report.text() for report in reports.items)
    desk = Desk(made)
    by_name, by_net, none = ["any", "name", "both"], ["any", "net", "both"], ["not"]
    for host, expected in {
        "example.org": by_name, "www.EXAMPLE.org": by_name, "notexample.org": none, "org": none, "shop.example.net": by_name,
        "example.net": none, "a.plain.example": by_name, "ad7.example.com": by_name, "x.ad7.example.com": none, "": none,
    }.items():  # fmt: skip
        assert desk.actions(record(host=host)) == expected, host
    for other, expected in {"198.51.100.77": by_net, "192.0.2.5": by_net, "192.0.2.10": none}.items():
        assert desk.actions(record(other=other)) == expected, other


def test_a_list_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """A condition would never hold, and nobody would say why."""
    (tmp_path / "categories.d").mkdir()
    (tmp_path / "categories.d" / "10-empty.conf").write_text("# nothing\n")
    many = "".join(f"dom:h{number}.example\n" for number in range(categories.MAX_ENTRIES + 1))
    (tmp_path / "categories.d" / "10-many.conf").write_text(many)
    (tmp_path / "categories.d" / "10-nets.conf").write_text("net:10.0.0.0/8\n")
    texts = {
        "a": "category == 'empty';",
        "b": "category == 'many';",
        "c": "domain_category == 'nets';",
        "d": "category != 'empty';",
    }
    made, reports = compiled(tmp_path, config_of(texts))
    words = [report.text() for report in reports.warnings]
    assert sum("has nothing that" in text for text in words) == 4
    assert any("nfa matches at most 20000" in text for text in words)
    assert Desk(made).actions(record(host="h1.example")) == ["d"]


def test_the_command_lists_tags_of_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tag that can be written would be nowhere to be found."""
    (tmp_path / "categories.d").mkdir()
    (tmp_path / "categories.d" / "50-mine.conf").write_text("dom:example.org\n")
    assert main(["categories", "mine", "--state-dir", str(tmp_path), "--control", str(tmp_path / "none")]) == 0
    assert "domain_category == 'mine'" in capsys.readouterr().out


def test_a_list_has_the_same_digest_in_every_compilation(tmp_path: Path) -> None:
    """Each reload would end the effects of its action and begin them again: the order of a set differs between processes."""
    (tmp_path / "categories.d").mkdir()
    (tmp_path / "categories.d" / "50-mine.conf").write_text("".join(f"dom:h{number}.example\n" for number in range(50)))
    (tmp_path / "policy.json").write_text(json.dumps(config_of({"a": "category == 'mine';"})))
    program = (
        "import sys; from nfa.compiler.compile import *; from nfa.compiler.assemble import image_of\n"
        "from nfa.compiler.config.sources import Sources\n"
        "paths = Paths(sys.argv[1], sys.argv[1])\n"
        "made, _ = compile_policy(Sources(files=(sys.argv[1] + '/policy.json',)), paths, look=False)\n"
        "print(sorted((t['name'], t['cause']) for t in image_of(made)['targets']))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(said) == 1


def test_who_chooses_from_lists_can_choose_a_list(tmp_path: Path) -> None:
    """The pages would not offer a tag that can be written."""
    (tmp_path / "categories.d").mkdir()
    for name in ("50-mine.conf", "60-games.conf"):
        (tmp_path / "categories.d" / name).write_text("dom:example.org\n")
    rows = catalogue.rows(catalogue.load([str(tmp_path)]))["categories"]
    assert [row for row in rows if row["of"] == "list"] == [{"name": "mine", "id": 0, "of": "list"}]
