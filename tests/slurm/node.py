"""A Slurm of one node in temporary folders: munged, slurmctld and slurmd, started and stopped."""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")

# No cgroups and no accounting: a container without systemd has neither.
CONF = """\
ClusterName=made
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,sched_min_interval=100000,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
ReturnToService=2
JobRequeue=1
KillWait=5
MinJobAge=300
SlurmctldTimeout=30
SlurmdTimeout=30
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=short Nodes={host} Default=YES MaxTime=1-0 State=UP
"""


def is_possible() -> str:
    """Why Slurm cannot be started here, or an empty text."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (apt-get install slurm-wlm)"
    return "" if os.geteuid() == 0 else "slurmctld and slurmd must be started as root"


@contextmanager
def single_node(
    folder: Path, environment: dict[str, str], cpus: int = 2, memory: int = 8000
) -> Iterator[dict[str, str]]:
    """Run Slurm while the block runs; yields the environment in which its commands find it.

    Parameters
    ----------
    folder
        Where keys, state and logs go; its path must be short enough for a socket (100 characters).
    environment
        The environment to extend.
    cpus, memory
        What the node claims to have; memory in MB.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    host = platform.node().split(".")[0]
    ports = _free_ports(2)
    conf = folder / "slurm.conf"
    conf.write_text(
        CONF.format(
            host=host, folder=folder, cpus=cpus, memory=memory, ctld_port=ports[0],
            slurmd_port=ports[1],
        )
    )  # fmt: skip
    for name in ("state", "spool"):
        (folder / name).mkdir(exist_ok=True)
    environment = environment | {"SLURM_CONF": str(conf)}
    commands = [
        ["munged", "--foreground", "--force", f"--key-file={key}",
         f"--socket={folder}/munge.sock", f"--pid-file={folder}/munged.pid",
         f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed"],
        ["slurmctld", "-D", "-c", "-f", str(conf)],
        ["slurmd", "-D", "-c", "-f", str(conf), "-N", host],
    ]  # fmt: skip
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            with open(folder / f"{command[0]}.out", "wb") as output:
                daemons.append(
                    subprocess.Popen(command, env=environment, stdout=output, stderr=output)
                )
            if command[0] == "munged":
                _wait(lambda: (folder / "munge.sock").exists(), "munged", folder)
        _wait(lambda: _node_state(environment) == "idle", "slurmd", folder)
        yield environment
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()


def _node_state(environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["sinfo", "--noheader", "--format=%T"], env=environment, capture_output=True, text=True
    )
    return done.stdout.strip()


def _wait(ready: Callable[[], bool], name: str, folder: Path, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            logs = "\n".join(p.read_text(errors="replace") for p in folder.glob(f"{name}.*"))
            raise RuntimeError(f"{name} did not start:\n{logs[-3000:]}")
        time.sleep(0.1)


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports
