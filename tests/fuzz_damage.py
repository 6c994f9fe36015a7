"""Damage to files: what a mutation fuzzer makes of JSON, text, pictures, pickles, weights and any bytes."""

import copy
import json
import random
import struct
import zlib
from pathlib import Path

from damage import places

JUNK = (
    None, True, "", "x", "0", "\0", "\ud800", "../../../x", "/x", "n" * 300, "[::]", [], {}, [[]], [None], -1, 0, 1,
    1.0, 0.5, 2, 3, 41, 2**31 - 1, 2**31, 2**63, 2**70, 10**400, -1.2, 6.85, 1e-300, 1e308, -1e308, 1e12, 3e8,
    float("nan"), float("inf"), -float("inf"), [["a"]], [[1, 2, 3, 4]], [[0, 0, 9, 0, 9, 9]], [[1e308] * 6], [0] * 99,
    {"size": [40, 60], "counts": "abc"}, {"size": [40, 60], "counts": [0, 2400]}, {"counts": [-5, 2405]},
    {"size": [4, 6], "counts": "0000h0"}, {"size": [8, 12], "counts": [96]}, {"size": [23170, 23170], "counts": "0"},
)  # fmt: skip
WORDS = "-1 0 1 10 nan 1e9 999999999 99999999999999999999 x ² ٣ l0 00".split() + ["", "0" * 50]
HOSTILE = (
    b"cos\nsystem\n(Vtouch samodal-was-here\ntR.", b"c__builtin__\neval\n(V1+1\ntR.", b"r\xff\xff\xff\x07",
    b"r\xff\xff\xff\x7f", b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f", b"(" * 99, b"]" * 2000 + b"a" * 1999, b"\x85" * 2000,
    b"\x8bd\0\0\0" + b"\xff" * 100, b"\x82\x01", b"h\0\x86" * 40, b"c_codecs\nencode\n",
)  # fmt: skip
"""Pieces of pickles that call functions, ask for gigabytes, or nest."""


def damaged(path: Path, content: bytes, rng: random.Random) -> bytes:
    """Other content for a file, after its kind and by chance."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".json" and rng.random() < 0.85:
            return _dumped(json_damaged(json.loads(content), rng))
        if suffix == ".state" and rng.random() < 0.85:
            line, _, arrays = content.partition(b"\n")
            return _dumped(json_damaged(json.loads(line), rng)) + b"\n" + arrays
        if suffix == ".jsonl" and rng.random() < 0.85:
            return lines_damaged(content, rng)
        if suffix in (".txt", ".xml") and rng.random() < 0.7:
            return words_damaged(content, rng)
        if suffix == ".png" and rng.random() < 0.5:
            return png_damaged(content, rng)
        if suffix in (".pkl", ".pth", ".pt") and rng.random() < 0.4:
            at = rng.randrange(len(content) + 1)
            return content[:at] + rng.choice(HOSTILE) + content[at:]
        if suffix == ".safetensors" and rng.random() < 0.7:
            return safetensors_damaged(content, rng)
    except (ValueError, OverflowError, RecursionError, struct.error):  # a file that is damaged already
        pass
    return bytes_damaged(content, rng)


def _dumped(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=True).encode()


def json_damaged(content: object, rng: random.Random) -> object:
    """One to three places changed: another value, one from elsewhere, none, the same twice, or other letters."""
    content = copy.deepcopy(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        everywhere = list(places(content))
        if not everywhere:
            return rng.choice(JUNK)
        *keys, last = rng.choice(everywhere)
        inside = content
        for key in keys:
            inside = inside[key]
        change = rng.randrange(8)
        if change < 3:
            inside[last] = rng.choice(JUNK)
        elif change == 3:
            inside[last] = copy.deepcopy(_at(content, rng.choice(everywhere)))
        elif change == 4:
            del inside[last]
        elif change == 5 and isinstance(inside, list):
            inside.insert(last, copy.deepcopy(inside[last]))
        elif change == 6 and isinstance(inside, list):
            rng.shuffle(inside)
        else:
            inside[last] = _near(inside[last], rng)
    return content


def _at(content: object, keys: tuple) -> object:
    for key in keys:
        content = content[key]
    return content


def _near(value: object, rng: random.Random) -> object:
    """A value that is almost the same."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        return rng.choice((-value, value + 1, value - 1, value * 1000, value / 3, str(value), float(value), [value]))
    if isinstance(value, str) and value:
        at = rng.randrange(len(value))
        return value[:at] + rng.choice(("", "0", "~", "o", "\u00e9", "/", value)) + value[at + rng.randrange(2) :]
    return [value]


