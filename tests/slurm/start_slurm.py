"""A private Slurm on this machine: partition cpu (node cpu1) and partition gpu (node gpu1, two fake GPUs).

By hand, until Ctrl-C:

    python tests/slurm/start_slurm.py FOLDER
    . FOLDER/env.sh; sinfo                     # in another shell

All it writes is in FOLDER; a Slurm that the machine may have of its own is neither read nor touched.
Debian's packages slurm-wlm and munge are installed where they are missing and this is root. There is
no accounting, so no sacct; finished jobs stay visible to squeue and scontrol for an hour.
"""

from __future__ import annotations

import fcntl
import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Daemons = dict[str, "subprocess.Popen[bytes]"]

SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
CLIENTS = ["sbatch", "srun", "squeue", "sinfo", "scancel", "scontrol"]
PROGRAMS = ["munged", "slurmctld", "slurmd", *CLIENTS]
NODES = ["cpu1", "gpu1"]

# CPUs and memory are claims, larger than the machine, so that tiny jobs need not wait for each other.
# No cgroups, which containers lack. A job found above its memory (looked at every second) is killed.
SLURM_CONF = """\
ClusterName=private
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={munge}/s
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
KillWait=2
MinJobAge=3600
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=DEFAULT CPUs=8 RealMemory=32000
NodeName=cpu1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]}
NodeName=gpu1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} Gres=gpu:fake:2
PartitionName=cpu Nodes=cpu1 Default=YES
PartitionName=gpu Nodes=gpu1
"""
# Slurm wants a character device for each GPU; as jobs are not fenced off from devices, any will do.
GRES_CONF = """\
NodeName=gpu1 Name=gpu Type=fake File=/dev/null
NodeName=gpu1 Name=gpu Type=fake File=/dev/zero
"""
CGROUP_CONF = "ConstrainDevices=no\n"  # beside slurm.conf, or that of /etc/slurm would be read


class SlurmUnavailable(RuntimeError):
    """Slurm is not here and cannot be installed."""


def install() -> None:
    """Install Debian's packages where programs are missing.

    Raises
    ------
    SlurmUnavailable
        With the reason, where that is impossible.
    """

    def missing() -> str:
        return ", ".join(name for name in PROGRAMS if not shutil.which(name, path=SEARCH_PATH))

    with (Path(tempfile.gettempdir()) / f"install-slurm-{getpass.getuser()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # against parallel test workers
        if not missing():
            return
        problem = f"no {missing()} here, and "
        if os.geteuid() != 0:
            raise SlurmUnavailable(problem + "only root can install them (apt-get install slurm-wlm munge)")
        if not shutil.which("apt-get"):
            raise SlurmUnavailable(problem + "no apt-get to install Debian's slurm-wlm and munge")
        for command in (["update"], ["install", "--no-install-recommends", "slurm-wlm", "munge"]):
            done = subprocess.run(
                ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300", *command],
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
            if done.returncode:
                raise SlurmUnavailable(f"{problem}apt-get {command[0]} failed: {done.stdout[-500:]}")
        if missing():
            raise SlurmUnavailable(f"slurm-wlm and munge were installed, but brought no {missing()}")


def _free_ports(n: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _write(folder: Path) -> dict[str, str]:
    """Write the munge key, the configuration and the client wrappers; return the clients' environment."""
    if len(str(folder)) > 70:  # a job's socket is folder/spool-cpu1/cpu1_<job>.<step>, 107 characters at most
        raise RuntimeError(f"the path is too long for Unix sockets: {folder}")
    for name in ["munge", "state", "bin", *(f"spool-{node}" for node in NODES)]:
        (folder / name).mkdir(mode=0o755, parents=True)
    munge = folder / "munge"
    (munge / "key").touch(mode=0o600)
    (munge / "key").write_bytes(secrets.token_bytes(128))

    conf = folder / "slurm.conf"
    host = socket.gethostname().split(".")[0]
    user = getpass.getuser()
    conf.write_text(SLURM_CONF.format(host=host, user=user, folder=folder, munge=munge, ports=_free_ports(3)))
    (folder / "gres.conf").write_text(GRES_CONF)
    (folder / "cgroup.conf").write_text(CGROUP_CONF)

    # SLURM_CONF alone does not reach the srun inside a job: the executor plugin removes SLURM_ variables.
    for name in CLIENTS:
        wrapper = folder / "bin" / name
        program = shutil.which(name, path=SEARCH_PATH)
        wrapper.write_text(f'#!/bin/sh\nSLURM_CONF="{conf}" exec {program} "$@"\n')
        wrapper.chmod(0o755)
    path = f"{folder / 'bin'}{os.pathsep}{SEARCH_PATH}"
    (folder / "env.sh").write_text(f'export SLURM_CONF="{conf}" PATH="{path}"\n')
    return {**os.environ, "SLURM_CONF": str(conf), "PATH": path}


def _ask(env: dict[str, str], *command: str) -> str:
    """What a client prints; nothing where there is no answer."""
    try:
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=20).stdout
    except subprocess.TimeoutExpired:
        return ""


def _wait(ready: Callable[[], bool], what: str, daemons: Daemons, folder: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not ready():
        ended = [name for name, daemon in daemons.items() if daemon.poll() is not None]
        if ended or time.monotonic() > end:
            why = f"{', '.join(ended)} ended" if ended else f"not within {seconds:.0f} s"
            logs = [f"== {log.name}\n{log.read_text()[-1500:]}" for log in sorted(folder.glob("*.log"))]
            raise RuntimeError("\n".join([f"{what}: {why}", *logs]))
        time.sleep(0.2)


def _stop(env: dict[str, str], daemons: Daemons) -> None:
    if "slurmctld" in daemons:  # no job outlives its cluster
        _ask(env, "scancel", "--user", getpass.getuser())
        end = time.monotonic() + 15
        while _ask(env, "squeue", "--noheader") and time.monotonic() < end:
            time.sleep(0.3)
    for daemon in reversed(daemons.values()):
        daemon.terminate()
        try:
            daemon.wait(10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


@contextmanager
def running_slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Run Slurm until the ``with`` block ends.

    Parameters
    ----------
    folder
        For keys, configuration, state and logs; new or empty. Its path is short and has no white space.

    Yields
    ------
    dict
        The environment in which ``sbatch`` and its kin speak to this Slurm.

    Raises
    ------
    SlurmUnavailable
        Where Slurm is missing and cannot be installed.
    RuntimeError
        If the path is too long, or Slurm does not come up; then with the ends of its logs.
    """
    install()
    folder = folder.resolve()
    env = _write(folder)
    munge = folder / "munge"
    daemons: Daemons = {}

    def start(name: str, *command: str) -> None:
        with (folder / f"{name}.log").open("wb") as log:
            # setpriv: a daemon ends when this process ends, be it by kill -9.
            daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *command],
                env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def idle() -> bool:
        nodes = _ask(env, "sinfo", "--noheader", "--Node", "--format=%N %T").split("\n")
        return sorted(filter(None, nodes)) == [f"{node} idle" for node in NODES]

    try:
        options = [f"--socket={munge}/s", f"--key-file={munge}/key", f"--seed-file={munge}/seed"]
        options += [f"--pid-file={munge}/pid", f"--log-file={munge}/log"]
        start("munged", "munged", "--foreground", "--force", *options)
        _wait((munge / "s").exists, "munged makes its socket", daemons, folder)
        start("slurmctld", "slurmctld", "-D", "-f", env["SLURM_CONF"])
        for node in NODES:
            start(f"slurmd-{node}", "slurmd", "-D", "-N", node, "-f", env["SLURM_CONF"])
        _wait(idle, "both nodes become idle", daemons, folder)
        yield env
    finally:
        _stop(env, daemons)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with running_slurm(Path(sys.argv[1])):
        print(f"Slurm is up. In another shell: . {sys.argv[1]}/env.sh    Ctrl-C ends it.", flush=True)
        with suppress(KeyboardInterrupt):
            signal.pause()
