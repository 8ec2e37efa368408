"""Files and images: bodies of many megabytes, sized and chunked, in both directions."""

import hashlib
import io
import os
import subprocess
import tarfile

from docker_1_run_tests import NO_NETWORK, blob
from docker_world import IMAGE, both, world


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def place(way):
    """A new directory in the box."""
    path = f"/tmp/{way.name()}"
    world().direct.run("exec", world().box(), "mkdir", path).check()
    return path


@both("cp: 20 MB into a container and out again, to the byte")
def copy_large(context, way):
    data, there = blob(20_000_000), f"{world().box()}:{place(way)}/file"
    write(context.path("in"), data)
    way.run("cp", context.path("in"), there).check()
    way.run("exec", world().box(), "md5sum", there.partition(":")[2]).check(
        0, f"{hashlib.md5(data).hexdigest()}  {there.partition(':')[2]}\n".encode())
    way.run("cp", there, context.path("out")).check()
    assert read(context.path("out")) == data


@both("cp: a directory in and out, with modes, links and an empty file")
def copy_directory(context, way):
    there = f"{world().box()}:{place(way)}"
    write(context.path("tree/deep/er/file"), blob(70_000))
    write(context.path("tree/empty"), b"")
    write(context.path("tree/run me"), b"#!/bin/sh\n")
    os.chmod(context.path("tree/run me"), 0o751)
    os.symlink("deep/er/file", context.path("tree/link"))
    way.run("cp", context.path("tree"), there + "/tree").check()
    way.run("cp", there + "/tree", context.path("back")).check()
    assert read(context.path("back/deep/er/file")) == blob(70_000)
    assert read(context.path("back/empty")) == b"" and os.readlink(context.path("back/link")) == "deep/er/file"
    assert os.stat(context.path("back/run me")).st_mode & 0o777 == 0o751


@both("cp from standard input and to standard output, as tar")
def copy_streams(_context, way):
    path, buffer = place(way), io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("name")
        entry.size = 3_000_000
        tar.addfile(entry, io.BytesIO(blob(3_000_000)))
    way.run("cp", "-", f"{world().box()}:{path}", stdin=buffer.getvalue()).check()
    got = way.run("cp", f"{world().box()}:{path}/name", "-").check()
    with tarfile.open(fileobj=io.BytesIO(got.out)) as tar:
        assert tar.getnames() == ["name"] and tar.extractfile("name").read() == blob(3_000_000)


@both("cp of what is not there: the engine's own message, nothing is made")
def copy_absent(context, way):
    got = way.run("cp", f"{world().box()}:/not/there", context.path("out"))
    assert got.status == 1 and got.err and not os.path.exists(context.path("out")), got


@both("build with 5 MB of context: the image has it, to the byte")
def build_context(context, way):
    data, image = blob(5_000_000), f"{way.name()}:built"
    write(context.path("context/blob"), data)
    write(context.path("context/Dockerfile"),
          f"FROM {IMAGE}\nCOPY blob /blob\nRUN echo step says $((6 * 7))\nCMD [\"md5sum\", \"/blob\"]\n".encode())
    got = way.run("build", "--no-cache", "--network", "none", "-t", image, context.path("context"), seconds=60).check()
    context.callback(world().direct.run, "rmi", "--force", image)
    assert b"step says 42" in got.out, got
    name = world().forget(context, way.name())
    way.run("run", *NO_NETWORK, "--name", name, image).check(0, f"{hashlib.md5(data).hexdigest()}  /blob\n".encode())


@both("build from standard input that fails: its status and its reason")
def build_fails(_context, way):
    got = way.run("build", "--no-cache", "--network", "none", "-", stdin=f"FROM {IMAGE}\nRUN echo seen; exit 3\n".encode())
    assert got.status != 0 and b"seen" in got.out and b"3" in got.err, got


@both("save: the same bytes as without porthole; load brings the image back")
def save_load(context, way):
    image, file = f"{way.name()}:saved", context.path("image.tar")
    tree = io.BytesIO()
    with tarfile.open(fileobj=tree, mode="w") as tar:
        entry = tarfile.TarInfo("blob")
        entry.size = 10_000_000
        tar.addfile(entry, io.BytesIO(blob(10_000_000)))
    way.run("import", "-", image, stdin=tree.getvalue()).check()
    context.callback(world().direct.run, "rmi", "--force", image)
    number = way.run("inspect", "--format", "{{.Id}}", image).check().out
    saved = way.run("save", image).check().out
    assert saved == world().direct.run("save", image).check().out, "save gives other bytes"
    write(file, saved)
    way.run("rmi", image).check()
    assert way.run("inspect", image).status == 1
    way.run("load", "-i", file).check()
    way.run("inspect", "--format", "{{.Id}}", image).check(0, number)


@both("save | load: both at once, in one pipeline")
def save_pipe_load(context, way):
    image = f"{way.name()}:piped"
    world().direct.run("tag", IMAGE, image).check()
    context.callback(world().direct.run, "rmi", image)
    saving = subprocess.Popen([way.program, "save", image], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              env=way.environment)
    context.callback(saving.wait, 10)
    context.callback(saving.kill)
    with saving.stdout as pipe:
        got = way.run("load", stdin=pipe).check()
    assert saving.wait(10) == 0 and image.encode() in got.out, (saving.returncode, got)


@both("export: every file of the container")
def export_files(_context, way):
    got = way.run("export", world().box()).check()
    with tarfile.open(fileobj=io.BytesIO(got.out)) as tar:
        with open(world().busybox, "rb") as f:
            assert tar.extractfile("bin/busybox").read() == f.read()
