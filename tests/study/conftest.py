"""Fixtures of the study's tests: image folders, studies in both databases, servers."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from convergan.study.design.plan import Plan
from convergan.study.preparation.create import create_study
from convergan.study.storage.opening import open_study
from harness.postgres_server import NoPostgreSQL, postgres_server
from studies import QUICK, MadeStudy, MakeStudy, Serve, Served, serving, write_images


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One folder of real images and two of generated ones."""
    top = tmp_path_factory.mktemp("images")
    return {
        "real": write_images(top / "real", ("circles", "squares"), 80),
        "random": write_images(top / "random", ("stripes",), 80),
        "best": write_images(top / "best", ("noise",), 80),
    }


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """Make empty databases in a PostgreSQL of the tests' own; return their URLs."""
    with ExitStack() as stack:
        try:
            make = stack.enter_context(postgres_server("fsync=off"))
        except NoPostgreSQL as reason:
            if os.environ.get("CONVERGAN_REQUIRE_POSTGRESQL"):
                pytest.fail(str(reason))
            pytest.skip(str(reason))
        yield make


@pytest.fixture(
    # One process has one server for all.
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.xdist_group("postgresql"))]
)
def backend(request: pytest.FixtureRequest) -> str:
    """Name of the database, for tests that must hold on both."""
    return request.param


@pytest.fixture
def make_study(
    tmp_path: Path, folders: dict[str, Path], request: pytest.FixtureRequest
) -> Iterator[MakeStudy]:
    """Make studies, from the images in `folders` by default."""
    studies = []

    def make(
        plan: Plan = QUICK,
        *,
        backend: str = "sqlite",
        real: Path | None = None,
        generated: dict[str, Path] | None = None,
        controls: Path | None = None,
    ) -> MadeStudy:
        number = len(studies)
        location = str(tmp_path / f"study{number}.db")
        if backend == "postgresql":
            location = request.getfixturevalue("postgres")()
        key_file = tmp_path / f"study{number}.key"
        created = create_study(
            location,
            key_file,
            plan,
            real=real or folders["real"],
            generated=generated or {"random": folders["random"]},
            controls=controls,
        )
        studies.append(MadeStudy(location, key_file, open_study(location), created.keys, plan))
        return studies[-1]

    yield make
    for study in studies:
        study.database.close()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve studies until the test ends."""
    with ExitStack() as stack:
        yield lambda study: stack.enter_context(serving(study))


@pytest.fixture
def served(make_study: MakeStudy, serve: Serve) -> Served:
    """A quick study, without feedback, behind a server."""
    return serve(make_study())
