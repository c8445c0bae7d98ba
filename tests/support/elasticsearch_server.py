"""One real Elasticsearch node: started in a folder of its own, as an unprivileged user, on a free port; and ended."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.index.elastic.users import USERS, users_file
from tests.support.data import REPOSITORY
from tests.support.elasticsearch_distribution import Missing, distribution, java_home

STARTED_WITHIN = 120.0
HEAP = os.environ.get("PHOTOSIFT_TEST_ELASTICSEARCH_HEAP", "512m")
ADMIN, ADMIN_PASSWORD = "elastic", "of-the-test-run"

SETTINGS = """\
cluster.name: photosift-{name}
node.name: {name}
path.data: {folder}/data
path.logs: {folder}/logs
discovery.type: single-node
network.host: 127.0.0.1
http.port: {port}
transport.port: 0
node.portsfile: true
cluster.routing.allocation.disk.threshold_enabled: false
action.destructive_requires_name: true
"""
OPEN = "xpack.security.enabled: false\n"
FENCED = """\
xpack.security.enabled: true
xpack.security.enrollment.enabled: false
xpack.security.http.ssl.enabled: true
xpack.security.http.ssl.certificate: server.pem
xpack.security.http.ssl.key: server.key
"""
#: somebody else's user, beside those of deploy/elasticsearch
OTHERS = """\
other:
  cluster: [monitor]
  indices:
    - names: ['somewhere-else']
      privileges: [read]
"""
#: user: password
PASSWORDS: Mapping[str, str] = {user: f"password-of-{user}" for user in (*USERS, "stranger")}


@dataclass
class Node:
    """A node; ``stop`` and ``resume`` freeze it, ``kill`` and ``start`` restart it on the same port and data."""

    name: str
    folder: Path
    fenced: bool = False
    #: 0: a free one, kept when it is started again
    port: int = 0
    extra: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.fenced else 'http'}://127.0.0.1:{self.port}"

    @property
    def ca_file(self) -> Path:
        return self.folder / "config" / "ca.pem"

    def start(self) -> None:
        """Returns when it answers. Raises ``Missing`` where there is none to start, ``RuntimeError`` when it fails."""
        home = distribution()
        self._configure(home)
        ports = self.folder / "logs" / "http.ports"
        ports.unlink(missing_ok=True)
        self._own()
        with (self.folder / "output").open("ab") as out:
            self.process = subprocess.Popen(
                [home / "bin" / "elasticsearch"],
                env=self._environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                **_unprivileged(),
            )
        self._await(ports)

    def _configure(self, home: Path) -> None:
        config = self.folder / "config"
        if config.exists():
            return self._write_settings(config)
        for name in ("config", "data", "logs", "tmp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        shutil.copytree(home / "config", config, dirs_exist_ok=True)
        (config / "jvm.options.d").mkdir(exist_ok=True)
        self._write_settings(config)
        if self.fenced:
            self._fence(home, config)

    def _write_settings(self, config: Path) -> None:
        settings = SETTINGS.format(name=self.name, folder=self.folder, port=self.port)
        (config / "elasticsearch.yml").write_text(settings + (FENCED if self.fenced else OPEN) + self.extra)

    def _fence(self, home: Path, config: Path) -> None:
        import trustme

        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(config / "ca.pem"))
        certificate = authority.issue_cert("127.0.0.1", "localhost")
        certificate.private_key_pem.write_to_path(str(config / "server.key"))
        for n, pem in enumerate(certificate.cert_chain_pems):
            pem.write_to_path(str(config / "server.pem"), append=n > 0)
        deployed = REPOSITORY / "deploy" / "elasticsearch"
        (config / "roles.yml").write_text((deployed / "roles.yml").read_text() + OTHERS)
        (config / "users_roles").write_text((deployed / "users_roles").read_text() + "other:stranger\n")
        (config / "users").write_text(users_file(PASSWORDS))
        self._own()
        self._tool(home, "elasticsearch-keystore", "create")
        self._tool(home, "elasticsearch-keystore", "add", "-x", "bootstrap.password", answer=ADMIN_PASSWORD)

    def _tool(self, home: Path, *command: str, answer: str = "") -> None:
        subprocess.run(
            [home / "bin" / command[0], *command[1:]],
            input=answer.encode(),
            env=self._environment(),
            cwd=self.folder,
            capture_output=True,
            check=True,
            timeout=60,
            **_unprivileged(),
        )

    def _own(self) -> None:
        """Give the folder to the user who runs the server."""
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "ES_JAVA_HOME": str(java_home()),
            "ES_PATH_CONF": str(self.folder / "config"),
            "ES_TMPDIR": str(self.folder / "tmp"),
            "ES_JAVA_OPTS": f"-Xms{HEAP} -Xmx{HEAP}",
            "CLI_JAVA_OPTS": "-Xmx64m -XX:+UseSerialGC",
            "HOME": str(self.folder),
        }

    def _await(self, ports: Path) -> None:
        deadline = time.monotonic() + STARTED_WITHIN
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                raise RuntimeError(f"Elasticsearch did not start:\n{self.output()[-3000:]}")
            if ports.exists() and (text := ports.read_text().strip()):
                self.port = int(text.splitlines()[0].rpartition(":")[2])
                if answers(self.url, self.fenced, self.ca_file):
                    return
            time.sleep(0.1)
        self.kill()
        raise RuntimeError(f"Elasticsearch did not start within {STARTED_WITHIN:.0f} s:\n{self.output()[-3000:]}")

    def output(self) -> str:
        return (self.folder / "output").read_text(errors="replace")

    def stop(self) -> None:
        """Freeze it: connections stay open and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """As a power cut would, without losing what the kernel holds."""
        self._signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
            self.process = None

    def _signal(self, number: int) -> None:
        """To the launcher and the server: they are one session."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)


def _unprivileged() -> dict[str, object]:
    """Elasticsearch refuses root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def answers(url: str, fenced: bool = False, ca_file: Path | None = None) -> bool:
    """Whether a server answers there. ``GET /`` is not among what this distribution answers."""
    request = urllib.request.Request(f"{url}/_cluster/health?wait_for_status=yellow&timeout=20s")
    if fenced:
        known = b64encode(f"{ADMIN}:{ADMIN_PASSWORD}".encode()).decode()
        request.add_header("Authorization", f"Basic {known}")
    context = ssl.create_default_context(cafile=str(ca_file)) if fenced else None
    try:
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@contextlib.contextmanager
def node(folder: Path, *, name: str = "test", fenced: bool = False, port: int = 0, extra: str = "") -> Iterator[Node]:
    """A node for one test, or for ``make elasticsearch``; its folder must be empty or its own."""
    started = Node(name=name, folder=folder, fenced=fenced, port=port, extra=extra)
    try:
        started.start()
        yield started
    finally:
        started.kill()


__all__ = ["ADMIN", "ADMIN_PASSWORD", "PASSWORDS", "Missing", "Node", "answers", "node"]
