"""`nfa route`: what it writes into /etc/config/network, to the letter, and that it takes back what it wrote and no more."""

from __future__ import annotations

import re
from pathlib import Path

import fake_uci
import pytest
from recipe_pages import recipes

from nfa.cli import main

NETWORK = """
config interface 'lan'
	option device 'br-lan'
	option proto 'static'

config interface 'wan'
	option device 'eth1'
	option proto 'dhcp'

config interface 'wan2'
	option device 'eth2'
	option proto 'dhcp'

config interface 'wan2_6'
	option device '@wan2'
	option proto 'dhcpv6'

config interface 'lte'
	option device '/dev/cdc-wdm0'
	option proto 'qmi'
	option ip4table '250'

config rule 'mine'
	option mark '0x1000000/0xff000000'
	option lookup '250'

"""
POLICY = """
config action 'films'
	list criteria 'app == 1'
	list target 'line2'

config target 'line2'
	option target_type 'firewall'
	option route '{route}'
"""
WRITTEN = """
config interface 'wan2'
	option device 'eth2'
	option proto 'dhcp'
	option ip4table '7701'
	option ip6table '7701'

config interface 'wan2_6'
	option device '@wan2'
	option proto 'dhcpv6'
	option ip6table '7701'
	option sourcefilter '0'
"""
RULES = """
config rule 'nfa_wan2_near'
	option mark '0x4000/0xc000'
	option lookup 'main'
	option suppress_prefixlength '0'
	option priority '700'

config rule 'nfa_wan2'
	option mark '0x4000/0xc000'
	option lookup '7701'
	option priority '701'

config rule6 'nfa_wan2_near_6'
	option mark '0x4000/0xc000'
	option lookup 'main'
	option suppress_prefixlength '0'
	option priority '700'

config rule6 'nfa_wan2_6'
	option mark '0x4000/0xc000'
	option lookup '7701'
	option priority '701'
"""
ONLY = """
config rule 'nfa_wan2_only_end'
	option mark '0x4000/0xc000'
	option action 'unreachable'
	option priority '702'
"""


class Router:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.network = folder / "network"
        self.network.write_text(NETWORK)
        self.policy()

    def policy(self, route: str = "wan2", more: str = "") -> None:
        (self.folder / "netify-proc-flow-actions").write_text(POLICY.format(route=route) + more)

    def nfa(self, *words: str) -> int:
        return main([words[0], *words[1:], "-u", str(self.folder)])


