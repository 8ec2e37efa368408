#!/usr/bin/python3
"""Rewrites k8s/pod.yaml for a podman that does not know native sidecars, fsGroup or startup probes.

usage: for_podman.py POD.YAML SOCKETS_DIRECTORY > OUT.YAML

What changes is what the kubelet would do, so that the containers see what they would see in a cluster:
- the init container that restarts always becomes an ordinary container, the first;
- the emptyDir becomes a directory of the host, which is given fsGroup as its group and mode 2777;
- fsGroup becomes a supplementary group of every container;
- no probes: podman would run curl in the container, which has none;
- no ports, which only say what is there: podman would publish them on the host.
"""
import os
import sys

import yaml


def change_pod(spec, sockets):
    group = spec["securityContext"].pop("fsGroup")
    spec["securityContext"]["supplementalGroups"] = [group]
    for volume in spec["volumes"]:
        if volume.pop("emptyDir", None) is not None:
            os.makedirs(sockets)
            os.chown(sockets, 0, group)
            os.chmod(sockets, 0o2777)
            volume["hostPath"] = {"path": sockets, "type": "Directory"}
    for container in spec["initContainers"] + spec["containers"]:
        container.pop("ports", None)
    for container in spec.pop("initContainers"):
        if container.pop("restartPolicy") != "Always":
            sys.exit("for_podman.py: an init container that is no sidecar")
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            container.pop(probe)
        spec["containers"].insert(0, container)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        documents = list(yaml.safe_load_all(file))
    for document in documents:
        if document["kind"] == "Pod":
            change_pod(document["spec"], sys.argv[2])
    yaml.safe_dump_all(documents, sys.stdout)


main()
