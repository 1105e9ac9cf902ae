"""The server as a process: several of them, and what is left when they are killed."""

import http.client
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from convergan.cli import main
from convergan.study.collect.entry import new_link
from convergan.study.web import protocol
from convergan.study.web.serve import root_path, trusted_proxies
from studies import QUICK, prolific_path
from visitor import Visitor, new_key

CLIENTS = 8
LOST = (OSError, http.client.HTTPException)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Server:
    """`convergan study serve` as a process with its workers, in a group of their own."""

    def __init__(self, study, log, workers=2):
        self.port = free_port()
        self._command = [
            sys.executable, "-m", "convergan.cli", "study", "serve", study.location,
            "--port", str(self.port), "--workers", str(workers),
        ]  # fmt: skip
        self._log = log
        self.start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        self.process = subprocess.Popen(
            self._command, stdout=self._log, stderr=self._log, start_new_session=True
        )

    def wait(self):
        """Wait until the server answers."""
        end = time.monotonic() + 120
        while True:
            try:
                assert Visitor(self.address).get("/").status == 200
                return
            except LOST:
                assert time.monotonic() < end and self.process.poll() is None
                time.sleep(0.05)

    def workers(self):
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        children = path.read_text(encoding="utf-8")
        pids = []
        for pid in children.split():
            # The parent may have buried it since.
            with suppress(FileNotFoundError):
                if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    pids.append(int(pid))
        return pids

    def kill(self):
        # All of them may have ended by themselves.
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def running(study, folder, **options):
    with (folder / "server.log").open("ab") as log:
        server = Server(study, log, **options)
        try:
            server.wait()
            yield server
        finally:
            server.kill()


class Client(threading.Thread):
    """One participant after another, going on whatever happens; knows which votes were acknowledged."""

    def __init__(self, study, address, stop):
        super().__init__(daemon=True)
        self._study, self._address, self._ending = study, address, stop
        self._visitor = Visitor(address)
        self.acknowledged = {}
        self.finished = 0

    def run(self):
        while not self._ending.is_set():
            self._visitor.cookies.clear()
            link = new_link(self._study.keys, "personal")
            self._insist(lambda link=link: self._visitor.join(link), 303)
            tasks = self._insist(lambda: self._visitor.post("/api/resume"), 200).json["tasks"]
            while tasks and not self._ending.is_set():
                if tasks[0]["image"]:
                    self._insist(lambda path=tasks[0]["image"]: self._visitor.get(path), 200)
                position, key = tasks[0]["position"], new_key()
                answer = tasks[0]["asks"] or random.choice(["real", "generated"])
                receipt = self._insist(
                    lambda p=position, a=answer, k=key: self._visitor.vote(p, a, k), 200
                )
                self.acknowledged[key] = (position, answer == "generated")
                tasks = receipt.json["tasks"]
            self.finished += not tasks

    def _insist(self, ask, expected):
        while True:
            try:
                answer = ask()
                if answer.status == expected:
                    return answer
                assert answer.status in (429, 500, 503), answer
            except LOST:
                cookies = self._visitor.cookies
                self._visitor = Visitor(self._address)
                self._visitor.cookies = cookies
            time.sleep(0.05)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds its processes in /proc")
