"""A Ray cluster of several nodes on this machine, each with an address of its own on the loopback interface.

Ray reads how a cluster is guarded when it is imported: import this module before it.
"""

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

assert "ray" not in sys.modules
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(16))

MARK = "ALPHALOOM_TEST_NODE"
"""Environment variable by which processes of a node are found again."""


class RayNode:
    """One node: its processes are those that the variable of its environment marks."""

    def __init__(self, ip: str, words: list[str], log: Path) -> None:
        self.ip = ip
        self.log = log
        self.mark = secrets.token_hex(8)
        environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
        # Tasks are functions of tests/support, which workers have to find.
        environment |= {MARK: self.mark, "PYTHONPATH": os.pathsep.join(sys.path)}
        ray = str(Path(sys.executable).parent / "ray")
        start = [ray, "start", "--block", f"--node-ip-address={ip}", "--object-store-memory=100000000", *words]
        with log.open("w") as said:
            self.process = subprocess.Popen(
                [*start, "--disable-usage-stats"],
                env=environment,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def pids(self, name: str = "") -> list[int]:
        """Return the node's processes whose command line contains a text."""
        wanted = f"{MARK}={self.mark}".encode()
        parents: dict[int, int] = {}
        own: set[int] = set()
        commands: dict[int, str] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            pid = int(folder.name)
            with suppress(OSError):  # it ended meanwhile
                parents[pid] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                commands[pid] = (folder / "cmdline").read_bytes().decode(errors="replace")
                if wanted in (folder / "environ").read_bytes():
                    own.add(pid)
        while more := {pid for pid, parent in parents.items() if parent in own} - own:
            own |= more  # processes that set their title lose their environment
        return [pid for pid in own if name in commands[pid]]

    def kill(self) -> None:
        """End the node as a power failure would: the raylet and all workers at once."""
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


class RayCluster:
    """A head and further nodes, each with so many cores. `address` is what a driver joins."""

    def __init__(self, cores: int = 1) -> None:
        self.cores = cores
        self.folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # sockets lie in it: paths have to be short
        self.address = f"127.0.0.2:{_free_port('127.0.0.2')}"
        self.nodes: list[RayNode] = []

    def start(self, nodes: int) -> None:
        """Start the head and further nodes, and wait until all have joined."""
        port = self.address.partition(":")[2]
        self._add(["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={self.folder}"])
        for _ in range(nodes - 1):
            self.add_node()

    def add_node(self) -> RayNode:
        """Start one more node, and wait until it has joined."""
        return self._add([f"--address={self.address}"])

    def _add(self, words: list[str]) -> RayNode:
        """Start a node; Ray gives it half a minute, which a busy machine may need more than once."""
        ip = f"127.0.0.{len(self.nodes) + 2}"
        for _ in range(4):
            node = RayNode(ip, [f"--num-cpus={self.cores}", *words], self.folder / f"{ip}.log")
            if self._has_joined(node):
                self.nodes.append(node)
                return node
            node.kill()
        raise AssertionError(f"node {ip} did not join:\n{node.log.read_text()}")

    def _has_joined(self, node: RayNode) -> bool:
        ends = time.monotonic() + 120
        while "Ray runtime started" not in node.log.read_text() or node.ip not in self._joined():
            if node.process.poll() is not None or time.monotonic() > ends:
                return False
            time.sleep(0.2)
        return True

    def _joined(self) -> list[str]:
        """Return the addresses of the nodes that the head knows."""
        words = [sys.executable, "-c", _JOINED, self.address]
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout.split()

    def stop(self) -> None:
        """End all processes of the cluster, and no other one's."""
        for node in reversed(self.nodes):
            if node.process.returncode is None:
                node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


_JOINED = """
import sys
from ray._raylet import GcsClient
nodes = GcsClient(address=sys.argv[1]).get_all_node_info().values()
print(*(node.node_manager_address for node in nodes if node.state == 0))
"""


def _free_port(ip: str) -> int:
    with socket.socket() as probe:
        probe.bind((ip, 0))
        return int(probe.getsockname()[1])


@contextmanager
def ray_cluster(nodes: int = 2, cores: int = 1) -> Iterator[RayCluster]:
    """Return a context with a running cluster; drivers of this process may join it."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'alphaloom[ray]'")
    cluster = RayCluster(cores)
    try:
        cluster.start(nodes)
        yield cluster
    finally:
        cluster.stop()
