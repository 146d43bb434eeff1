"""A private Slurm on this machine: node cpu1 in partition cpu, node gpu1 with two fake GPUs in partition gpu.

By hand, until Ctrl-C:

    python tests/slurm/start_slurm.py FOLDER
    . FOLDER/env.sh; sinfo                     # in another shell

All that it writes is below FOLDER; the system's own Slurm, if any, is neither read nor touched. Debian's
packages (slurm-wlm, munge) are installed where they are missing and this is root. There is no accounting
(sacct): finished jobs stay visible to squeue and scontrol for an hour.
"""

from __future__ import annotations

import fcntl
import getpass
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
DAEMONS = ["munged", "slurmctld", "slurmd"]
CLIENTS = ["sbatch", "srun", "squeue", "sinfo", "scancel", "scontrol"]
NODES = ["cpu1", "gpu1"]
CPUS, MEMORY_MB = 8, 32000  # claims for the scheduler, so that tiny jobs need not wait for each other

# Sockets instead of system services; no cgroups, which containers lack; a short scheduling cycle; and
# a job is killed when it is found above its memory.
SLURM_CONF = """\
ClusterName=private
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={socket}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MailProg=/bin/true
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
KillWait=2
MinJobAge=3600
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=cpu1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs={cpus} RealMemory={memory}
NodeName=gpu1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs={cpus} RealMemory={memory} \
Gres=gpu:fake:2
PartitionName=cpu Nodes=cpu1 Default=YES
PartitionName=gpu Nodes=gpu1
"""
# A GPU must be a character device, and any will do while devices are not constrained.
GRES_CONF = (
    "NodeName=gpu1 Name=gpu Type=fake File=/dev/null\nNodeName=gpu1 Name=gpu Type=fake File=/dev/zero\n"
)
CGROUP_CONF = "ConstrainDevices=no\n"


class SlurmUnavailable(RuntimeError):
    """Slurm is not here and cannot be installed."""


def _missing() -> list[str]:
    return [name for name in DAEMONS + CLIENTS if not shutil.which(name, path=SEARCH)]


