"""Run as a program: read thousands of damaged copies of a file under a memory limit; fail on anything but a refusal.

Prints how many were read and how many refused, and the slowest read in seconds.
"""

import json
import random
import resource
import sys
import time
from pathlib import Path

from elastic.errors import ElasticError
from elastic.metadata import read_axes, read_header, read_level, read_score, read_units, verify_level

MEMORY = 1 << 30  # bytes of address space beyond what the imports took
VALUES = (
    None,
    True,
    -1,
    0,
    1,
    255,
    256,
    2**31,
    2**63,
    10**400,
    1.5,
    "",
    "~1/x",
    "9",
    "\ud800",
    [],
    {},
    [[]],
    {"0": "0"},
)


def main(source: str, work: str, count: int, seed: int) -> None:
    data, path, rng = Path(source).read_bytes(), Path(work), random.Random(seed)
    # As text, because a statm of pages says what is mapped now; the limit comes after the imports.
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, mapped + MEMORY))
    outcomes, slowest = {True: 0, False: 0}, 0.0
    for _ in range(count):
        path.unlink(missing_ok=True)  # some file systems sync a file that is emptied and filled again
        path.write_bytes(rng.choice(MUTATIONS)(data, rng))
        begun = time.perf_counter()
        outcomes[survives(path)] += 1
        slowest = max(slowest, time.perf_counter() - begun)
    sys.stdout.write(json.dumps({"read": outcomes[True], "refused": outcomes[False], "slowest": slowest}))


def survives(path: Path) -> bool:
    """Return whether every reader succeeds; one that refuses must say so in one line that names the file."""
    try:
        for level in range(len(read_header(path).levels) - 1):
            read_level(path, level)
        read_axes(path), read_units(path), read_score(path)
        verify_level(path)  # reads the largest
    except ElasticError as error:
        message = str(error)
        if "\n" in message or len(message) > 2000 or path.name not in message:
            raise AssertionError(f"not one line that names the file: {message[:300]!r}") from error
        message.encode()
        return False
    return True


def flip(data: bytes, rng: random.Random) -> bytes:
    mutable = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 20))):
        mutable[rng.randrange(len(mutable))] ^= 1 << rng.randrange(8)
    return bytes(mutable)


def truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def insert(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.randbytes(rng.choice((1, 8, 100))) + data[place:]


def length(data: bytes, rng: random.Random) -> bytes:
    return rng.choice((0, 1, 2**32, 2**63, 2**64 - 1, len(data), rng.getrandbits(20))).to_bytes(8, "little") + data[8:]


def edit(data: bytes, rng: random.Random) -> bytes:
    """Replace, remove or double one value somewhere in the container's header."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    change(header, rng)
    return packed(header, data[8 + size :])


def edit_elastic(data: bytes, rng: random.Random) -> bytes:
    """The same within the elastic header."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    elastic = json.loads(header["__metadata__"]["elastic"])
    for _ in range(rng.choice((1, 1, 2))):
        change(elastic, rng)
    header["__metadata__"]["elastic"] = json.dumps(elastic)
    return packed(header, data[8 + size :])


MUTATIONS = (flip, truncate, insert, length, edit, edit, edit_elastic, edit_elastic)


def packed(header: object, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def change(node: object, rng: random.Random) -> None:
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(node[key], dict | list) and node[key] and rng.random() < 0.8:
            node = node[key]
            continue
        deed = rng.randrange(4)
        if deed == 0:
            del node[key]
        elif deed == 1 and isinstance(node, dict):
            node[rng.choice(("x", "~2/conv.weight/0", "~3/a", "elastic", str(rng.choice(keys)) + "/0"))] = node[key]
        elif deed == 2 and isinstance(node[key], int):
            node[key] += rng.choice((-1, 1, 2**40))
        else:
            node[key] = rng.choice(VALUES)
        return


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
