"""From figures to rows: what was measured, beside what is wanted, and whether that holds. The only place that knows both.

In: the figures of one section of a run. Out: `Row`s, as text for a terminal or as the table in README.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CPP = {10: 3.8, 100: 38, 1000: 397}
"""Actions to microseconds a flow: netifyd 4.4.7's own engine in C++ (-O2), which parses each expression again for each flow.

Measured once by the authors of nfa with expressions like these, on another machine; `make bench` does not measure it."""
MIXES = {"indexable": "all indexable", "mixed": "85/15", "unindexable": "none indexable"}
WAYS = {"again": "seen before", "new": "every flow new", "named": "every flow new and named"}

Figures = dict[str, Any]


@dataclass
class Row:
    """One line. `wanted`: in words, "" when nothing is promised; `holds`: None then. `readme`: it is one of README's."""

    name: str
    value: str
    wanted: str = ""
    holds: bool | None = None
    readme: bool = False


def most(name: str, value: float, limit: float, form: str = ".1f", unit: str = "", readme: bool = True) -> Row:
    """Return a row whose figure may be at most `limit`."""
    return Row(name, f"{value:{form}}{unit}", f"at most {limit:g}{unit}", value <= limit, readme)


def least(name: str, value: float, limit: float, form: str = ",.0f", unit: str = "", readme: bool = True) -> Row:
    """Return a row whose figure must be at least `limit`."""
    return Row(name, f"{value:{form}}{unit}", f"at least {limit:,g}{unit}", value >= limit, readme)


def decoding(found: Figures) -> list[Row]:
    """Rows of `pure.measure`, as microseconds a flow record, and compared with the baseline."""
    flows, base = found["flows"], found["baseline"]
    rows = [Row("framing and json.loads, the baseline: us a flow record", f"{base / flows * 1e6:.1f}")]
    for key, text in (
        ("framing", "framing alone"),
        ("records", "framing and records.read"),
        ("decide", "the decision alone"),
        ("engine", "records.read and decision, no targets"),
    ):
        rows.append(Row(f"{text}: us a flow record", f"{found[key] / flows * 1e6:.1f}  ({found[key] / base:.2f} x baseline)"))
    return [*rows, Row("flow records that match", f"{found['matched'] * 100:.0f} %")]


def evaluation(found: Figures) -> list[Row]:
    """Rows of `evaluation.measure`."""
    rows = []
    limits = {"100": 3, "1000": 12}
    for mix, counts in found.items():
        for count, figures in counts.items():
            for way, words in WAYS.items():
                name = f"a flow, {int(count):,} actions, {MIXES[mix]}, {words}: us"
                if mix == "mixed" and count in limits:
                    rows.append(most(name, figures[way], limits[count], ".2f"))
                else:
                    rows.append(Row(name, f"{figures[way]:.2f}"))
            if int(count) in CPP:
                theirs = f"the same, netifyd's C++ engine, {int(count):,} expressions (not of this run): us"
                rows.append(Row(theirs, f"{CPP[int(count)]:g}"))
            if int(count) >= 1000:
                size, memory = figures["image"] / 1e6, figures["memory"] / 1e6
                rows.append(Row("its compilation: s of CPU", f"{figures['compile']:.2f}"))
                rows.append(Row("its image, and the policy in memory: MB", f"{size:.2f}, {memory:.2f}"))
    plain = found["indexable"]
    for way, words in WAYS.items():
        if "100" in plain and "5000" in plain:
            ratio = plain["5000"][way] / plain["100"][way]
            rows.append(most(f"5,000 actions over 100, all indexable, {words}", ratio, 6, unit=" times"))
    return rows


def throughput(found: Figures) -> list[Row]:
    """Rows of `throughput.end_to_end`, by actions, decoder and stream."""
    rows = []
    for key, figures in found.items():
        count, decoder, stream = key.split()
        what = f"{int(count):,} actions, {decoder}, {'stream repeated' if stream == 'repeated' else 'every flow new'}"
        name = f"end to end over framing and json.loads, {what}"
        if decoder == "json":
            rows.append(most(name, figures["ratio"], 1.6 if count == "100" else 2.0, ".2f", " times"))
        else:
            rows.append(Row(name, f"{figures['ratio']:.2f} times"))
            rows.append(least(f"records a second of wall time, {what}", figures["records"] / figures["wall"], 60000))
        speed = f"{figures['flows'] / figures['wall']:,.0f}"
        rows.append(Row(f"flow records a second of wall time, {what}", speed, readme=True))
        rows.append(Row(f"flow records a second of CPU, {what}", f"{figures['flows'] / figures['cpu']:,.0f}"))
    return rows


def usage(found: Figures) -> list[Row]:
    """Rows of `end_to_end` with usage counted and without, in turns: the best of each."""
    cost = min(found["on"]) / min(found["off"])
    return [most("the same with usage counted, compared with the first of these", cost, 1.05, ".3f", " times")]