def lines_damaged(content: bytes, rng: random.Random) -> bytes:
    """A file of JSON lines with one line changed, left out, or there twice."""
    lines = content.splitlines()
    n = rng.randrange(len(lines))
    change = rng.randrange(5)
    if change == 0:
        del lines[n]
    elif change == 1:
        lines.insert(n, lines[n])
    else:
        lines[n] = _dumped(json_damaged(json.loads(lines[n]), rng))
    return b"\n".join(lines) + (b"\n" if rng.random() < 0.9 else b"")


def words_damaged(content: bytes, rng: random.Random) -> bytes:
    """A text with one to three words changed."""
    lines = [line.split(" ") for line in content.decode().splitlines()]
    for _ in range(rng.choice((1, 1, 2, 3))):
        line = rng.choice(lines)
        n = rng.randrange(len(line))
        line[n] = rng.choice((rng.choice(WORDS), str(_near(line[n], rng)), f"{line[n]} {line[n]}"))
    return "\n".join(" ".join(line) for line in lines).encode("utf-8", "surrogatepass")


def png_damaged(content: bytes, rng: random.Random) -> bytes:
    """A PNG whose head says another size or depth, with a right checksum, or which has a large text in it."""
    head = list(struct.unpack(">IIBBBBB", content[16:29]))
    extra = b""
    if rng.random() < 0.2:
        extra = _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 2_000_000))
    elif rng.random() < 0.7:
        head[rng.randrange(2)] = rng.choice((0, 1, 7, 100, 5000, 30_000, 60_000, 10**8, 2**31 - 1, 2**32 - 1))
    else:
        head[rng.randrange(2, 7)] = rng.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
    return content[:8] + _chunk(b"IHDR", struct.pack(">IIBBBBB", *head)) + extra + content[33:]


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def safetensors_damaged(content: bytes, rng: random.Random) -> bytes:
    """A .safetensors with another head; metadata that is JSON in text is changed inside, too."""
    length = struct.unpack("<Q", content[:8])[0]
    head = json.loads(content[8 : 8 + length])
    metadata = head.get("__metadata__", {})
    keys = [key for key, value in metadata.items() if value.startswith("{")]
    if keys and rng.random() < 0.6:
        key = rng.choice(keys)
        metadata[key] = json.dumps(json_damaged(json.loads(metadata[key]), rng))
    else:
        head = json_damaged(head, rng)
    text = _dumped(head)
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def bytes_damaged(content: bytes, rng: random.Random) -> bytes:
    """One to three bytes changed, pieces left out, put in, or there twice; or the end cut off."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at, end = (rng.randrange(len(data) + 1) for _ in range(2))
        at, end = min(at, end), min(max(at, end), min(at, end) + rng.choice((1, 4, 64)))
        change = rng.randrange(6)
        if change == 0:
            del data[at:]
        elif change == 1:
            del data[at:end]
        elif change == 2:
            data[at:at] = data[at:end]
        elif change == 3:
            data[at:at] = rng.choice(HOSTILE + (b"\xff\xfe", b"\0\0\0\0", b"[" * 3000, b"9" * 5000, b"\xef\xbb\xbf"))
        else:
            data[at:end] = rng.randbytes(end - at)
    return bytes(data)
