"""Reads statistics and purges of any form: other agents may order, space or nest their fields otherwise than netifyd 4.4.

In: a payload. Out: what its flow had since the last one.
"""

from ..engine.view import MALFORMED
from ..stream.records import BadRecord, parse


def numbers_of(payload: bytes) -> list[int] | None:
    """Return local and other bytes, and packets, of statistics in any form; None where there are none."""
    try:
        record = parse(payload)
        flow = record["flow"]  # type: ignore[index]  # what it is shows
        found = [flow.get(name, 0) for name in ("local_bytes", "other_bytes", "local_packets", "other_packets")]
    except (BadRecord,) + MALFORMED:
        return None
    if [1 for one in found if type(one) is not int or not 0 <= one < 1 << 60]:
        return None
    return [found[0], found[1], found[2] + found[3]]
