"""docker-compose.yml as compose itself reads it, and the Dockerfile as BuildKit does; neither needs an engine."""

from __future__ import annotations

import json
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.compose_command import NoGoError, built
from tests.compose_file import FILE, ROOT, environment_of, is_ours, read_compose, services_of
from tests.test_compose import parse

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def commands() -> tuple[Path, Path]:
    try:
        return built()
    except NoGoError as error:
        pytest.skip(str(error))


def config(
    compose: Path, *arguments: str, files: tuple[Path, ...] = (FILE,), **environment: str
) -> dict[str, Any]:
    """What `docker compose ARGUMENTS config` says."""
    named = [part for file in files for part in ("--file", str(file))]
    done = subprocess.run(
        [str(compose), *named, *arguments, "config", "--format", "json"],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # A key that compose does not know is an error, a variable that is not set a warning.
    assert "level=warning" not in done.stderr, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "profiles", [(), ("demo",), ("live",), ("scale",), ("demo", "gpu"), ("history",)], ids="-".join
)
def test_compose_starts_the_same_services_as_our_tests_do(
    commands: tuple[Path, Path], profiles: tuple[str, ...]
) -> None:
    said = config(commands[0], *(part for name in profiles for part in ("--profile", name)))
    ours = services_of(read_compose(), *profiles)
    assert set(said["services"]) == set(ours)
    for name, service in ours.items():
        resolved = said["services"][name]
        assert resolved["image"] == service["image"]
        if is_ours(service):
            assert resolved["command"] == service["command"]
            assert resolved["environment"] == environment_of(service)
            assert resolved["read_only"] is True
            assert resolved["build"] == {
                "context": str(ROOT),
                "dockerfile": "Dockerfile",
                "target": service["build"]["target"],
            }


def test_variables_reach_the_services(commands: tuple[Path, Path]) -> None:
    given = {"ENGRAM_PARTITIONS": "4", "LEARNERS": "2", "ENGRAM_DATASET": "ml-1m", "DATA_FOLDER": "/films"}
    said = config(commands[0], "--profile", "scale", **given)["services"]
    assert said["learner"]["deploy"]["replicas"] == 2
    assert said["learner"]["environment"]["ENGRAM_PARTITIONS"] == "4"
    (data,) = [volume for volume in said["producer"]["volumes"] if volume["target"] == "/data"]
    assert (data["type"], data["source"], data["read_only"]) == ("bind", "/films", True)


def test_the_override_with_keys_in_the_documents_fits(commands: tuple[Path, Path], tmp_path: Path) -> None:
    page = (ROOT / "docs" / "deploying.md").read_text("utf-8")
    block = page.split("in a `docker-compose.override.yml`,\n")[1].split("\nThe ")[0].split("\n## ")[0]
    override = tmp_path / "override.yml"
    override.write_text(textwrap.dedent(block), "utf-8")
    given = {"ENGRAM_API_KEY": "secret"}
    said = config(commands[0], "--profile", "demo", files=(FILE, override), **given)["services"]
    parsed = parse(said["api"]["command"])
    assert parsed["api_keys"] == Path("/run/secrets/api_keys")
    assert parsed["address"] == "0.0.0.0" and "no_keys" not in parsed
    assert [secret["source"] for secret in said["api"]["secrets"]] == ["api_keys"]
    assert said["page"]["environment"]["ENGRAM_API_KEY"] == "secret"
    # The rest stays.
    assert said["api"]["read_only"] is True and "ENGRAM_KAFKA" in said["page"]["environment"]


def test_a_key_that_compose_does_not_know_is_seen(commands: tuple[Path, Path], tmp_path: Path) -> None:
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(FILE.read_text("utf-8").replace("stop_grace_period: 60s", "stop_grace: 60s", 1), "utf-8")
    done = subprocess.run(
        [str(commands[0]), "--file", str(wrong), "--profile", "demo", "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "stop_grace" in done.stderr


def test_buildkit_reads_the_dockerfile_without_a_warning(commands: tuple[Path, Path]) -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    done = subprocess.run([str(commands[1])], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["warnings"] == []
    stages = {stage["Name"]: stage for stage in said["stages"]}
    assert list(stages) == ["builder", "gpu-builder", "runtime", "gpu", "cpu"]
    assert {name: stage["Base"] for name, stage in stages.items()} == {
        "builder": "python:3.12-slim",
        "gpu-builder": "builder",
        "runtime": "python:3.12-slim",
        "gpu": "runtime",
        "cpu": "runtime",
    }
    # Nothing is run as root after the user is set, and nothing but the environment is copied from the builders.
    commands_of_runtime = stages["runtime"]["Commands"]
    assert "run" not in [name.lower() for name in commands_of_runtime[commands_of_runtime.index("USER") :]]
    assert [name.upper() for name in stages["cpu"]["Commands"]] == ["COPY"]
    assert [name.upper() for name in stages["gpu"]["Commands"]] == ["ENV", "COPY"]
