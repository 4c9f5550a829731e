"""Packed addresses and networks: what people write, and which addresses are no single host's.

In: texts, or 4 or 16 bytes in network order. Out: the other of the two, and the bytes that a network's addresses begin with.
"""

from .view import address


def network_of(text: str) -> tuple[bytes, int]:
    """Return (packed network, prefix length) of "192.168.1.0/24", or of an address. Raises ValueError with words."""
    where, slash, length = text.strip().partition("/")
    try:
        packed = address(where)
        prefix = int(length) if slash else 8 * len(packed)
    except (ValueError, OSError):
        packed, prefix = b"", -1
    if not packed or not 0 <= prefix <= 8 * len(packed):
        raise ValueError(
            "'" + text[:64] + "' is not a network: expected an address and a prefix length, such as 192.168.1.0/24"
        )
    return packed, prefix


def cut(packed: bytes, prefix: int) -> bytes:
    """Return the bytes that addresses of a network begin with, the bits beyond its prefix 0."""
    whole, bits = prefix // 8, prefix % 8
    return packed[:whole] + bytes((packed[whole] & (0xFF00 >> bits & 0xFF),)) if bits else packed[:whole]


def text_of(packed: bytes, prefix: int) -> str:
    """Return a network as people write it, "192.168.1.0/24"; the zeros of IPv6 are not all left out."""
    whole = cut(packed, prefix)
    whole += bytes(len(packed) - len(whole))
    if len(packed) == 4:
        return ".".join([str(byte) for byte in whole]) + "/" + str(prefix)
    words = [hex(whole[index] << 8 | whole[index + 1])[2:] for index in range(0, 16, 2)]
    while words and words[-1] == "0":
        words.pop()
    return ":".join(words) + ("/" if len(words) == 8 else "::/") + str(prefix)


def is_special(packed: bytes) -> bool:
    """Return whether an address is no single host's elsewhere: multicast, broadcast, link-local, loopback, unspecified."""
    if len(packed) == 4:
        return packed[0] in (0, 127) or packed[0] >= 224 or packed[:2] == b"\xa9\xfe"
    return packed[0] == 0xFF or (packed[0] == 0xFE and packed[1] & 0xC0 == 0x80) or not any(packed[:15])
