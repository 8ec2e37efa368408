"""docker-compose (Debian 12 has the one in Python) through the policy for CI to podman: what a job brings up works, what would reach
the host is refused with a sentence."""

import json
import os
import shutil
import subprocess

import tap
from docker_6_policy_tests import n_containers, socket_of
from docker_6_policy_tests import client as policy_client
from docker_world import IMAGE, world


class Project:
    """A compose file of one service, and docker-compose with the policy's socket."""

    def __init__(self, context, socket, name, **service):
        self.program = shutil.which("docker-compose")
        if not self.program:
            raise tap.Skip("there is no docker-compose here (Debian: docker-compose)")
        self.directory, self.name = context.path(name), name
        os.mkdir(self.directory)
        service = {"image": IMAGE, "network_mode": "none", "command": ["sh", "-c", "echo up; sleep 1000"], "stop_grace_period": "0s", **service}
        with open(os.path.join(self.directory, "docker-compose.yml"), "w", encoding="ascii") as f:
            json.dump({"version": "2.4", "services": {"job": service}, "volumes": {"cache": {}} if "volumes" in service else {}}, f)
        self.environment = {**os.environ, "DOCKER_HOST": f"unix://{socket}", "COMPOSE_PROJECT_NAME": name, "HOME": self.directory,
                            "COMPOSE_API_VERSION": "1.41"}  # not to be asked for: podman takes a second to tell it
        context.callback(self._remove)

    def run(self, *arguments):
        return subprocess.run([self.program, "--ansi", "never", *arguments], cwd=self.directory, env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=100, check=False, text=True)

    def good(self, *arguments):
        got = self.run(*arguments)
        assert got.returncode == 0, f"docker-compose {arguments}: {got}"
        return got.stdout

    def _remove(self):
        world().direct.run("rm", "--force", f"{self.name}_job_1", f"{self.name}-job-1")  # by version 1 and by later ones
        world().direct.run("volume", "rm", "--force", f"{self.name}_cache")


@tap.test("docker-compose with docker-ci: a service with a volume comes up, is looked into and goes down", 240)
def up_and_down(context):
    policy_client("docker-ci")
    project = Project(context, socket_of("docker-ci"), "phgood", volumes=["cache:/cache"], environment={"A": "b"})
    project.good("up", "-d")
    assert project.good("exec", "-T", "job", "sh", "-c", "touch /cache/x; echo $A") == "b\n"
    assert "up" in project.good("logs")
    project.good("down", "-t", "0")


@tap.test("docker-compose with docker-ci: privileges and the host's network are refused, and it says so", 240)
def refused(context):
    policy_client("docker-ci")
    before = n_containers()
    for i, service in enumerate(({"privileged": True}, {"network_mode": "host"})):
        got = Project(context, socket_of("docker-ci"), f"phbad{i}", **service).run("up", "-d")
        assert got.returncode != 0 and "not allowed by the policy docker-ci of this socket (porthole)" in got.stderr, f"{service}: {got}"
    assert n_containers() == before
