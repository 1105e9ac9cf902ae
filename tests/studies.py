"""Studies that tests make, and their servers."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import uvicorn
from PIL import Image

from convergan.study.collect.entry import Way, new_link
from convergan.study.design.plan import Plan
from convergan.study.storage.database import Database
from convergan.study.storage.keys import Keys
from convergan.study.web.app import make_app
from convergan.study.web.serve import SERVER_OPTIONS
from drawn_images import draw
from visitor import Visitor

# Short, so that tests are; the defaults are tested where they matter.
QUICK = Plan(trials=4, practice=2, checks=3, participants=1000)

# Four images and no more, for what takes a browser seconds.
BRIEF = Plan(trials=2, practice=2, checks=0, participants=1000)

MakeStudy = Callable[..., "MadeStudy"]
Serve = Callable[["MadeStudy"], "Served"]


@dataclass(frozen=True)
class MadeStudy:
    """A study in a real database."""

    location: str
    key_file: Path
    database: Database
    keys: Keys
    plan: Plan


@dataclass(frozen=True)
class Served:
    """A study behind a server in this process."""

    study: MadeStudy
    address: str
    server: uvicorn.Server

    def visitor(self) -> Visitor:
        """Someone with a browser that has never been here."""
        return Visitor(self.address)

    def participant(self, way: Way = "personal") -> Visitor:
        """Someone who has followed a new link and consented."""
        visitor = self.visitor()
        visitor.join(new_link(self.study.keys, way))
        return visitor


def prolific_path(
    study: MadeStudy, pid: str, visit: str = "77bb", platform_study: str = "64aa"
) -> str:
    """Path and query to which Prolific sends a participant."""
    parameters = f"PROLIFIC_PID={pid}&STUDY_ID={platform_study}&SESSION_ID={visit}"
    return f"/join/{new_link(study.keys, 'prolific')}?{parameters}"


def write_images(folder: Path, kinds: tuple[str, ...], number: int, size_px: int = 16) -> Path:
    """Write different images of these kinds, in turn; return their folder."""
    generator = np.random.default_rng(len(kinds[0]))
    folder.mkdir(parents=True)
    for index in range(number):
        image = Image.fromarray(draw(kinds[index % len(kinds)], generator, size_px))
        image.save(folder / f"{index:04d}.png")
    return folder


@contextmanager
def serving(study: MadeStudy, root: str = "") -> Iterator[Served]:
    """A server of the study, on a free port."""
    app = make_app(study.database, study.keys, root)
    config = uvicorn.Config(app, port=0, **SERVER_OPTIONS)
    # As a server of several processes makes it.
    listening = config.bind_socket()
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    end = time.monotonic() + 120
    while not server.started:
        assert time.monotonic() < end, "the server does not start"
        time.sleep(0.01)
    yield Served(study, f"127.0.0.1:{listening.getsockname()[1]}", server)
    # It ends within a fifth of a second, and nobody needs to wait for that.
    server.should_exit = True