@pytest.fixture
def router(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Router:
    monkeypatch.setenv("PATH", fake_uci.install(tmp_path / "bin"))
    (tmp_path / "config").mkdir()
    return Router(tmp_path / "config")


def test_apply_writes_what_netifd_needs_and_remove_takes_it_back(router: Router, capsys: pytest.CaptureFixture[str]) -> None:
    """The network is not what the owner was shown; or the command leaves a rule behind that nothing explains."""
    assert router.nfa("route", "show") == 0
    shown = capsys.readouterr().out
    assert "uci set network.wan2.ip4table='7701'" in shown
    assert "uci set network.nfa_wan2.mark='0x4000/0xc000'" in shown
    assert router.nfa("route", "apply", "--dry-run") == 0
    assert capsys.readouterr().out in shown
    assert router.network.read_text() == NETWORK, "nothing is written before the owner says so"
    assert router.nfa("check") == 0
    assert "run: nfa route apply" in capsys.readouterr().out.replace("Run", "run")
    assert router.nfa("route", "apply") == 0
    text = router.network.read_text()
    assert WRITTEN in text
    assert RULES in text
    assert router.nfa("check") == 0
    assert "route apply" not in capsys.readouterr().out.partition("written")[2]
    assert router.nfa("route", "apply") == 0
    assert router.network.read_text() == text, "it is there already"
    assert router.nfa("route", "remove") == 0
    assert router.network.read_text().split() == NETWORK.split()


def test_without_fallback_a_rule_after_it_ends_the_search(router: Router) -> None:
    """While WAN 2 is down, what must not leave elsewhere leaves through WAN 1."""
    router.policy(more="\toption fallback '0'\n")
    assert router.nfa("route", "apply") == 0
    text = router.network.read_text()
    assert ONLY in text
    assert ONLY.replace("rule", "rule6").replace("_end'", "_end_6'") in text


def test_what_is_no_longer_wanted_is_taken_back_by_the_next_apply(router: Router) -> None:
    """A rule of a policy of last year still sends a mark to WAN 2."""
    router.nfa("route", "apply")
    router.policy("wan")
    assert router.nfa("route", "apply") == 0
    text = router.network.read_text()
    assert "nfa_wan2" not in text
    assert text.count("ip4table") == 2, "of the network wan, and what the owner has given to lte"


def test_a_table_that_a_network_has_already_is_used_and_left(router: Router, capsys: pytest.CaptureFixture[str]) -> None:
    """Rules of the owner for his own table lead nowhere from then on."""
    router.policy("lte", "\toption route_device 'wwan0'\n")
    assert router.nfa("route", "apply") == 0
    text = router.network.read_text()
    assert text.count("option ip4table '250'") == 1
    assert "config rule 'nfa_lte'\n\toption mark '0x4000/0xc000'\n\toption lookup '250'" in text


MWAN3 = """
config interface 'wan'
	option enabled '1'
	option family 'ipv4'

config interface 'wan2'
	option enabled '1'
	option family 'ipv4'

config interface 'wan2_6'
	option enabled '{six}'
	option family 'ipv6'
"""


@pytest.mark.parametrize("six", ["1", "0"])
def test_the_tables_that_mwan3_keeps_are_used_as_they_are(router: Router, six: str) -> None:
    """mwan3 takes the routes of its tables from the main one: with ip4table, its second WAN would be gone."""
    (router.folder / "mwan3").write_text(MWAN3.format(six=six))
    assert router.nfa("route", "apply") == 0
    text = router.network.read_text()
    assert "ip4table '77" not in text
    assert "config rule 'nfa_wan2'\n\toption mark '0x4000/0xc000'\n\toption lookup '2'\n" in text
    table = "3" if six == "1" else "7701"
    assert f"config rule6 'nfa_wan2_6'\n\toption mark '0x4000/0xc000'\n\toption lookup '{table}'\n" in text
    assert ("option ip6table '7701'" in text) is (six == "0")
    assert router.nfa("route", "apply") == 0
    assert router.network.read_text() == text


def test_the_network_of_the_recipe_is_what_apply_makes_of_it(router: Router) -> None:
    """Who writes it by hand has another one than who has it written, and nfa says that something is missing."""
    recipe = recipes()["Netflix through WAN 2"]
    kept = [line for line in recipe.network.splitlines() if not re.search("table|sourcefilter", line)]
    router.network.write_text("\n".join(kept).partition("config rule")[0])
    (router.folder / "netify-proc-flow-actions").write_text(recipe.uci)
    assert router.nfa("route", "apply") == 0
    assert router.network.read_text().split() == recipe.network.split()


@pytest.mark.parametrize(
    ("route", "code"), [("wan3", "route-unknown"), ("lte", "route-unknown")], ids=["no network", "no device is known"]
)
def test_a_route_that_cannot_be_is_an_error(router: Router, route: str, code: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Half of a route is written: marked packets go nowhere."""
    router.policy(route)
    assert router.nfa("check", "--json") == 1
    assert code in capsys.readouterr().out
    assert router.nfa("route", "apply") == 1
    assert router.network.read_text() == NETWORK


def test_elsewhere_there_is_nothing_to_apply(router: Router, capsys: pytest.CaptureFixture[str]) -> None:
    """Someone on Debian waits for a file that nobody reads."""
    router.network.unlink()
    assert router.nfa("route", "show") == 0
    assert "made by the daemon" in capsys.readouterr().out
    assert router.nfa("route", "apply") == 1