def sets(found: Figures) -> list[Row]:
    """Rows of `sets.measure` by the elements of a set: each way as a multiple of the tool."""
    rows = []
    for size, figures in found.items():
        for kind, tool, wanted in (("nftset", "nft -f", 5), ("ipset", "ipset restore", 4)):
            speed = figures[f"{kind} {tool}"]
            rows.append(Row(f"elements a second of CPU, {tool}, {int(size):,} in one file", f"{speed:,.0f}"))
            for batch in (64, 1024):
                ours = figures[f"{kind} nfa, {batch} at once"]
                what = f"{kind}, {int(size):,} elements, {batch:,} in a batch"
                rows.append(Row(f"elements a second of CPU, {what}", f"{ours:,.0f}"))
                name = f"{what}, compared with {tool}"
                rows.append(least(name, ours / speed, wanted, ".1f", " times"))
                if f"{kind} {tool}, {batch} at once" in figures:
                    alike = ours / figures[f"{kind} {tool}, {batch} at once"]
                    rows.append(Row(f"the same, where {tool} gets as many at once", f"{alike:.0f} times", readme=True))
    return rows


def marks(found: Figures) -> list[Row]:
    """Rows of `marks.measure`."""
    names = {"conntrack -R": "connections a second made by conntrack -R, for comparison"}
    return [Row(names.get(key, f"connections a second, {key}"), f"{speed:,.0f}") for key, speed in found.items()]


def latency(found: Figures) -> list[Row]:
    """Rows of `latency.measure`, by rate."""
    rows = []
    for rate, figures in found.items():
        at = f"at {int(rate):,} records a second" if rate != "0" else f"at full rate ({figures['sent']:,.0f} a second)"
        name = f"socket to kernel {at}: ms, median, 99 %, 99.9 %"
        value = ", ".join(f"{figures[part]:.2f}" for part in ("p50", "p99", "p99.9"))
        rows.append(Row(name, value, *(("99 %: at most 5", figures["p99"] <= 5) if rate == "1000" else ()), readme=True))
        rows.append(Row(f"the longest {at}: ms, and records without an element", f"{figures['p100']:.1f}, {figures['lost']}"))
    return rows


def reloads(found: Figures) -> list[Row]:
    """Rows of `reloads.measure`."""
    return [
        Row("a call of status with 1,000 actions at full rate, median: ms", f"{found['call_p50']:.1f}"),
        Row("a call of status with 1,000 actions at full rate, 99 %: ms", f"{found['call_p99']:.1f}"),
        Row("a reload of 1,000 actions at full rate, compilation included: ms", f"{found['reload_p50']:,.0f}"),
        Row("the longest turn of the loop before it: ms", f"{found['before']:.1f}"),
        most("the longest turn of the loop with a reload of 1,000 actions: ms", found["turn"], 20),
        most(f"records lost over reloads, of {found['sent']:,.0f}", found["lost"], 0, ".0f"),
    ]


def memory(found: Figures) -> list[Row]:
    """Rows of `memory`: at rest by actions, elements, growth."""
    rows = []
    for count, limit in (("100", 13), ("1000", 15)):
        figures = found[count]
        bus = "UCI, JSON and ubus" if figures["ubus"] else "UCI and JSON (there is no ubusd here)"
        rows.append(most(f"resident with {int(count):,} actions, {bus}: MB", figures["empty"] / 1e6, limit))
        rows.append(Row("the same after the stream: MB", f"{figures['stream'] / 1e6:.1f}"))
    if "compiler" in found:
        rows.append(most("the compiler of 100 actions, at the most: MB", found["compiler"] / 1e6, 26))
    if "shared" in found:
        rows.append(Row("50,000 live elements, every second flow has two of them: MB", f"{found['shared']['added'] / 1e6:.1f}"))
    figures = found["elements"]
    rows.append(most(f"50,000 live elements, one a flow, after the first {figures['first']:,}: MB", figures["added"] / 1e6, 10))
    rows.append(Row(f"a live element, of {figures['elements']:,}: bytes", f"{figures['per_element']:.0f}"))
    figures = found["growth"]
    span = f"{figures['from']:,} to {figures['records']:,}"
    return [*rows, most(f"growth over records, {span}: MB", figures["grown"] / 1e6, 0.5, ".2f")]


def healing(found: Figures) -> list[Row]:
    """Rows of `healing.nftables_and_ipset`."""
    return [
        Row("a deleted nftables set of 1,000 elements is whole again: ms, median", f"{found['nftables_median']:.1f}"),
        most("a deleted nftables set of 1,000 elements is whole again: ms, worst", found["nftables_worst"], 100),
        Row("a flushed ipset of 1,000 elements is whole again: s, median", f"{found['ipset_median'] / 1000:.2f}"),
        most("a flushed ipset of 1,000 elements is whole again: s, worst", found["ipset_worst"] / 1000, 2, ".2f"),
    ]


def edge(found: Figures) -> list[Row]:
    """Rows of `healing.edge`."""
    per_flow = found["per_flow"] <= 650 if found["flows"] >= 50000 else None
    changed = f"{found['changed']:,} of {found['flows']:,} flows"
    return [
        Row("the longest turn of the loop before the edge of a window: ms", f"{found['turn_before']:.1f}"),
        most(f"the longest turn with an edge that changes {changed}: ms", found["turn"], 50),
        Row("from the edge to the last element: s", f"{found['seconds']:.2f}"),
        # Of few flows, most would be what the first one takes.
        Row("a live flow with hours, and its element: bytes", f"{found['per_flow']:.0f}", "at most 650", per_flow),
    ]


