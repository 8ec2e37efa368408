"""What the kernel knows about a proxy's processes: CPU time, memory; and about the machine."""

import os
import re

HAVE_SCHEDSTAT = os.path.exists("/proc/self/schedstat")
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def family(pid):
    """The pid and its descendants (nginx: master and worker)."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as f:
                    parent = int(f.read().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
            except OSError:
                pass
    found, todo = [], [pid]
    while todo:
        current = todo.pop()
        found.append(current)
        todo += children.get(current, [])
    return found


def _thread_cpu_ns(path):
    try:
        with open(f"{path}/schedstat") as f:
            return int(f.read().split()[0])
    except FileNotFoundError:
        return 0  # ended since it was listed


def _process_cpu_ns(pid):
    """Nanoseconds on a CPU of all threads: schedstat, or the 10 ms ticks of stat on a kernel without it."""
    if HAVE_SCHEDSTAT:
        return sum(_thread_cpu_ns(f"/proc/{pid}/task/{thread}") for thread in os.listdir(f"/proc/{pid}/task"))
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_NS


def cpu_ns(pids):
    return sum(_process_cpu_ns(pid) for pid in pids)


def _sum_fields(pids, name, fields):
    sums = dict.fromkeys(fields, 0)
    for pid in pids:
        with open(f"/proc/{pid}/{name}") as f:
            for line in f:
                key, _, value = line.partition(":")
                if key in sums:
                    sums[key] += int(value.split()[0])
    return sums


def rss_kib(pids):
    return _sum_fields(pids, "status", ["VmRSS"])["VmRSS"]


def memory_kib(pids):
    """VmRSS, RssAnon and Pss, summed. Pss walks the page tables: not to be read while something is measured."""
    status = _sum_fields(pids, "status", ["VmRSS", "RssAnon"])
    rollup = _sum_fields(pids, "smaps_rollup", ["Pss"])
    return {"rss_kib": status["VmRSS"], "anon_kib": status["RssAnon"], "pss_kib": rollup["Pss"]}


def busy_ns(cpu):
    """Nanoseconds that one CPU has not been idle since boot (in ticks of 10 ms)."""
    with open("/proc/stat") as f:
        for line in f:
            fields = line.split()
            if fields[0] == f"cpu{cpu}":
                user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[1:9])
                return (user + nice + system + irq + softirq + steal) * TICK_NS
    return 0


def machine():
    """One line: processor, how many, memory, kernel."""
    with open("/proc/cpuinfo") as f:
        model = re.search(r"model name\s*:\s*(.*)", f.read())
    with open("/proc/meminfo") as f:
        gib = int(f.readline().split()[1]) / 1048576
    kernel = os.uname()
    return (f"{model.group(1) if model else kernel.machine}, {os.cpu_count()} CPUs, {gib:.0f} GiB, "
            f"{kernel.sysname} {kernel.release}")
