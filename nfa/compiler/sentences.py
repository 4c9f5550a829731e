"""What notices say: one sentence for each thing that happens, in each language.

In: a language and events. Out: titles and sentences, each sentence as texts and names of what stands between them, by turns.
The image has those of one language and of the events that somebody wants, so the daemon has no catalogue.

What is in braces is filled in by the daemon, which cuts it, cleans it and puts it between QUOTES where it is no plain word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

KINDS: dict[str, tuple[str, ...]] = {
    "new_device": ("new_device",),
    "new_application": ("new_application",),
    "weak_tls": ("weak_tls",),
    "blocked": ("blocked",),
    "budget": ("budget_near", "budget_spent", "budget_near_all", "budget_spent_all"),
    "agent": ("agent_lost", "agent_silent", "agent_back"),
    "trouble": ("trouble", "trouble_over"),
}
"""The sentences of each event."""
ALWAYS = ("left_out_one", "left_out", "test")
"""What every notice may have to say."""

QUOTES = {"en": ("“", "”"), "de": ("„", "“"), "es": ("«", "»"), "zh": ("“", "”")}

SENTENCES: dict[str, dict[str, str]] = {
    "en": {
        "new_device": "New device in the network: {device}",
        "new_application": "{device} uses {application} for the first time",
        "weak_tls": "{device} uses the outdated encryption {version} with {application}",
        "blocked": "{device}: {application} was blocked by {action}",
        "budget_near": "{device} has used {percent} % of the budget {budget}",
        "budget_spent": "{device} has used up the budget {budget}",
        "budget_near_all": "{percent} % of the budget {budget} is used",
        "budget_spent_all": "The budget {budget} is used up",
        "agent_lost": "netifyd cannot be reached: no traffic is detected",
        "agent_silent": "netifyd sends nothing: no traffic is detected",
        "agent_back": "netifyd is back: traffic is detected again",
        "trouble": "The target {target} does not work: {why}",
        "trouble_over": "The target {target} works again",
        "left_out_one": "1 more notice was left out in the last hour",
        "left_out": "{count} more notices were left out in the last hour",
        "test": "This is a test of the notice {notice}",
    },
    "de": {
        "new_device": "Neues Gerät im Netz: {device}",
        "new_application": "{device} nutzt zum ersten Mal {application}",
        "weak_tls": "{device} nutzt mit {application} die veraltete Verschlüsselung {version}",
        "blocked": "{device}: {application} wurde von {action} blockiert",
        "budget_near": "{device} hat {percent} % des Budgets {budget} verbraucht",
        "budget_spent": "{device} hat das Budget {budget} aufgebraucht",
        "budget_near_all": "{percent} % des Budgets {budget} sind verbraucht",
        "budget_spent_all": "Das Budget {budget} ist aufgebraucht",
        "agent_lost": "netifyd ist nicht erreichbar: Es wird kein Verkehr erkannt",
        "agent_silent": "netifyd sendet nichts: Es wird kein Verkehr erkannt",
        "agent_back": "netifyd ist wieder da: Verkehr wird wieder erkannt",
        "trouble": "Das Ziel {target} funktioniert nicht: {why}",
        "trouble_over": "Das Ziel {target} funktioniert wieder",
        "left_out_one": "1 weitere Meldung wurde in der letzten Stunde ausgelassen",
        "left_out": "{count} weitere Meldungen wurden in der letzten Stunde ausgelassen",
        "test": "Dies ist ein Test der Meldung {notice}",
    },
    "es": {
        "new_device": "Nuevo dispositivo en la red: {device}",
        "new_application": "{device} usa {application} por primera vez",
        "weak_tls": "{device} usa con {application} el cifrado anticuado {version}",
        "blocked": "{device}: {action} bloqueó {application}",
        "budget_near": "{device} ha gastado el {percent} % del presupuesto {budget}",
        "budget_spent": "{device} ha agotado el presupuesto {budget}",
        "budget_near_all": "Se ha gastado el {percent} % del presupuesto {budget}",
        "budget_spent_all": "El presupuesto {budget} está agotado",
        "agent_lost": "No se puede contactar con netifyd: no se detecta tráfico",
        "agent_silent": "netifyd no envía nada: no se detecta tráfico",
        "agent_back": "netifyd ha vuelto: se detecta tráfico de nuevo",
        "trouble": "El objetivo {target} no funciona: {why}",
        "trouble_over": "El objetivo {target} funciona de nuevo",
        "left_out_one": "Se omitió 1 aviso más en la última hora",
        "left_out": "Se omitieron {count} avisos más en la última hora",
        "test": "Esto es una prueba del aviso {notice}",
    },
    "zh": {
        "new_device": "网络中有新设备: {device}",
        "new_application": "{device} 首次使用 {application}",
        "weak_tls": "{device} 与 {application} 使用了过时的加密 {version}",
        "blocked": "{device}: {application} 已被 {action} 阻止",
        "budget_near": "{device} 已用完 {percent} % 的配额 {budget}",
        "budget_spent": "{device} 已用完配额 {budget}",
        "budget_near_all": "配额 {budget} 已使用 {percent} %",
        "budget_spent_all": "配额 {budget} 已用完",
        "agent_lost": "无法连接 netifyd: 未检测流量",
        "agent_silent": "netifyd 未发送任何数据: 未检测流量",
        "agent_back": "netifyd 已恢复: 重新检测流量",
        "trouble": "目标 {target} 无法工作: {why}",
        "trouble_over": "目标 {target} 恢复工作",
        "left_out_one": "过去一小时内另有 1 条通知被省略",
        "left_out": "过去一小时内另有 {count} 条通知被省略",
        "test": "这是通知 {notice} 的测试",
    },
}

TITLES: dict[str, dict[str, str]] = {
    "en": {
        "new_device": "New device", "new_application": "New application", "weak_tls": "Outdated encryption",
        "blocked": "Blocked", "budget": "Budget", "agent": "netifyd", "trouble": "Trouble", "left_out": "More notices",
        "test": "Test", "last": "last notice",
    },
    "de": {
        "new_device": "Neues Gerät", "new_application": "Neue Anwendung", "weak_tls": "Veraltete Verschlüsselung",
        "blocked": "Blockiert", "budget": "Budget", "agent": "netifyd", "trouble": "Störung",
        "left_out": "Weitere Meldungen", "test": "Test", "last": "letzte Meldung",
    },
    "es": {
        "new_device": "Nuevo dispositivo", "new_application": "Nueva aplicación", "weak_tls": "Cifrado anticuado",
        "blocked": "Bloqueado", "budget": "Presupuesto", "agent": "netifyd", "trouble": "Avería",
        "left_out": "Más avisos", "test": "Prueba", "last": "último aviso",
    },
    "zh": {
        "new_device": "新设备", "new_application": "新应用", "weak_tls": "过时的加密", "blocked": "已阻止", "budget": "配额",
        "agent": "netifyd", "trouble": "故障", "left_out": "更多通知", "test": "测试", "last": "最近的通知",
    },
}  # fmt: skip

MARKS = {
    "new_device": (3, "computer"), "new_application": (2, "mag"), "weak_tls": (3, "unlock"), "blocked": (3, "no_entry"),
    "budget": (3, "hourglass"), "agent": (4, "warning"), "trouble": (4, "warning"), "left_out": (2, "envelope"),
    "test": (3, "bell"),
}  # fmt: skip
"""ntfy's priority (1 to 5) and tag of each title."""


def parts_of(sentence: str) -> tuple[str, ...]:
    """A sentence as texts (even places) and names of what is filled in (odd places)."""
    return tuple(re.split(r"\{(\w+)\}", sentence))


def catalogue(language: str, events: Iterable[str]) -> dict[str, object]:
    """What the image has of a language for these events."""
    wanted = dict.fromkeys(events)
    keys = [key for event in wanted for key in KINDS[event]] + list(ALWAYS)
    titles = [*wanted, "left_out", "test"]
    return {
        "sentences": {key: parts_of(SENTENCES[language][key]) for key in keys},
        "titles": {key: (TITLES[language][key], *MARKS[key]) for key in titles},
        "quotes": QUOTES[language],
    }
