"""The pictures of docs/luci.md: made anew with NFA_SCREENSHOTS=docs/luci, skipped without it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from luci_lab import ROOT, SCREENSHOTS, Person, Router
from netifyd_records import stats
from samples import Record, definitions, flow, hello

MOST_BYTES = 100_000
DEVICES = {"tablet": 20, "laptop": 21, "television": 22, "console": 23, "phone": 24}
"""Name to the last number of the address, by which tests/netifyd_records.py makes the MAC address."""
HOUSEHOLD = {
    f"02:00:5E:10:01:{last:02X}": {"name": name, "ipaddrs": [f"192.168.1.{last}"], "ip6addrs": []}
    for name, last in DEVICES.items()
}
VISITS = (
    ("netify.youtube", "rr4.video.example"), ("netify.netflix", "films.example"), ("netify.tiktok", "clips.example"),
    ("netify.instagram", "pictures.example"), ("netify.windows-update", "updates.example"), ("netify.reddit", "talk.example"),
)  # fmt: skip

CONFIG = """\
config nfa 'main'
	option source '{source}'
	option timezone 'TST0'

config exemption 'global'
	list exemption "protocol == 'dns';"

config time_of_day 'evening'
	option time_start '21:00'
	option time_end '06:30'

config time_of_day 'school'
	list day 'mon'
	list day 'tue'
	list day 'wed'
	list day 'thu'
	list day 'fri'
	option time_start '08:00'
	option time_end '14:00'

config target 'block'
	option target_type 'firewall'
	option verdict 'reject'

config target 'slow'
	option target_type 'firewall'
	option limit '2mbit'
	option per_device '1'

config target 'diary'
	option target_type 'log'
	option path '/tmp/nfa-logs'

config action 'no_youtube'
	list criteria "app == 'netify.youtube' && mac == 02:00:5E:10:01:14;"
	list target 'block'

config action 'no_clips'
	list criteria "(app == 'netify.tiktok' || app == 'netify.instagram') && mac == 02:00:5E:10:01:14;"
	list target 'block'

config action 'updates'
	list criteria "category == 'os-software-updates';"
	list target 'slow'

config action 'weak_tls'
	list criteria "ssl_version && ssl_version < 0x0303;"
	list target 'diary'

config action 'bedtime'
	list criteria "mac == 02:00:5E:10:01:17;"
	list target 'block'
	list time_of_day 'evening'
"""


def household() -> list[Record]:
    """What happens in the house just now."""
    chance = random.Random(1)
    now = int(time.time() * 1000)
    records = []
    for number in range(60):
        application, host = chance.choice(VISITS)
        device = f"192.168.1.{chance.choice(list(DEVICES.values()))}"
        other = f"203.0.113.{chance.randrange(1, 250)}"
        ends = {"local": device, "local_port": 49152 + chance.randrange(9000), "other": other}
        records.append(flow("HTTP/S", application, **ends, host_server_name=host, when=now - 60_000 + number * 1000))
    return records


@pytest.fixture
def router(start: Callable[..., Router]) -> Router:
    made = start(CONFIG, hosts=HOUSEHOLD)
    made.connected()
    made.home(*(f"192.168.1.{last}" for last in DEVICES.values()))
    made.feed(hello(), definitions())
    return made


@pytest.mark.skipif(not SCREENSHOTS, reason="NFA_SCREENSHOTS does not name a folder")
def test_pictures(router: Router, sit_down: Callable[..., Person]) -> None:
    """Each page as a person sees it; small enough for the repository."""
    person = sit_down(router, size=(1000, 680))
    person.open("overview")
    for part in range(6):
        flows = household()[part * 10 : part * 10 + 10]
        router.feed(*flows)
        for record in flows:
            router.connect(record)
    person.page.wait_for_timeout(4000)  # the pages know of the last packets
    person.shoot("overview")
    person.page.get_by_role("heading", name="Policies").scroll_into_view_if_needed()
    person.page.mouse.wheel(0, 500)
    person.shoot("packets")
    for page in ("policies", "sets", "matches", "recipes"):
        person.page.set_viewport_size({"width": 1000, "height": 600 if page == "recipes" else 680})
        person.open(page)
        person.shoot(page)
    person.page.set_viewport_size({"width": 1000, "height": 680})
    person.open("matches")
    person.row("no_youtube").get_by_role("button", name="Why?").click()
    person.sees("Result")
    person.shoot("why")
    person.open("policies#edit=no_clips")
    person.page.locator(".modal .cbi-map").wait_for()
    person.page.locator(".modal .nfa-modes").scroll_into_view_if_needed()
    person.shoot("policy")
    person.open("targets")
    person.page.locator("#cbi-netify-proc-flow-actions-slow .cbi-button-edit").click()
    person.page.locator(".modal .cbi-map").wait_for()
    person.shoot("target")
    small()


def small() -> None:
    """All pictures are small enough for the repository."""
    shown = [Path(SCREENSHOTS) / path.name for path in (ROOT / "docs/luci").glob("*.png")]  # other tests take pictures, too
    large = {path.name: path.stat().st_size for path in shown if path.exists() and path.stat().st_size > MOST_BYTES}
    assert not large


DAILY = """
config budget 'hour_of_films'
	option time '1h'

config action 'films'
	list criteria "app == 'netify.netflix' && (mac == 02:00:5E:10:01:16 || mac == 02:00:5E:10:01:17);"
	list target 'block'
	option budget 'hour_of_films'
"""


@pytest.mark.skipif(not SCREENSHOTS, reason="NFA_SCREENSHOTS does not name a folder")
def test_pictures_of_home(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    """Home of a household, of a device, and on a phone."""
    router = start(CONFIG + DAILY, hosts=HOUSEHOLD)
    router.connected()
    router.home(*(f"192.168.1.{last}" for last in DEVICES.values()))
    flows, chance = household(), random.Random(2)
    router.feed(hello(), definitions(), *flows)
    for record in flows:
        router.connect(record)

    def go_on(part: int) -> None:
        sizes = [chance.randrange(20_000, 9_000_000) for _ in flows]
        some = [
            stats(one["flow"]["digest"], local=(size // 20, 4), other=(size, 9)) for one, size in zip(flows, sizes, strict=True)
        ]
        router.feed(*some[::part])

    for _ in range(6):
        go_on(1)
    router.ubus("nfa", "pause", name="updates", seconds=1800)
    person = sit_down(router, size=(1000, 900))
    person.open("home")
    person.sees("In this hour so far")
    go_on(3)
    person.sees("In the last", seconds=40)
    person.shoot("home")
    phone = sit_down(router, size=(390, 844))
    phone.open("home")
    phone.sees("and 1 more")
    phone.shoot("phone")
    person.page.get_by_role("link", name="tablet").first.click()
    person.sees("Rules about it")
    person.shoot("device")
    small()


@pytest.mark.skipif(not SCREENSHOTS, reason="NFA_SCREENSHOTS does not name a folder")
def test_picture_of_a_fresh_router(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    """What a newcomer sees first."""
    router = start("config nfa 'main'\n\toption enabled '0'\n\toption source '{source}'\n")
    person = sit_down(router, size=(1000, 560))
    person.open("home")
    person.sees("To begin with")
    person.shoot("fresh")