def firewall(found: Figures) -> list[Row]:
    """Rows of the measures of `firewall`."""
    latency, healing, held = found["latency"], found["healing"], found["connections"]
    times = ", ".join(f"{latency[part]:.2f}" for part in ("p50", "p99", "p99.9"))
    rows = [
        Row("from a record to the first packet stopped, at 1,000 records a second: ms, median, 99 %, 99.9 %", times,
            "99 %: at most 5", latency["p99"] <= 5, True),
        most("connections that were not stopped", latency["lost"], 0, ".0f", readme=False),
        Row("packets pass after others delete a part of the table: ms, median", f"{healing['median']:.1f}"),
        most("packets pass after others delete a part of the table: ms, worst", healing["worst"], 100),
        most("the same after the last of many times in quick succession: ms, worst", healing["quick"], 100),
        # Of few, most would be what the next growth of a table takes.
        Row("a held connection: bytes", f"{held['per_element']:.0f}", "at most 250",
            held["per_element"] <= 250 if held["elements"] >= 50000 else None, True),
    ]  # fmt: skip
    for count, limit in (("100", 13.5), ("1000", 15.5)):
        rows.append(most(f"resident with {int(count):,} actions, firewall targets: MB", found["rest"][count] / 1e6, limit))
    for count, took in found["alone"].items():
        rows.append(
            Row(f"a record that comes alone, {int(count):,} connections held before: ms of CPU", f"{took:.2f}", readme=True)
        )
    if "turns" in found:
        turns = found["turns"]
        held_by = f"{turns['actions']:,} actions and {turns['held']:,} connections held"
        rows.append(Row(f"the longest turn of the loop with {held_by}: ms", f"{turns['before']:.1f}"))
        for key, words in (
            ("reload", "a reload that disables one"),
            ("pause", "a pause of all"),
            ("edge", "an edge that ends all"),
        ):
            rows.append(most(f"the same after {words}: ms", turns[key], 50))
    return rows


def packets(found: Figures) -> list[Row]:
    """Rows of `packets.measure`, by actions."""
    rows = []
    for name, words in (("others", "not held"), ("held", "held, with a DSCP to set")):
        figures = found[name]
        for count, figure in figures.items():
            what = f"{int(count):,} firewall action{'s' if count != '1' else ''}" if int(count) else "no nfa"
            speed = f"{figure['speed']:,.0f}"
            rows.append(Row(f"packets a second of CPU through a router, {what}, of a connection that is {words}", speed))
        what = f"{found['connections']:,} connections held, packets of one that is {words}"
        rows.append(least(f"1,000 firewall actions over one, {what}", figures["1000"]["of_one"], 0.95, ".2f", " times"))
        name = f"1,000 firewall actions over no nfa, {what}"
        if words == "not held":
            rows.append(least(name, figures["1000"]["of_none"], 0.9, ".2f", " times"))
        else:
            rows.append(Row(name, f"{figures['1000']['of_none']:.2f} times", readme=True))
    return rows


def micropython(found: Figures) -> list[Row]:
    """Rows of `micro.end_to_end`."""
    return [
        least("MicroPython, 100 actions: records a second of wall time", found["records"] / found["wall"], 8000),
        Row("MicroPython, 100 actions: records a second of CPU", f"{found['records'] / found['cpu']:,.0f}"),
        most("MicroPython, 100 actions, resident: MB", found["empty"] / 1e6, 4.5),
        most("MicroPython, 100 actions, resident at the most: MB", found["peak"] / 1e6, 4.5),
    ]


SECTIONS: dict[str, Callable[[Figures], list[Row]]] = {
    "decoding": decoding, "throughput": throughput, "usage": usage, "latency": latency, "sets": sets, "marks": marks,
    "reloads": reloads, "memory": memory, "healing": healing, "edge": edge, "firewall": firewall, "packets": packets,
    "micropython": micropython, "evaluation": evaluation,
}  # fmt: skip


def rows(figures: Figures) -> dict[str, list[Row]]:
    """Return the rows of all sections that a run has."""
    return {name: make(figures[name]) for name, make in SECTIONS.items() if figures.get(name)}


def text(row: Row) -> str:
    """Return a line for a terminal."""
    verdict = {None: "", True: row.wanted, False: f"{row.wanted}  <-- MISSED"}[row.holds]
    return f"{row.name:<88} {row.value:>24}  {verdict}".rstrip()


def markdown(figures: Figures) -> str:
    """Return README's table."""
    lines = ["| measured | figure | wanted |", "|---|---|---|"]
    for section in rows(figures).values():
        for row in section:
            if row.readme:
                missed = " (missed)" if row.holds is False else ""
                lines.append(f"| {row.name} | {row.value} | {row.wanted}{missed} |")
    return "\n".join(lines)
