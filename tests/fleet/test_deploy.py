"""The shipped examples of a fleet: each is parsed by what reads it, and calls real commands."""

from __future__ import annotations

from typing import Any

import click
import pytest

from digest.cli import cli
from digest.fleet.desk import Limits
from digest.fleet.supervisor import GRACE
from tests.test_deploy import DEPLOY, ROOT, needs_node, slots, yaml


def parsed(words: list[str], name: str) -> dict[str, Any]:
    """Parse a command line as the program would, without running it; return its options."""
    context = cli.make_context("digest", list(words), resilient_parsing=False)
    found, command, rest = cli.resolve_command(context, [*context._protected_args, *context.args])
    assert found == name
    assert isinstance(command, click.Command)
    return command.make_context(found, list(rest), parent=context).params


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


@pytest.mark.tool
@needs_node
def test_the_composed_fleet_has_a_database_workers_and_a_relay() -> None:
    composed = yaml("fleet/compose.yaml")
    services = composed["services"]
    worker, database = services["worker"], services["database"]

    options = parsed(worker["command"], "worker")
    assert options["metrics_port"] == 9464
    assert seconds(worker["stop_grace_period"]) > GRACE > Limits().grace
    megabytes = int(worker["mem_limit"].removesuffix("m"))
    assert megabytes >= (options["processes"] + 1) * options["memory_mb"]
    assert worker["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert "fsync=on" in database["command"]
    assert set(worker["secrets"]) == set(database["secrets"]) == set(composed["secrets"])
    assert set(composed["volumes"]) == {"database"}
    assert (DEPLOY / "fleet" / worker["build"] / "Dockerfile").resolve() == ROOT / "Dockerfile"
    for service in (worker, services["mail"]):
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]


@pytest.mark.tool
@needs_node
def test_the_relay_of_the_composed_fleet_is_what_the_image_brings() -> None:
    from aiosmtpd import handlers
    from aiosmtpd.main import parseargs

    mail = yaml("fleet/compose.yaml")["services"]["mail"]
    assert mail["entrypoint"][:3] == ["python", "-m", "aiosmtpd"]

    _, given = parseargs([*mail["entrypoint"][3:], *mail["command"]])

    assert (given.host, given.port) == ("0.0.0.0", 1025)  # noqa: S104 - inside its container
    assert isinstance(given.handler, handlers.Debugging)


@pytest.mark.tool
@needs_node
def test_the_fleet_in_kubernetes_plans_and_sends_in_several_pods() -> None:
    listed = yaml("fleet/kubernetes.yaml")
    deployment, job = listed["items"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert (listed["kind"], deployment["kind"], job["kind"]) == ("List", "Deployment", "CronJob")
    assert deployment["spec"]["replicas"] >= 2
    assert pod["terminationGracePeriodSeconds"] > GRACE
    options = parsed(container["args"], "worker")
    assert options["plan"] is True
    assert container["ports"][0]["containerPort"] == options["metrics_port"]
    limit = int(container["resources"]["limits"]["memory"].removesuffix("Mi"))
    assert limit > (options["processes"] + 1) * options["memory_mb"]
    assert (
        deployment["spec"]["selector"]["matchLabels"]
        == deployment["spec"]["template"]["metadata"]["labels"]
    )


@pytest.mark.tool
@needs_node
def test_the_planning_job_of_kubernetes_is_a_second_net() -> None:
    _, job = yaml("fleet/kubernetes.yaml")["items"]
    spec = job["spec"]
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert len(slots(*spec["schedule"].split()[:2])) == 24 * 12
    assert parsed(container["args"], "enqueue")["config"]
    assert {one["name"] for one in container["volumeMounts"]} == {
        one["name"] for one in pod["volumes"]
    }
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
