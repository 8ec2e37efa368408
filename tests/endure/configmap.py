"""A configuration as Kubernetes mounts one, and what people do to files."""

import json
import os
import shutil
import time


class ConfigMap:
    """A directory in which `..data` is a link to the present version, and each file a link through it. A swap renames another
    link over `..data`, as the kubelet does; then the old version goes."""

    def __init__(self, directory, document):
        self.directory, self.n = directory, 0
        os.mkdir(directory, 0o755)
        self.path = os.path.join(directory, "porthole.json")
        self.swap(document)
        os.symlink("..data/porthole.json", self.path)

    def swap(self, document):
        old, self.n = f"..version{self.n}", self.n + 1
        new, data = f"..version{self.n}", os.path.join(self.directory, "..data")
        os.mkdir(os.path.join(self.directory, new), 0o755)
        with open(os.path.join(self.directory, new, "porthole.json"), "w", encoding="utf-8") as f:
            json.dump(document, f)
        os.symlink(new, data + "_tmp")
        os.rename(data + "_tmp", data)
        shutil.rmtree(os.path.join(self.directory, old), ignore_errors=True)


def write_slowly(path, text, n_pieces=20, pause=0.05):
    """In place, as a program writes that has little to say at a time; between two pieces happens what happens."""
    size = len(text) // n_pieces + 1
    with open(path, "w", encoding="utf-8") as f:
        for begin in range(0, len(text), size):
            f.write(text[begin:begin + size])
            f.flush()
            time.sleep(pause)


def write_twice(path, first, second, pause=0.5):
    """In place, a whole document that is only the first half of what is written."""
    with open(path, "w", encoding="utf-8") as f:
        f.write(first)
        f.flush()
        time.sleep(pause)
        f.seek(0)
        f.truncate()
        f.write(second)
