"""docker-compose.yml, the Dockerfile and Prometheus's configuration agree with the command line and with each other."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import typer.main
import yaml

from engram.cli import app
from engram.settings import load
from tests.compose_file import ROOT, environment_of, is_ours, read_compose, services_of

COMPOSE = read_compose()
SERVICES: dict[str, Any] = COMPOSE["services"]
PROMETHEUS = yaml.safe_load((ROOT / "dashboards/prometheus/prometheus.yml").read_text("utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
OURS = {name: service for name, service in SERVICES.items() if is_ours(service)}
# What people look at; nothing else has a port on the host.
PUBLISHED = {"api": 8000, "page": 8501, "prometheus": 9090, "grafana": 3000}


def parse(arguments: list[str]) -> dict[str, Any]:
    """Parse a command line as `engram` does, without running it; returns the flags that were given."""
    group = typer.main.get_command(app)
    command = group.commands[arguments[0]]
    context = command.make_context(arguments[0], list(arguments[1:]))
    return {name: value for name, value in context.params.items() if value}


def port_of(service: dict[str, Any]) -> int | None:
    """The port at which a service of ours answers."""
    given = parse(service["command"])
    return given.get("metrics_port") or given.get("port")


def test_the_services_are_those_of_the_architecture() -> None:
    assert set(OURS) == {"producer", "api", "learner", "evaluator", "trainer", "page"}
    assert set(SERVICES) - set(OURS) == {"kafka", "prometheus", "grafana", "history"}


def test_each_profile_starts_what_it_needs() -> None:
    always = {"kafka", "evaluator", "prometheus", "grafana"}
    assert set(services_of(COMPOSE)) == always
    assert set(services_of(COMPOSE, "demo")) == always | {"producer", "api", "page"}
    assert set(services_of(COMPOSE, "live")) == always | {"api", "page"}
    assert set(services_of(COMPOSE, "scale")) == always | {"producer", "learner"}
    assert set(services_of(COMPOSE, "demo", "gpu")) == always | {"producer", "api", "page", "trainer"}
    assert set(services_of(COMPOSE, "history")) == always | {"history"}
    for profile in ("demo", "live", "scale"):
        started = services_of(COMPOSE, profile)
        for service in started.values():
            assert set(service.get("depends_on", {})) <= set(started)


@pytest.mark.parametrize("name", sorted(OURS))
def test_the_command_of_each_service_parses(name: str) -> None:
    assert parse(OURS[name]["command"])


def test_settings_in_the_environment_are_settings() -> None:
    for service in OURS.values():
        settings = load({}, environment=environment_of(service))
        assert settings.log == "kafka"
        assert settings.models == ()
        assert settings.kafka is not None
        host, port = settings.kafka.split(":")
        assert (
            f"PLAINTEXT://{host}:{port}"
            == COMPOSE["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
        )


def test_learners_and_trainer_share_the_registry_and_nothing_else() -> None:
    settings = load({}, environment=environment_of(OURS["api"]))
    trained = read_compose({"ENGRAM_BATCH_MODEL": "ials"})["services"]
    assert trained["trainer"]["command"][1] == "ials"
    assert load({}, environment=environment_of(trained["api"])).batch_model == "ials"
    sharing = {
        name for name, service in OURS.items() if f"registry:{settings.registry}" in service["volumes"]
    }
    assert sharing == {"api", "learner", "trainer"}
    states = [v for service in OURS.values() for v in service["volumes"] if v.endswith(":/var/lib/engram")]
    assert sorted(states) == [f"{name}:/var/lib/engram" for name in ("api", "evaluator", "learner")]


def test_prometheus_scrapes_the_ports_that_the_services_open() -> None:
    targets = {
        f"{name}:{found['port']}": job["job_name"]
        for job in PROMETHEUS["scrape_configs"]
        for found in job["dns_sd_configs"]
        for name in found["names"]
    }
    opened = {
        f"{name}:{port_of(service)}": f"engram-{name}"
        for name, service in OURS.items()
        if name != "page" and port_of(service) is not None
    }
    assert targets == opened
    for service in OURS.values():
        given = parse(service["command"])
        if port_of(service) is not None:
            assert given.get("metrics_address", given.get("address")) == "0.0.0.0"


def test_only_what_people_look_at_is_published_and_on_this_machine_only() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {name: [f"127.0.0.1:{port}:{port}"] for name, port in PUBLISHED.items()}


def test_health_checks_ask_the_ports_that_the_services_open() -> None:
    for name, service in OURS.items():
        port = port_of(service)
        if port is not None:
            assert f"http://127.0.0.1:{port}/" in service["healthcheck"]["test"][-1], name
    assert all("healthcheck" in service for name, service in SERVICES.items() if name != "producer")


def test_volumes_are_declared_and_used_and_mounted_files_exist() -> None:
    used = set()
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists() or source in {"./data", "./history-data"}
            else:
                used.add(source)
    assert used == set(COMPOSE["volumes"])


def test_every_service_has_a_limit_and_ours_have_no_rights() -> None:
    for name, service in SERVICES.items():
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] in {"unless-stopped", "on-failure"}, name
    for name, service in OURS.items():
        assert service["deploy"]["resources"]["limits"]["pids"], name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["init"] is True, name
        # Kernels are the one thing that each of them writes.
        assert "kernels:/var/cache/engram" in service["volumes"], name


def test_a_learner_may_be_there_several_times_and_the_trainer_has_a_gpu() -> None:
    scaled = read_compose({"LEARNERS": "3", "ENGRAM_PARTITIONS": "4"})["services"]
    assert scaled["learner"]["deploy"]["replicas"] == 3
    assert {
        service["environment"]["ENGRAM_PARTITIONS"] for service in scaled.values() if is_ours(service)
    } == {4}
    assert not any(name in SERVICES["learner"] for name in ("container_name", "ports"))
    (device,) = SERVICES["trainer"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


def test_the_image_copies_every_shipped_package_and_runs_unprivileged() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"][
        "targets"
    ]["wheel"]["packages"]
    assert sorted(re.findall(r"^COPY (\w+) \1$", DOCKERFILE, re.MULTILINE)) == sorted(packages)
    for line in DOCKERFILE.splitlines():
        assert "pip install" not in line or "--require-hashes -r" in line or "--no-deps" in line
        for copied in re.findall(r"^COPY (requirements/\S+) ", line):
            assert (ROOT / copied).is_file()
    stages = dict(reversed(found) for found in re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE))
    targets = {service["build"]["target"]: service["image"] for service in OURS.values()}
    assert targets == {"cpu": "engram", "gpu": "engram:gpu"}
    assert stages["cpu"] == stages["gpu"] == "runtime"
    runtime = DOCKERFILE.split(" AS runtime")[1].split("\nFROM ")[0]
    assert "\nUSER 10001:10001\n" in runtime
    written = re.findall(r"[a-z]+:(/var/\S+)", " ".join(v for s in OURS.values() for v in s["volumes"]))
    for folder in written:
        assert folder in runtime, f"{folder} would belong to root"


def test_grafana_finds_its_boards_and_its_data_sources() -> None:
    grafana = SERVICES["grafana"]
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
        assert host in SERVICES
