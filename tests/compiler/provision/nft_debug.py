"""What `nft` sends for a rule, read from `nft --debug=mnl`.

In: the text of rules. Out: the bytes of their expressions, as NFTA_RULE_EXPRESSIONS has them. A set is named there and has the
number of nft's own transaction as well: without that number, which is none of ours. Run as a program in a network namespace of
its own it writes `rule_vectors.py`: unshare -n python nft_debug.py > rule_vectors.py
"""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from collections.abc import Iterator

NEW_RULE = 0xA06
NFTA_RULE_EXPRESSIONS = 4
_NUMBERS = {b"lookup\0": 4, b"dynset\0": 2}
"""Expressions that name a set, and their attribute with its number."""


def messages(printed: str) -> Iterator[tuple[int, bytes]]:
    """The messages in what `nft --debug=mnl` printed: type, and what follows the header."""
    lines = iter(re.sub(r"\x1b\[[0-9;]*m", "", printed).splitlines())
    for line in lines:
        head = re.match(r"\|  (\d{10})  \|\s+\| message length", line)
        if not head:
            continue
        kind = int(next(lines)[2:7])
        data = b""
        while len(data) + 16 < int(head[1]):
            line = next(lines)
            attribute = re.match(r"\|(\d{5})\|([N-])([B-])\|(\d{5})\|", line)
            words = re.match(r"\| ((?:[0-9a-f]{2} ){4})", line)
            if attribute:
                flags = (0x8000 if attribute[2] == "N" else 0) | (0x4000 if attribute[3] == "B" else 0)
                data += struct.pack("=HH", int(attribute[1]), int(attribute[4]) | flags)
            elif words:
                data += bytes.fromhex(words[1])
        yield kind, data


def attributes(data: bytes) -> list[tuple[int, bytes]]:
    """Kind, with its flags, and payload of each attribute."""
    found = []
    while data:
        length, kind = struct.unpack_from("=HH", data)
        found.append((kind, data[4:length]))
        data = data[length + 3 & ~3 :]
    return found


def packed(found: list[tuple[int, bytes]]) -> bytes:
    return b"".join(struct.pack("=HH", len(payload) + 4, kind) + payload + bytes(-len(payload) % 4) for kind, payload in found)


def expressions(message: bytes) -> bytes:
    """The expressions of a rule, without numbers of sets."""
    rule = {kind & 0x3FFF: payload for kind, payload in attributes(message[4:])}
    made = []
    for kind, expression in attributes(rule[NFTA_RULE_EXPRESSIONS]):
        (name, text), (inner, data) = attributes(expression)
        kept = [(one, payload) for one, payload in attributes(data) if one & 0x3FFF != _NUMBERS.get(text)]
        made.append((kind, packed([(name, text), (inner, packed(kept))])))
    return packed(made)


def rules(texts: list[str], before: str) -> dict[str, bytes]:
    """What nft sends for rules of the chain `c` of `table inet nfa`. `before`: what has to be there first."""
    subprocess.run(["nft", "-f", "-"], input=f"add table inet nfa\nadd chain inet nfa c\n{before}", text=True, check=True)
    commands = "".join(f"add rule inet nfa c {text}\n" for text in texts)
    done = subprocess.run(["nft", "--debug=mnl", "-f", "-"], input=commands, text=True, capture_output=True, check=True)
    sent = [expressions(data) for kind, data in messages(done.stdout) if kind == NEW_RULE]
    return dict(zip(texts, sent, strict=True))


def main() -> None:
    from rule_texts import BEFORE, TEXTS

    print('"""What nft 1.0.6 sends for rules, on x86-64: written by `nft_debug.py`."""\n\nVECTORS = {')
    for text, sent in rules(list(TEXTS), BEFORE).items():
        print(f"    {text!r}: (")
        for start in range(0, len(sent), 48):
            print(f'        "{sent[start : start + 48].hex()}"')
        print("    ),")
    print("}")


if __name__ == "__main__":
    sys.exit(main())
