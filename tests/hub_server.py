"""A Hugging Face hub of the tests' own: an HTTP server with the few answers that its library asks for."""

import hashlib
import json
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from urllib.parse import unquote, urlsplit


@dataclass
class Hub:
    """Data sets by id and branch, and the requests for them; `with` serves them."""

    branches: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    """Files of each data set and branch: {("some/one", "main"): {"README.md": b"..."}}."""
    gated: set[str] = field(default_factory=set)
    """Data sets whose files need the token `let-me-in`."""
    cut: set[str] = field(default_factory=set)
    """Files whose next download breaks off in the middle."""
    broken: set[str] = field(default_factory=set)
    """Files that cannot be downloaded."""
    asked: list[str] = field(default_factory=list)  # words: tests of data read it
    """Method, path and range of each request."""

    def commit(self, name: str, branch: str) -> str:
        """The branch's commit, which differs for other files."""
        files = self.branches[name, branch]
        facts = [name, branch, *((path, content.hex()) for path, content in sorted(files.items()))]
        return hashlib.sha1(json.dumps(facts).encode()).hexdigest()

    def downloaded(self) -> list[str]:
        """The files whose content was requested, sorted by name."""
        return sorted(
            request.split("/resolve/")[1].split("/", 1)[1].split()[0]
            for request in self.asked
            if request.startswith("GET") and "/resolve/" in request
        )

    def __enter__(self) -> "Hub":
        hub = self

        class Handler(_Handler):
            served = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    served: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub = self.served
        path = unquote(urlsplit(self.path).path)
        hub.asked.append(f"{self.command} {path} {self.headers.get('Range', '')}".strip())
        if path.startswith("/api/datasets/"):
            name, kind, revision = _parts(path.removeprefix("/api/datasets/"))
            self._describe(name, kind, revision)
        elif not path.startswith("/datasets/"):
            self._send(404, b"")
        else:
            name, _, remainder = _parts(path.removeprefix("/datasets/"))
            commit, file = remainder.split("/", 1)
            self._file(name, commit, file)

    def _describe(self, name: str, kind: str, revision: str) -> None:
        hub = self.served
        branches = [branch for data_set, branch in hub.branches if data_set == name]
        if not branches:
            return self._send(401, b"{}", {"X-Error-Message": "Invalid username or password."})
        for branch in branches:
            commit = hub.commit(name, branch)
            if revision not in (branch, commit):
                continue
            if kind == "revision":
                return self._send(200, json.dumps({"id": name, "sha": commit}).encode())
            return self._send(
                200,
                json.dumps(
                    [
                        {"type": "file", "path": path, "size": len(content), "oid": _hash(content)}
                        for path, content in hub.branches[name, branch].items()
                    ]
                ).encode(),
            )
        return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})

    def _file(self, name: str, commit: str, file: str) -> None:
        hub = self.served
        if name in hub.gated and self.headers.get("Authorization") != "Bearer let-me-in":
            return self._send(401, b"", {"X-Error-Code": "GatedRepo"})
        (content,) = (
            files[file]
            for (data_set, branch), files in hub.branches.items()
            if data_set == name and hub.commit(data_set, branch) == commit
        )
        headers = {"ETag": f'"{_hash(content)}"', "X-Repo-Commit": commit}
        if self.command == "GET" and file in hub.broken:
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return self._send(206 if start else 200, content[start:], headers, file)

    def _send(
        self, status: int, content: bytes, headers: dict[str, str] | None = None, file: str = ""
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if file in self.served.cut:
            self.served.cut.discard(file)
            content = content[: len(content) // 2]
        self.wfile.write(content)


def _parts(path: str) -> tuple[str, str, str]:
    """`some/one/tree/main` as ("some/one", "tree", "main")."""
    owner, name, kind, remainder = path.split("/", 3)
    return f"{owner}/{name}", kind, remainder


def _hash(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