@pytest.mark.parametrize("kills", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_kills_under_load_lose_no_acknowledged_vote(make_study, tmp_path, kills):
    """Every fifth kill is of the whole server, the others are of a worker."""
    study = make_study(replace(QUICK, trials=20))
    study.database.close()
    randomness = random.Random(0)
    stop = threading.Event()
    with running(study, tmp_path) as server:
        clients = [Client(study, server.address, stop) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        for number in range(kills):
            count = sum(len(client.acknowledged) for client in clients)
            time.sleep(randomness.uniform(0.1, 0.4))
            end = time.monotonic() + 120
            if number % 5 == 4:
                server.kill()
                server.start()
                server.wait()
            else:
                # Its fellow goes on, or has just gone itself; the parent starts others.
                while not (workers := server.workers()):
                    assert time.monotonic() < end, "the parent starts no worker"
                    time.sleep(0.02)
                os.kill(randomness.choice(workers), signal.SIGKILL)
            while sum(len(client.acknowledged) for client in clients) < count + 20:
                assert time.monotonic() < end, "the clients do not go on"
                time.sleep(0.02)
        end = time.monotonic() + 120
        while not any(client.finished for client in clients):
            assert time.monotonic() < end, "no client finishes"
            time.sleep(0.02)
        stop.set()
        for client in clients:
            client.join(timeout=120)
        assert not any(client.is_alive() for client in clients)
    with sqlite3.connect(study.location) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = database.execute("SELECT key, position, answered_generated FROM votes").fetchall()
    stored = {key: (position, bool(answer)) for key, position, answer in rows}
    assert len(stored) == len(rows)
    acknowledged = {key: vote for client in clients for key, vote in client.acknowledged.items()}
    assert len(acknowledged) >= 20 * kills
    assert {key: stored.get(key) for key in acknowledged} == acknowledged


def test_the_command_serves_says_where_and_stops(make_study, tmp_path):
    study = make_study()
    study.database.close()
    pid = "5f3a9c2e1b7d4e6f8a0b1c2d"
    with running(study, tmp_path, workers=1) as server:
        visitor = Visitor(server.address)
        visitor.get(prolific_path(study, pid))
        assert visitor.submit("/consent", {"agree": "yes"}).status == 303
        visitor.finish()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(timeout=120) == 0
        log = (tmp_path / "server.log").read_text()
        server.start()
    assert f"admin page:  http://{server.address}/admin" in log
    assert study.keys.admin_token in log and "/join/preview-" in log
    # Not a word of who came.
    assert pid not in log and "PROLIFIC" not in log
    assert pid.encode() not in b"".join(
        file.read_bytes() for file in tmp_path.iterdir() if file.is_file()
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds its processes in /proc")
def test_workers_end_with_their_parent_however_it_ends(make_study, tmp_path):
    study = make_study()
    study.database.close()
    with running(study, tmp_path) as server:
        end = time.monotonic() + 60
        while len(workers := server.workers()) < 2:
            assert time.monotonic() < end
            time.sleep(0.05)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        while any(Path(f"/proc/{pid}").exists() for pid in workers):
            assert time.monotonic() < end, "workers are left over"
            time.sleep(0.05)
        # Nobody is on the port any more.
        with pytest.raises(LOST):
            Visitor(server.address).get("/")


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"POST /api/votes HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na",
    ],
    ids=["nothing", "half a header", "half a body"],
)
def test_who_takes_too_long_to_ask_is_left(make_study, serve, monkeypatch, begun):
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.3)
    served = serve(make_study())
    host, port = served.address.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as slow:
        # A byte now and then does not help.
        with suppress(OSError):
            slow.sendall(begun)
        with suppress(ConnectionResetError):
            assert slow.recv(1) == b""


def test_who_waits_between_two_whole_requests_is_not_left(served, monkeypatch):
    # Long enough for a request on a busy machine.
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 1.0)
    visitor = served.visitor()
    assert visitor.get("/").status == 200
    connection = visitor._connection.sock
    time.sleep(1.2)
    assert visitor.get("/").status == 200 and visitor._connection.sock is connection


def test_proxies_that_are_not_trusted_are_not_believed(make_study, serve, capsys):
    assert trusted_proxies("10.0.0.0/8, 192.168.1.7,*") == "10.0.0.0/8, 192.168.1.7,*"
    assert root_path("/a/b/") == "/a/b" and root_path("/") == root_path("") == ""
    study = make_study()
    for option, value in (
        ("--trusted-proxies", "proxy"),
        ("--root-path", "turing"),
        ("--root-path", "/a b"),
    ):
        assert main(["study", "serve", study.location, option, value]) != 0
        assert f"{option.lstrip('-')}: expected" in capsys.readouterr().err


def test_answers_leave_at_once(make_study, serve):
    served = serve(make_study())
    visitor = served.participant()
    visitor.post("/api/resume")
    sockets = [
        connection.transport.get_extra_info("socket")
        for connection in served.server.server_state.connections
    ]
    options = [sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for sock in sockets]
    assert options and all(options)
