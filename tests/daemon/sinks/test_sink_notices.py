"""Notices through every kind of sink, to servers that take nothing but what their documents say; and to mosquitto."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from notices_lab import HOSTILE, Told, all_events, mac, policy
from sink_bench import OK, WebServer, peer, real_broker
from waiting import PATIENCE, eventually

from nfa.compiler.sentences import SENTENCES, parts_of
from nfa.daemon.bus import blob

TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"


def sink(kind: str, **options: object) -> str:
    """A sink of UCI."""
    return f"config sink 'out'\n\toption type '{kind}'\n" + "".join(
        f"\toption {key} '{value}'\n" for key, value in options.items()
    )


def house(tmp_path: Path, uci: str, **notice: Any) -> Told:
    return Told(tmp_path, policy({"phone": all_events(sink="out") | notice}), uci=uci)


def tell(house: Told, evil: str) -> None:
    """Have all kinds of sentences told, with a name that a stranger chose in every place."""
    known = house.daemon.learner_now().known
    known._names[bytes.fromhex(mac(5).replace(":", ""))] = (evil,)
    record = {"local_ip": "192.168.1.5", "local_mac": mac(5)}
    for event, more in (("new_application", {}), ("blocked", {"action": evil}), ("weak_tls", {"version": "TLS 1.0"})):
        house.notices._of_flow(event, record, mac(5), "netify." + evil, more)
    house.notices.budget(evil, evil, 80)
    house.notices.budget(evil, "", 100)
    house.notices._around.troubles = lambda: {evil: evil}
    house.notices._around.source = lambda: "lost"
    house.forward(25)


def until(house: Told, condition: Callable[[], object]) -> None:
    """Turn the loop until something is so."""

    def turned() -> object:
        house.daemon.dispatcher.turn(10)
        return condition()

    eventually(turned)


TOLD = 7
"""Sentences of `tell`."""


def is_a_line(text: str) -> None:
    """What a person sees must be one line that shows what it is."""
    assert text.isprintable() and len(text) <= 320, ascii(text)


# -- http ---------------------------------------------------------------------------------------------------------------


def posted(tmp_path: Path, evil: str, path: str, **notice: Any) -> tuple[list[str], list[bytes]]:
    """The heads and bodies that a server gets."""
    server = WebServer(OK)
    with peer(server) as made:
        told = house(tmp_path, sink("http", url=f"http://127.0.0.1:{made.port}{path}"), **notice)
        tell(told, evil)
        until(told, lambda: told.notices.notices["phone"].counters.added == TOLD)
    for head, _ in server.requests:
        assert head.isprintable() or head.replace("\r\n", "").isprintable(), "no name is in a header"
        assert head.count("\r\n\r\n") == 1 and "evil" not in head.lower()
    return [head for head, _ in server.requests], [body for _, body in server.requests]


@pytest.mark.parametrize("kind", HOSTILE)
def test_ntfy_gets_what_its_page_publish_as_json_says(tmp_path: Path, kind: str) -> None:
    """ntfy would refuse the message, or take a host name for a header, an action or an attachment."""
    heads, bodies = posted(tmp_path, HOSTILE[kind], "/nfa-x7?auth=abc", format="ntfy")
    assert all(head.startswith("POST /?auth=abc HTTP/1.1\r\n") and "Content-Type: application/json" in head for head in heads)
    for body in bodies:
        made = json.loads(body)
        assert set(made) == {"topic", "message", "title", "tags", "priority"}
        assert made["topic"] == "nfa-x7" and re.fullmatch(r"[-_A-Za-z0-9]{1,64}", made["topic"])
        assert isinstance(made["message"], str) and 0 < len(made["message"].encode()) <= 4096
        assert made["priority"] in range(1, 6) and all(re.fullmatch("[a-z_]+", tag) for tag in made["tags"])
        is_a_line(made["message"])
        is_a_line(made["title"])


@pytest.mark.parametrize("kind", HOSTILE)
def test_telegram_gets_what_its_method_send_message_takes(tmp_path: Path, kind: str) -> None:
    """Telegram refuses what is no valid markup: with a parse_mode, a host name could hold up all notices, or make links."""
    heads, bodies = posted(tmp_path, HOSTILE[kind], "", format="telegram", token=TOKEN, chat="-1001234")
    assert all(head.startswith(f"POST /bot{TOKEN}/sendMessage HTTP/1.1\r\n") for head in heads)
    for body in bodies:
        made = json.loads(body)
        assert set(made) == {"chat_id", "text", "link_preview_options"} and made["chat_id"] == "-1001234"
        assert made["link_preview_options"] == {"is_disabled": True} and 0 < len(made["text"]) <= 4096
        is_a_line(made["text"])


@pytest.mark.parametrize("kind", HOSTILE)
def test_text_is_a_line_of_utf8(tmp_path: Path, kind: str) -> None:
    heads, bodies = posted(tmp_path, HOSTILE[kind], "/in", format="text")
    assert all("Content-Type: text/plain; charset=utf-8\r\n" in head for head in heads)
    for body in bodies:
        is_a_line(body.decode())


def test_json_has_what_programs_need(tmp_path: Path) -> None:
    """Who writes an automation would have to take sentences apart."""
    _, bodies = posted(tmp_path, "annas-phone", "/in")
    made = {(one["event"], one.get("state")): one for one in map(json.loads, bodies)}
    blocked = made["blocked", None]
    assert blocked | {"time": 0} == {
        "notice": "phone", "event": "blocked", "title": "Blocked", "time": 0, "device": "annas-phone", "key": mac(5),
        "application": "netify.annas-phone", "action": "annas-phone",
        "text": "annas-phone: annas-phone was blocked by annas-phone",
    }  # fmt: skip
    assert made["agent", "lost"]["text"].startswith("netifyd cannot be reached")
    assert made["trouble", None]["target"] == "annas-phone"


def test_a_server_that_refuses_is_in_the_status_and_in_health(tmp_path: Path) -> None:
    """A misspelt token would be found when the first notice that matters did not come."""
    server = WebServer(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", OK)
    with peer(server) as made:
        told = house(tmp_path, sink("http", url=f"http://127.0.0.1:{made.port}/"), limit=1)
        answer = told.result("notice", name="phone")
        assert answer["taken"] is False and "HTTP status 401" in answer["error"]
        status = told.result("status")
        assert "401" in status["notices"]["notices"]["phone"]["trouble"]
        assert [one["code"] for one in status["health"]["problems"] if one["of"] == "notice"] == ["notice-failed"]
        assert status["notices"]["notices"]["phone"]["sent"] == 0, "a test is none of the hour's"
        until(told, lambda: told.result("notice", name="phone")["taken"])
        status = told.result("status")
        assert not status["notices"]["notices"]["phone"]["trouble"]
        assert not [one for one in status["health"]["problems"] if one["of"] == "notice"]


def test_a_test_of_a_notice_that_is_not_there_is_refused_with_the_names(tmp_path: Path) -> None:
    told = house(tmp_path, sink("ubus"))
    status, data = told.call("notice", name="phome")
    assert status == 4 and data["error"] == "no such notice: 'phome'; known: phone"
    assert told.call("notice")[0] == 2


# -- files, sockets, ubus -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", HOSTILE)
def test_files_have_a_line_of_json_for_each(tmp_path: Path, kind: str) -> None:
    told = house(tmp_path, sink("log", path=tmp_path / "logs", interval=1))
    tell(told, HOSTILE[kind])
    told.daemon.registry.hub.finish()  # type: ignore[union-attr]
    (file,) = (tmp_path / "logs").iterdir()
    lines = file.read_bytes().splitlines()
    assert len(lines) == TOLD
    for line in lines:
        for value in json.loads(line).values():
            is_a_line(str(value))


@pytest.mark.parametrize("kind", HOSTILE)
def test_events_on_ubus_can_be_encoded(tmp_path: Path, kind: str) -> None:
    """A name with a NUL or half a character would break the message."""
    told = house(tmp_path, "", sink=None, to=["ubus", "log"])
    heard: list[dict[str, Any]] = []
    told.daemon.news.tell = lambda name, data: bool(heard.append(data)) or name == "notice"  # type: ignore[method-assign,func-returns-value]
    told.daemon.notices._around.tell = told.daemon.news.tell  # type: ignore[union-attr]
    for notice in told.notices.notices.values():
        notice._tell = told.daemon.news.tell
    tell(told, HOSTILE[kind])
    assert len(heard) == len(told.said) == TOLD
    for data in heard:
        assert json.loads(json.dumps(data)) == data and b"\0\0\0\0" not in data["text"].encode()
        assert blob.encode(data)
        is_a_line(data["text"])


# -- MQTT and Home Assistant ----------------------------------------------------------------------------------------------

DEVICE_KEYS = {"identifiers", "connections", "name", "manufacturer", "model", "sw_version", "hw_version", "configuration_url"}
EVENT_KEYS = {
    "name",
    "unique_id",
    "state_topic",
    "event_types",
    "icon",
    "device",
    "origin",
    "device_class",
    "value_template",
    "qos",
}
SENSOR_KEYS = {"name", "unique_id", "state_topic", "value_template", "json_attributes_topic", "icon", "device", "origin"}


def subscribed(port: int, count: int, begin: Callable[[], None], turn: Callable[[], object]) -> list[tuple[str, bool, str]]:
    """The messages that a subscriber of everything gets: topic, whether it was retained, payload."""
    command = ["stdbuf", "-oL", "mosquitto_sub", "-p", str(port), "-u", "u", "-P", "p", "-q", "1", "-t", "#", "-F", "%t %r %p"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as subscriber:
        assert subscriber.stdout is not None
        os.set_blocking(subscriber.stdout.fileno(), False)
        output = bytearray()
        began: list[bool] = []

        def enough() -> bool:
            turn()
            output.extend(subscriber.stdout.read() or b"")  # type: ignore[union-attr]
            if not began and output.count(b"\n") >= 2:
                began.append(True)
                begin()
            return output.count(b"\n") >= count

        try:
            eventually(enough, seconds=PATIENCE)
        finally:
            subscriber.terminate()
    found = [line.split(" ", 2) for line in output.decode().splitlines()]
    return [(topic, retained == "1", payload) for topic, retained, payload in found]


@pytest.mark.parametrize("kind", ["a name", "new lines", "topic", "templates", "json"])
def test_home_assistant_finds_the_notice_and_gets_its_events(tmp_path: Path, kind: str) -> None:
    """Home Assistant leaves out what has a key that its documents do not have, or an event that was not announced."""
    if not shutil.which("mosquitto_sub") or not shutil.which("stdbuf"):
        pytest.skip("mosquitto_sub is not installed")
    with real_broker(tmp_path) as port:
        uci = sink("mqtt", broker=f"mqtt://127.0.0.1:{port}", username="u", password="p")
        told = house(tmp_path, uci, format="home_assistant")
        channel: Any = told.notices.notices["phone"].channel
        until(told, channel.readers)
        evil = HOSTILE.get(kind, "annas-phone")
        heard = subscribed(port, 2 + TOLD, lambda: tell(told, evil), lambda: told.daemon.dispatcher.turn(10))
    configs = [(topic, json.loads(payload)) for topic, retained, payload in heard if retained]
    events = [(topic, json.loads(payload)) for topic, retained, payload in heard if not retained]
    assert len(configs) == 2 and len(events) == TOLD
    for topic, config in configs:
        found = re.fullmatch(r"homeassistant/(event|sensor)/[A-Za-z0-9_-]+/config", topic)
        assert found, topic
        assert set(config) <= (EVENT_KEYS if found[1] == "event" else SENSOR_KEYS)
        assert config["state_topic"] == "netify/notices" and config["unique_id"] and config["device"]["identifiers"]
        assert set(config["device"]) <= DEVICE_KEYS and set(config["origin"]) == {"name", "sw_version", "support_url"}
    assert len({config["unique_id"] for _, config in configs}) == 2
    (types,) = [config["event_types"] for topic, config in configs if "/event/" in topic]
    for topic, event in events:
        assert topic == "netify/notices" and event["event_type"] in types
        is_a_line(event["text"])
    assert {"left_out", "test"} <= set(types), "all that may come"


def test_the_broker_says_that_it_has_a_test(tmp_path: Path) -> None:
    """An owner wants to know whether it works before something happens."""
    if not shutil.which("mosquitto_passwd"):
        pytest.skip("mosquitto is not installed")
    with real_broker(tmp_path) as port:
        uci = sink("mqtt", broker=f"mqtt://127.0.0.1:{port}", username="u", password="p")
        told = house(tmp_path, uci)
        assert told.result("notice", name="phone") == {"taken": True, "error": "", "text": "This is a test of the notice phone"}
    with real_broker(tmp_path) as port:
        uci = sink("mqtt", broker=f"mqtt://127.0.0.1:{port}", username="u", password="wrong")
        answer = house(tmp_path, uci).result("notice", name="phone")
        assert not answer["taken"] and "denies access" in answer["error"]


# -- languages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", SENTENCES)
def test_every_language_has_every_sentence_with_the_same_things_in_it(language: str) -> None:
    """A notice would fail in one language only, when it is needed."""
    assert SENTENCES[language].keys() == SENTENCES["en"].keys()
    for key, sentence in SENTENCES[language].items():
        assert sorted(parts_of(sentence)[1::2]) == sorted(parts_of(SENTENCES["en"][key])[1::2]), key
        assert "{" not in "".join(parts_of(sentence)[::2])
        is_a_line(sentence)


@pytest.mark.parametrize("language", SENTENCES)
def test_every_sentence_can_be_told_in_every_language(tmp_path: Path, language: str) -> None:
    told = Told(tmp_path, policy({"phone": all_events()}, language=language))
    tell(told, "annas-phone")
    told.notices._around.source = lambda: ""
    told.forward(120)
    told.notices.budget("x", mac(5), 100)
    told.notices.budget("x", "", 80)
    assert len(told.said) >= TOLD + 3 and all("{" not in text for text in told.said)
    assert len(set(told.said)) == len(told.said)
    if language != "en":
        english = {parts_of(sentence)[-1] for sentence in SENTENCES["en"].values() if len(parts_of(sentence)[-1]) > 5}
        assert not [text for text in told.said if any(text.endswith(part) for part in english)]
