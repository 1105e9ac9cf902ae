"""The containers of deploy/: what they call exists, and only the proxy's network is trusted."""

import tomllib
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path

import yaml

from convergan.study.web.serve import trusted_proxies
from convergan.study_commands import Serve

TOP = Path(__file__).parents[2]
DEPLOY = TOP / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


def test_the_server_is_called_with_options_that_it_has():
    command, study, *options = COMPOSE["services"]["study"]["command"]
    arguments = dict(option.removeprefix("--").split("=") for option in options)
    names = {field.name.replace("_", "-") for field in fields(Serve)}
    assert command == "serve" and study.startswith("postgresql://") and set(arguments) <= names
    network = COMPOSE["networks"]["front"]["ipam"]["config"][0]["subnet"]
    assert trusted_proxies(arguments["trusted-proxies"]) == network == str(ip_network(network))
    # The database is on a network without the proxy, and neither is reached from outside but the proxy.
    assert COMPOSE["services"]["database"]["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"]["internal"]
    assert [name for name, service in COMPOSE["services"].items() if "ports" in service] == [
        "proxy"
    ]


def test_files_and_volumes_that_are_named_are_there():
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or (DEPLOY / source).is_file(), source
    build = COMPOSE["services"]["study"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()


def test_the_page_names_the_variables_that_are_needed():
    page = (TOP / "docs" / "study-server.md").read_text(encoding="utf-8")
    for variable in ("STUDY_HOST", "DATABASE_PASSWORD"):
        assert f"\n{variable}=" in page and variable in (DEPLOY / "compose.yaml").read_text()


def test_the_proxy_leaves_it_to_the_study_to_say_that_its_database_is_away():
    """A proxy that considers a study unhealthy answers in its place, with an empty page."""
    assert "health_uri" not in (DEPLOY / "Caddyfile").read_text(encoding="utf-8")


def test_what_a_wheel_needs_is_sent_to_the_builder_and_nothing_else():
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    included = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert included == {"pyproject.toml", "src", project["readme"], *project["license-files"]}
    assert "*" in lines
