"""A visitor of a study who has no browser: a browser's requests over one connection, with cookies."""

import http.client
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode


@dataclass(frozen=True)
class Answer:
    """Response of a server."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class Visitor:
    """Asks one server; remembers its cookies."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.cookies: dict[str, str] = {}
        self._connection = http.client.HTTPConnection(address, timeout=120)

    def get(self, path: str, **headers: str) -> Answer:
        return self._ask("GET", path, None, headers)

    def post(self, path: str, content: object = None, **headers: str) -> Answer:
        """Send a request as the page's script does."""
        headers = {"Content-Type": "application/json", **headers}
        return self._ask("POST", path, json.dumps(content or {}).encode(), headers)

    def submit(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        """Submit a form."""
        headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        return self._ask("POST", path, urlencode(fields).encode(), headers)

    def join(self, link: str) -> Answer:
        """Follow a link and consents."""
        assert self.get(f"/join/{link}").status == 303
        return self.submit("/consent", {"agree": "yes"})

    def resume(self) -> Any:
        """The session's state, as its page gets it."""
        answer = self.post("/api/resume")
        assert answer.status == 200, answer
        return answer.json

    def vote(self, position: int, answer: str, key: str | None = None) -> Answer:
        content = {"position": position, "key": key or new_key(), "answer": answer}
        return self.post("/api/votes", {**content, "response_ms": 1000.5})

    def take_place(self) -> Answer:
        """Practises, and answers the first trial; returns the response to the last answer given."""
        state = self.resume()
        while True:
            task = state["tasks"][0]
            response = self.vote(task["position"], "real")
            if task["kind"] == "trial" or response.status != 200:
                return response
            state = response.json

    def finish(self, answer: str = "real") -> None:
        """Give this answer to all that is left, and the right one to checks."""
        tasks = self.resume()["tasks"]
        while tasks:
            task = tasks[0]
            receipt = self.vote(task["position"], task["asks"] or answer)
            # A program on a fast machine answers faster than people may.
            while receipt.status == 429:
                time.sleep(float(receipt.headers["retry-after"]))
                receipt = self.vote(task["position"], task["asks"] or answer)
            assert receipt.status == 200, receipt
            tasks = receipt.json["tasks"]

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if cookies:
            headers = {"Cookie": cookies, **headers}
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        content = response.read()
        for name, value in response.getheaders():
            if name.lower() == "set-cookie":
                cookie, _, value = value.partition(";")[0].partition("=")
                self.cookies[cookie] = value.strip('"')
        response_headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, response_headers, content)


def new_key() -> str:
    """A random key, as a browser chooses one for each attempt."""
    return secrets.token_hex(16)
