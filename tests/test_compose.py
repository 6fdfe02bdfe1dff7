"""docker-compose.yml and Prometheus's configuration agree with the command line and with each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from engram.cli import app

ROOT = Path(__file__).parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
PROMETHEUS = yaml.safe_load((ROOT / "dashboards/prometheus/prometheus.yml").read_text("utf-8"))
OURS = {name: service for name, service in COMPOSE["services"].items() if service.get("image") == "engram"}


def _parse(arguments: list[str]) -> dict[str, Any]:
    """Parse a command line as `engram` does, without running it; returns the flags that were given."""
    group = typer.main.get_command(app)
    command = group.commands[arguments[0]]
    context = command.make_context(arguments[0], list(arguments[1:]))
    return {name: value for name, value in context.params.items() if value}


def test_the_services_are_those_of_the_architecture() -> None:
    assert set(OURS) == {"producer", "learner", "evaluator"}
    assert {"kafka", "prometheus"} <= set(COMPOSE["services"])


@pytest.mark.parametrize("name", sorted(OURS))
def test_the_command_of_each_service_parses(name: str) -> None:
    assert _parse(OURS[name]["command"])


def test_settings_in_the_environment_are_settings() -> None:
    from engram.settings import load

    for service in OURS.values():
        settings = load({}, environment={key: str(value) for key, value in service["environment"].items()})
        assert settings.log == "kafka"
        assert settings.kafka is not None
        host, port = settings.kafka.split(":")
        assert (
            f"PLAINTEXT://{host}:{port}"
            == COMPOSE["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
        )


def test_prometheus_scrapes_the_ports_that_the_services_open() -> None:
    targets = {
        f"{name}:{found['port']}"
        for job in PROMETHEUS["scrape_configs"]
        for found in job["dns_sd_configs"]
        for name in found["names"]
    }
    flags = {name: _parse(service["command"]) for name, service in OURS.items()}
    opened = {f"{name}:{given['metrics_port']}" for name, given in flags.items() if "metrics_port" in given}
    assert targets == opened
    for given in flags.values():
        assert given.get("metrics_address", "0.0.0.0") == "0.0.0.0"


def test_volumes_are_declared_and_mounted_files_exist() -> None:
    declared = set(COMPOSE["volumes"])
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists()
            elif not source.startswith("$"):
                assert source in declared


def test_the_image_copies_every_shipped_package_and_runs_unprivileged() -> None:
    import tomllib

    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"][
        "targets"
    ]["wheel"]["packages"]
    for package in packages:
        assert f"COPY {package} {package}" in dockerfile
    assert "USER engram" in dockerfile
    assert "--require-hashes" in dockerfile


def test_health_checks_ask_the_ports_that_the_services_open() -> None:
    for name, service in OURS.items():
        given = _parse(service["command"])
        if "metrics_port" in given:
            assert f"127.0.0.1:{given['metrics_port']}/healthz" in service["healthcheck"]["test"][-1], name


def test_every_service_has_a_limit_and_ours_have_no_rights() -> None:
    for name, service in COMPOSE["services"].items():
        assert service["deploy"]["resources"]["limits"]["memory"], name
    for name, service in OURS.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name


def test_grafana_finds_its_boards_and_its_data_sources() -> None:
    grafana = COMPOSE["services"]["grafana"]
    mounted = dict(volume.split(":")[:2] for volume in grafana["volumes"])
    boards = ROOT / "dashboards" / "grafana" / "boards"
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{mounted['./dashboards/grafana/boards']}/engram-learning.json"
    assert (boards / "engram-learning.json").is_file()
    provisioning = ROOT / "dashboards" / "grafana" / "provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "engram.yml").read_text("utf-8"))["providers"]
    assert provider["options"]["path"] == mounted["./dashboards/grafana/boards"]
    sources = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text("utf-8"))
    for source in sources["datasources"]:
        host = source["url"].removeprefix("http://").split(":")[0]
        assert host in COMPOSE["services"]