def install() -> None:
    """Install Debian's packages where programs are missing.

    Raises
    ------
    SlurmUnavailable
        With the reason, where that is impossible.
    """
    lock = Path(tempfile.gettempdir()) / f"install-slurm-{getpass.getuser()}.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # parallel test workers
        if not (missing := _missing()):
            return
        what = f"Slurm's {', '.join(missing)} are missing, and "
        if os.geteuid() != 0:
            raise SlurmUnavailable(what + "only root can install them: apt-get install slurm-wlm munge")
        if not shutil.which("apt-get"):
            raise SlurmUnavailable(what + "this system has no apt-get to install slurm-wlm and munge")
        apt = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300"]
        for arguments in (["update"], ["install", "--no-install-recommends", "slurm-wlm", "munge"]):
            done = subprocess.run(
                apt + arguments,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
            if done.returncode:
                raise SlurmUnavailable(f"{what}apt-get {arguments[0]} failed: {done.stdout[-500:]}")
        if missing := _missing():
            raise SlurmUnavailable(f"the packages slurm-wlm and munge brought no {', '.join(missing)}")


def _free_ports(n: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _write(folder: Path) -> dict[str, str]:
    """Write keys, configuration and client wrappers; return the environment for the clients."""
    munge = folder / "munge"
    munge.mkdir()
    munge.chmod(0o755)  # munged refuses a socket that others cannot reach
    key = munge / "key"
    key.touch(0o600)
    key.write_bytes(secrets.token_bytes(128))
    conf = folder / "slurm.conf"
    conf.write_text(
        SLURM_CONF.format(
            host=socket.gethostname().split(".")[0], user=getpass.getuser(), folder=folder, socket=munge / "s",
            ports=_free_ports(3), cpus=CPUS, memory=MEMORY_MB,
        )
    )  # fmt: skip
    (folder / "gres.conf").write_text(GRES_CONF)
    (folder / "cgroup.conf").write_text(CGROUP_CONF)
    for name in ["state", "bin", *(f"spool-{node}" for node in NODES)]:
        (folder / name).mkdir()
    # The executor plugin takes every SLURM_ variable, SLURM_CONF too, from the srun inside a job.
    for name in CLIENTS:
        wrapper = folder / "bin" / name
        program = shlex.quote(str(shutil.which(name, path=SEARCH)))
        wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={shlex.quote(str(conf))} exec {program} "$@"\n')
        wrapper.chmod(0o755)
    path = f"{folder / 'bin'}{os.pathsep}{SEARCH}"
    (folder / "env.sh").write_text(f"export SLURM_CONF={shlex.quote(str(conf))} PATH={shlex.quote(path)}\n")
    return {**os.environ, "SLURM_CONF": str(conf), "PATH": path}


def _idle(env: dict[str, str]) -> bool:
    done = subprocess.run(
        ["sinfo", "--noheader", "--Node", "--format=%N %T"],
        env=env,
        capture_output=True,
        text=True,
        timeout=20,
    )
    return sorted(done.stdout.split("\n")[:-1]) == [f"{node} idle" for node in NODES]


def _wait(
    what: str, done: object, daemons: list[subprocess.Popen[bytes]], folder: Path, seconds: float = 60
) -> None:
    """Wait until done() holds; fail with the daemons' logs when one ends or the time is up."""
    end = time.monotonic() + seconds
    while not done():  # type: ignore[operator]
        ended = [str(daemon.args) for daemon in daemons if daemon.poll() is not None]
        if ended or time.monotonic() > end:
            logs = "\n".join(f"== {log.name}\n{log.read_text()[-1500:]}" for log in folder.glob("*.log"))
            raise RuntimeError(f"{what} after {seconds} s; ended: {ended or 'none'}\n{logs}")
        time.sleep(0.2)


def _stop(env: dict[str, str], daemons: list[subprocess.Popen[bytes]]) -> None:
    """Cancel all jobs, so that none outlives its cluster, and end the daemons."""
    user = getpass.getuser()
    subprocess.run(["scancel", "--user", user], env=env, capture_output=True, timeout=30)
    for _ in range(30):
        queue = subprocess.run(["squeue", "--noheader"], env=env, capture_output=True, text=True, timeout=30)
        if not queue.stdout.strip():
            break
        time.sleep(0.5)
    for daemon in reversed(daemons):
        daemon.terminate()
        try:
            daemon.wait(10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


@contextmanager
def running_slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Run Slurm in a new folder.

    Parameters
    ----------
    folder
        Does not exist yet. Holds keys, configuration, state and logs.

    Yields
    ------
    dict
        Environment in which ``sbatch`` and the others speak to this Slurm.

    Raises
    ------
    SlurmUnavailable
        Where Slurm is missing and cannot be installed.
    RuntimeError
        If it does not come up; with the logs.
    """
    install()
    folder.mkdir(parents=True)
    folder = folder.resolve()
    env = _write(folder)
    munge = folder / "munge"
    if len(str(munge / "s")) > 100:
        raise RuntimeError(f"the path is too long for a socket: {munge / 's'}")
    conf = env["SLURM_CONF"]
    daemons: list[subprocess.Popen[bytes]] = []

    def start(name: str, *command: str) -> None:
        with (folder / f"{name}.log").open("wb") as log:
            # setpriv: the daemon goes when this process goes, even by kill -9
            daemons.append(
                subprocess.Popen(
                    ["setpriv", "--pdeathsig", "TERM", *command],
                    env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )
            )  # fmt: skip

    try:
        start(
            "munged", "munged", "--foreground", "--force", f"--socket={munge}/s", f"--key-file={munge}/key",
            f"--seed-file={munge}/seed", f"--pid-file={munge}/pid", f"--log-file={munge}/log",
        )  # fmt: skip
        _wait("no munge socket", (munge / "s").exists, daemons, folder)
        start("slurmctld", "slurmctld", "-D", "-f", conf)
        for node in NODES:
            start(f"slurmd-{node}", "slurmd", "-D", "-N", node, "-f", conf)
        _wait("the nodes are not idle", lambda: _idle(env), daemons, folder)
        yield env
    finally:
        _stop(env, daemons)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with running_slurm(Path(sys.argv[1])) as _:
        print(f"Slurm is up: . {sys.argv[1]}/env.sh    Ctrl-C ends it", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            pass
