"""`python -m bench.scrub`: what continuous scrubbing does to the slowest requests.

One store is served in turn without scrub, and with a period so short that scrub reads it as fast as it would read full
drives of `--drive-tib` within its default period. Requests come at a steady rate far below what the server can do, as wrk's slowest would else be those that queue.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from pathlib import Path

from bench.load import Signer
from bench.peers import clear, pyrite

KIB, MIB = 1024, 1024 * 1024
SMALL_BYTES, LARGE_BYTES = 4 * KIB, MIB
_NEVER_DAYS, _PERIOD_DAYS = 36_500.0, 14.0
TIB = 1024**4
_LIMIT = 1.10


async def latencies(port: int, requests: list[bytes], rate: float, seconds: float) -> list[float]:
    """Seconds that each request took, sent at `rate` a second on connections of their own as needed."""
    taken: list[float] = []
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(request: bytes, due: float) -> None:
        reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(head.decode())
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        taken.append(time.monotonic() - due)
        idle.append((reader, writer))

    rng, tasks = random.Random(1), set()
    due, ends = time.monotonic(), time.monotonic() + seconds
    while due < ends:
        due += rng.expovariate(rate)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        task = asyncio.ensure_future(ask(rng.choice(requests), due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    for _, writer in idle:
        writer.close()
    return taken


def fill(port: int, count: int) -> None:
    """Objects of both sizes."""
    sign, rng = Signer(port), random.Random(2)
    requests = [sign.request("PUT", "/bench")]
    for number in range(count):
        requests.append(sign.request("PUT", f"/bench/small-{number}", body=rng.randbytes(SMALL_BYTES)))
        requests.append(sign.request("PUT", f"/bench/large-{number}", body=rng.randbytes(LARGE_BYTES)))
    for request in requests:
        asyncio.run(_once(port, request))


async def _once(port: int, request: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await writer.drain()
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


def p99_ms(taken: list[float]) -> float:
    """The 99th percentile in milliseconds."""
    return statistics.quantiles(taken, n=100)[98] * 1000


def main() -> None:
    """Print the ratios of the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rate", type=float, default=150, help="requests a second")
    parser.add_argument("--objects", type=int, default=400, help="of each size")
    parser.add_argument("--drives", type=int, default=4)
    parser.add_argument("--drive-tib", type=float, default=4, help="TiB of the drives whose scrub is imitated")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-scrub-"))
    try:
        with pyrite(folder / "store", given.drives) as port:
            fill(port, given.objects)
        stored = sum(
            path.stat().st_size for path in (folder / "store" / "d0" / "volumes").iterdir() if "." in path.name
        )
        scrub = _PERIOD_DAYS * stored / (given.drive_tib * TIB)
        found: dict[tuple[str, float], list[float]] = {}
        for _ in range(given.rounds):
            for period in (_NEVER_DAYS, scrub):
                with pyrite(folder / "store", given.drives, "--scrub-period", f"{period:.6f}") as port:
                    sign = Signer(port)
                    for size in ("small", "large"):
                        requests = [sign.request("GET", f"/bench/{size}-{n}") for n in range(given.objects)]
                        asyncio.run(latencies(port, requests[:50], given.rate, 1))  # warms up
                        rate = given.rate if size == "small" else given.rate / 3
                        taken = asyncio.run(latencies(port, requests, rate, given.seconds))
                        found.setdefault((size, period), []).append(p99_ms(taken))
        for size in ("small", "large"):
            without, during = (statistics.median(found[size, period]) for period in (_NEVER_DAYS, scrub))
            ratio = during / without
            print(f"GET {size}: p99 {without:.2f} ms, {during:.2f} ms under scrub, ratio {ratio:.2f} (goal {_LIMIT})")
    finally:
        clear(folder)


if __name__ == "__main__":
    main()
