"""Claim: 100 participants at once, 100 trials each, and 95 % of the answers come within 150 ms.

    python benchmarks/study_load.py [--participants 100] [--trials 100] [--think-seconds 1]

It runs `convergan study serve` with 2 workers on loopback, on SQLite and on PostgreSQL, both syncing every
vote to the disk. Each participant asks for the images ahead as the study's page does, thinks for a second
and an exponentially distributed time more (half a second on average), and votes, over one connection that
is kept. Afterwards every vote must be in the database once, and no answer of the server may have been an
error. The participants share the machine with the server. Without PostgreSQL its row is left out.
"""

import argparse
import asyncio
import json
import random
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sqlalchemy import func, select

from convergan.runs.provenance import device_name
from convergan.study.collect.entry import new_link
from convergan.study.design.plan import Plan
from convergan.study.preparation.create import create_study
from convergan.study.storage.keys import read_key_file
from convergan.study.storage.opening import open_study
from convergan.study.storage.schema import Vote
from harness.command_line import command_parser
from harness.postgres_server import NoPostgreSQL, postgres_server
from harness.rows import row, write_rows

LIMIT_SECONDS = 0.150
WORKERS = 2
SIZE_PX = 64


@dataclass
class Measured:
    """Answers of the server, as the participants saw them."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {"vote": [], "image": []})
    statuses: Counter[int] = field(default_factory=Counter)
    acknowledged: set[str] = field(default_factory=set)

    def p95(self, kind: str) -> float:
        return float(np.quantile(self.seconds[kind], 0.95))


class Connection:
    """One kept connection to the server, with the cookies of one participant."""

    def __init__(self, port: int, measured: Measured) -> None:
        self._port = port
        self._measured = measured
        self._cookies: dict[str, str] = {}

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    def close(self) -> None:
        self._writer.close()

    async def ask(self, method: str, path: str, body: bytes = b"", kind: str = "") -> bytes:
        """Send a request; give the body of the answer. Requests of a `kind` are timed."""
        form = path == "/consent"
        content_type = "application/x-www-form-urlencoded" if form else "application/json"
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookies}\r\n"
            f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        start = time.perf_counter()
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        lines = answer.decode().split("\r\n")
        headers = [line.partition(": ")[::2] for line in lines[1:] if line]
        length = next(int(value) for name, value in headers if name.lower() == "content-length")
        content = await self._reader.readexactly(length)
        if kind:
            self._measured.seconds[kind].append(time.perf_counter() - start)
        self._measured.statuses[int(lines[0].split()[1])] += 1
        for name, value in headers:
            if name.lower() == "set-cookie":
                cookie, _, attributes = value.partition("=")
                self._cookies[cookie] = attributes.partition(";")[0]
        return content


async def take_part(port: int, link: str, think_seconds: float, measured: Measured) -> None:
    """One participant from the link to the end."""
    connection = Connection(port, measured)
    # Not all in the same instant.
    await asyncio.sleep(random.uniform(0, 2 * think_seconds))
    await connection.open()
    await connection.ask("GET", f"/join/{link}")
    await connection.ask("POST", "/consent", b"agree=yes")
    tasks = json.loads(await connection.ask("POST", "/api/resume", b"{}"))["tasks"]
    loaded: set[str] = set()
    while tasks:
        for task in tasks:
            if task["image"] not in loaded:
                loaded.add(task["image"])
                await connection.ask("GET", task["image"], kind="image")
        await asyncio.sleep(think_seconds + random.expovariate(2 / think_seconds))
        key = secrets.token_hex(16)
        vote = {"position": tasks[0]["position"], "key": key, "answer": "real"}
        body = json.dumps(vote | {"response_ms": 1000 * think_seconds}).encode()
        receipt = json.loads(await connection.ask("POST", "/api/votes", body, kind="vote"))
        measured.acknowledged.add(key)
        tasks = receipt["tasks"]
    connection.close()


async def everyone(port: int, links: list[str], think_seconds: float, measured: Measured) -> None:
    """All participants at once."""
    async with asyncio.TaskGroup() as group:
        for link in links:
            group.create_task(take_part(port, link, think_seconds, measured))


def load(database_url: str, *, participants: int, trials: int, think_seconds: float) -> Measured:
    """Make a study, serve it, let everyone take part, and check what is stored."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        key_file = folder / "study.key"
        plan = Plan(trials=trials, practice=0, checks=0, participants=participants)
        real, generated = (write_noise(folder / kind, trials) for kind in ("real", "generated"))
        database_url = database_url or str(folder / "study.db")
        create_study(database_url, key_file, plan, real=real, generated={"noise": generated})
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [
            sys.executable, "-m", "convergan.cli", "study", "serve", database_url,
            "--key", str(key_file), "--port", str(port), "--workers", str(WORKERS),
        ]  # fmt: skip
        server = stack.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        stack.callback(server.terminate)
        wait_for(port)
        keys = read_key_file(key_file)
        links = [new_link(keys, "personal") for _ in range(participants)]
        measured = Measured()
        asyncio.run(everyone(port, links, think_seconds, measured))
        check(database_url, measured, participants * trials)
    return measured


