"""What a person does with the pages, from the login to the packets that are stopped."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kernel_lab import environment
from luci_lab import CONFIG as PACKAGE
from luci_lab import TABLET, TABLET_MAC, Person, Router
from samples import definitions, flow, frame, hello, status
from waiting import eventually

BEDTIME = 23
"""The hour that the router's clock shows: within the hours of the policy, whenever the test runs."""


def _zone() -> str:
    """A zone where it is BEDTIME now. POSIX counts to the west."""
    ahead = BEDTIME - time.gmtime().tm_hour
    return f"TST{-ahead if ahead <= 12 else 24 - ahead}"


def configuration() -> str:
    return f"""\
config nfa 'main'
	option source '{{source}}'
	option timezone '{_zone()}'

config exemption 'global'
	list exemption "protocol == 'dns';"

config target 'stop'
	option target_type 'firewall'
	option verdict 'reject'
"""


@pytest.fixture
def router(start: Callable[..., Router]) -> Router:
    made = start(configuration())
    made.connected()
    made.feed(hello(), definitions())
    return made


@contextmanager
def replayed(path: Path, uri: str, *records: dict[str, Any]) -> Iterator[None]:
    """Let `nfa replay` be the netifyd of the router, for a stream with these records."""
    recording = path / "recording.bin"
    recording.write_bytes(b"".join(map(frame, (hello(), status(), definitions(), *records))))
    command = [sys.executable, "-m", "nfa", "replay", str(recording), "--listen", uri, "--speed", "full", "--linger", "120"]
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def pick(person: Person, field: str, text: str) -> None:
    """Search a list of choices, and take what it shows first."""
    box = person.page.locator(".modal").get_by_role("combobox", name=field, exact=True)
    box.press_sequentially(text)
    person.page.locator(".modal .nfa-list:visible [role=option]").first.wait_for()
    box.press("Enter")


def add(person: Person, tab: str, kind: str, name: str) -> None:
    """Add something of a name on a tab of the page Rules: its editor opens."""
    person.page.locator("#view .cbi-tabmenu").first.get_by_role("link", name=tab, exact=True).click()
    person.page.get_by_role("textbox", name=f"Name of a new {kind}").press_sequentially(name)
    person.page.get_by_role("button", name=f"Add a {kind}").click()
    person.page.locator(".modal .cbi-map").wait_for()


def save(person: Person) -> None:
    """Close the editor with Save."""
    person.page.locator(".modal").get_by_role("button", name="Save", exact=True).click()
    person.page.locator(".modal .cbi-map").wait_for(state="hidden")


def hits(person: Person, policy: str) -> int:
    """What the overview shows as the hits of a policy."""
    row = person.page.get_by_role("row").filter(has_text=policy).first
    return int(row.locator("td[data-title=Hits]").inner_text())


def packets(person: Person, policy: str) -> str:
    """What the overview shows of the packets of a policy."""
    row = person.page.get_by_role("row").filter(has_text=policy).first
    return str(row.locator("td[data-title=Packets]").inner_text())


def test_no_youtube_for_the_tablet_after_nine(router: Router, sit_down: Callable[..., Person], tmp_path: Path) -> None:
    """A policy made of choices is in force after Save & Apply, and stops the packets of what it is about, and no others."""
    router.home(TABLET, "192.168.1.21")
    person = sit_down(router)
    person.open("policies")
    add(person, "Schedules", "schedule", "evening")
    field = f"widget.cbid.{PACKAGE}.evening"
    person.type_into(person.page.locator(f'[id="{field}.time_start"]'), "21:00")
    person.type_into(person.page.locator(f'[id="{field}.time_end"]'), "06:30")
    save(person)

    add(person, "Rules", "rule", "no_youtube")
    pick(person, "Applications, protocols and categories", "youtube")
    pick(person, "Devices", "tablet")
    pick(person, "Schedules", "evening")
    person.sees("Valid: the daemon understands it.")
    save(person)
    person.row("no_youtube")
    generation = router.ubus("nfa", "status")["policy"]["generation"]
    person.save_and_apply()

    written = router.config()
    assert f"list criteria 'app == '\\''netify.youtube'\\'' && mac == {TABLET_MAC.upper()};'" in written
    assert "list time_of_day 'evening'" in written
    loaded = eventually(
        lambda: (now := router.ubus("nfa", "status"))["policy"]["generation"] > generation and now, what="the daemon reloads"
    )
    assert loaded["policy"]["errors"] == 0
    assert loaded["actions"]["no_youtube"]["in_hours"]

    person.open("overview")
    person.row("no_youtube")
    assert hits(person, "no_youtube") == 0
    router.netifyd.close()
    flows = (
        flow(application="netify.youtube", local="192.168.1.21", other="203.0.113.11"),
        flow(application="netify.netflix", local=TABLET, other="203.0.113.12"),
        flow(application="netify.youtube", local=TABLET, other="203.0.113.10", host_server_name="video.example"),
    )
    assert {router.connect(record) for record in flows} == {"lost"}, "nobody is stopped before netifyd knows what it is"
    with replayed(tmp_path, router.netifyd.uri, *flows):
        eventually(lambda: hits(person, "no_youtube") == 1, what="the counter of hits rises")
        assert [router.connect(record) for record in flows] == ["lost", "lost", "refused"]
        eventually(
            lambda: re.match(r"1 connection held\s+1 packet stopped", packets(person, "no_youtube")), what="the packet is shown"
        )
        person.shoot("packets_stopped")
        person.open("sets")
        row = person.row("203.0.113.10")
        assert "tablet" in row.inner_text() and "no_youtube" in row.locator("td[data-title=Rules]").inner_text()
        assert row.locator("td[data-title=Packets]").inner_text().split()[0] == "1"
        person.sees("1 to 1 of 1")
        person.open("matches")
        person.row("video.example")
    person.content()


def test_error_in_an_expression(router: Router, sit_down: Callable[..., Person]) -> None:
    """An expression that is wrong is shown with its place, as the daemon says it, and cannot be saved; a right one can."""
    person = sit_down(router)
    person.open("policies")
    add(person, "Rules", "rule", "expert")
    person.page.get_by_label("Write an expression").check()
    box = person.page.get_by_label("Expression", exact=True)
    person.type_into(box, "app == 'youtube' && prot == 443;")
    checked = person.page.locator(".modal .nfa-checked").first
    checked.filter(has_text="Did you mean").or_(checked.filter(has_text="did you mean")).wait_for()
    assert "^" in checked.inner_text()
    person.page.locator(".modal").get_by_role("button", name="Save", exact=True).click()
    person.page.wait_for_timeout(1000)
    assert box.is_visible(), "the editor stays open"
    person.type_into(box, "app == 'youtube' && port == 443;")
    person.sees("Valid: the daemon understands it.")
    save(person)
    assert ["list-add", "expert", "criteria", "app == 'youtube' && port == 443;"] in person.changes()


def test_read_only_pages(router: Router, sit_down: Callable[..., Person]) -> None:
    """Who may look only is shown what there is, with nothing to save, start or stop."""
    person = sit_down(router, "viewer")
    for page in ("policies", "targets", "recipes"):
        person.open(page)
        assert person.page.locator("#view .cbi-button-apply:enabled, #view .cbi-button-add:enabled").count() == 0, page
    person.open("overview")
    person.sees("netifyd")
    assert person.page.locator("#view button.cbi-button:enabled").filter(has_text=re.compile("Stop|Start|Reload")).count() == 0
    person.content()