def write_noise(folder: Path, count: int) -> Path:
    """Random images, as many as are needed."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(count):
        pixels = generator.integers(0, 256, (SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def wait_for(port: int) -> None:
    """Wait until the server listens."""
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def check(database_url: str, measured: Measured, votes: int) -> None:
    """Every vote is stored once, and no request failed.

    Raises:
        RuntimeError: otherwise.
    """
    with closing(open_study(database_url)) as database, database.reading() as session:
        stored, different = session.execute(
            select(func.count(), func.count(Vote.key.distinct())).select_from(Vote)
        ).one()
    failed = {status: n for status, n in measured.statuses.items() if status >= 400}
    counts = (stored, different, len(measured.acknowledged))
    if counts != (votes, votes, votes) or failed:
        raise RuntimeError(
            f"expected {votes} votes stored, different and acknowledged, and no failed request,"
            f" got {counts} and {failed}"
        )


def describe(name: str, measured: Measured, arguments: argparse.Namespace) -> dict[str, Any]:
    """The row of one database."""
    votes, p95 = len(measured.acknowledged), measured.p95("vote")
    print(
        f"{name}: {votes:,} votes, none lost or twice, no failed request;"
        f" votes: median {1e3 * statistics.median(measured.seconds['vote']):.0f} ms,"
        f" 95 % within {1e3 * p95:.0f} ms; images: 95 % within {1e3 * measured.p95('image'):.0f} ms",
        flush=True,
    )
    return row(
        claim=f"95 % of votes are answered, and on the disk, within {1e3 * LIMIT_SECONDS:.0f} ms",
        setting=(
            f"{arguments.participants} participants at once, {arguments.trials} trials each,"
            f" {WORKERS} workers, {name}"
        ),
        device=device_name(torch.device("cpu")),
        precision="none",
        ours=p95,
        peer=LIMIT_SECONDS,
        peer_name="the limit that was set",
        times_faster=LIMIT_SECONDS / p95,
        unit="seconds",
        repeats=votes,
        image_p95_seconds=measured.p95("image"),
        vote_median_seconds=statistics.median(measured.seconds["vote"]),
        think_seconds=1.5 * arguments.think_seconds,
        votes=votes,
        failed_requests=0,
    )


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--participants", type=int, default=100)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--think-seconds", type=float, default=1.0)
    arguments = parser.parse_args()
    sizes = {
        "participants": arguments.participants,
        "trials": arguments.trials,
        "think_seconds": arguments.think_seconds,
    }
    rows = [describe("SQLite", load("", **sizes), arguments)]
    try:
        with postgres_server() as new_database:
            rows.append(describe("PostgreSQL", load(new_database(), **sizes), arguments))
    except NoPostgreSQL as missing:
        print(f"without a row of PostgreSQL: {missing}")
    print(write_rows("study-load", rows))


if __name__ == "__main__":
    main()
