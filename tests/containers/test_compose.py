"""docker-compose.yml as users get it, built and run: photos come and go, services die, everything stops and starts."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.compose import PGID, PUID, SERVICES, Stack, eventually
from tests.support.nas import dropped, into_the_library, kept, moved, owned
from tests.support.photos import TAKEN, write_photo
from tests.support.podman import Podman

pytestmark = [pytest.mark.containers, pytest.mark.timeout(590)]

OURS = ("watcher", "analyser", "resolver", "steward")
#: every test has pictures of its own
seeds = itertools.count(1)


@pytest.fixture(scope="module")
def stack(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    found = Stack(podman, tmp_path_factory.mktemp("nas"))
    try:
        found.up()
        yield found
    finally:
        found.down()


def test_s10_a_duplicate_goes_to_another_mount_of_its_disk_with_owner_mode_and_times(stack: Stack) -> None:
    seed = next(seeds)
    original = into_the_library(stack, "family.jpg", seed)
    before = kept(original)
    came, lies = dropped(stack, "upload.jpg", seed)
    moved(stack, (came, lies))
    assert kept(lies) == before == kept(original)
    assert kept(lies)[:4] == (PUID, PGID, 0o640, TAKEN * 10**9 + 987654321)
    # one disk, and yet the kernel refuses to rename from one of the volumes to the other
    assert (stack.folder / "incoming").stat().st_dev == (stack.folder / "duplicates").stat().st_dev
    tried = "import os\ntry: os.link('/incoming/x', '/duplicates/x')\nexcept OSError as e: print(e.errno)"
    owned(write_photo(stack.folder / "incoming" / "x", next(seeds)))
    assert stack.python("watcher", tried).strip() == "18", "EXDEV"


def test_every_container_is_well(stack: Stack) -> None:
    for service in SERVICES:
        eventually(lambda service=service: stack.is_well(service), stack)


def test_whatever_they_write_belongs_to_the_owner_of_the_photos(stack: Stack) -> None:
    eventually(lambda: stack.is_well("elasticsearch"), stack)
    written = [
        p for folder in ("data", "duplicates", "incoming", "secrets") for p in (stack.folder / folder).rglob("*")
    ]
    assert [p for p in written if p.lstat().st_uid != PUID] == []
    elasticsearch = stack.folder / "data" / "elasticsearch"
    others = [p for p in written if elasticsearch not in p.parents]
    assert [p for p in others if p.lstat().st_gid != PGID] == []
    assert list(elasticsearch.iterdir()), "Elasticsearch keeps its data there"


@pytest.mark.parametrize("service", [*OURS, "nats"])
def test_s21_no_service_is_root_may_become_it_or_writes_to_its_image(stack: Stack, service: str) -> None:
    status = dict(line.split(":\t", 1) for line in stack.process(service, "status") if ":\t" in line)
    assert status["Uid"].split() == [str(PUID)] * 4
    assert status["Gid"].split() == [str(PGID)] * 4
    assert {status[name].strip("0") for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {""}
    assert status["NoNewPrivs"] == "1"
    root = next(line for line in stack.process(service, "mountinfo") if line.split()[4] == "/")
    assert "ro" in root.split()[5].split(",")


def test_s21_elasticsearch_is_not_root_and_may_not_become_it(stack: Stack) -> None:
    """Its group is what its image wants; it writes a keystore to its own configuration."""
    status = dict(line.split(":\t", 1) for line in stack.process("elasticsearch", "status") if ":\t" in line)
    assert status["Uid"].split() == [str(PUID)] * 4
    assert {status[name].strip("0") for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {""}
    assert status["NoNewPrivs"] == "1"


def test_each_container_is_held_to_its_limit_of_memory(stack: Stack) -> None:
    for service in SERVICES:
        assert 0 < stack.podman.inspect(stack.container(service))["HostConfig"]["Memory"] <= 1280 << 20


def test_only_the_watcher_can_write_where_the_photos_are(stack: Stack) -> None:
    mounts = {}
    for service in SERVICES:
        found = stack.podman.inspect(stack.container(service))["Mounts"]
        mounts[service] = {m["Destination"]: m["RW"] for m in found if m["Destination"] in PHOTOS}
    nobody = {service: {} for service in SERVICES if service not in ("watcher", "analyser")}
    writing = {"/photos": True, "/incoming": True, "/duplicates": True}
    assert mounts == {"watcher": writing, "analyser": {"/photos": False, "/incoming": False}, **nobody}
    refused = stack.execute("analyser", "touch", "/photos/x", check=False)
    assert "Read-only file system" in refused.stderr


PHOTOS = ("/photos", "/incoming", "/duplicates")


def test_s20_each_service_is_given_its_own_passwords_and_no_others(stack: Stack) -> None:
    wanted = {
        "watcher": {"watcher", "executor", "watcher-index", "stats-token"},
        "analyser": {"analyser", "analyser-index", "stats-token"},
        "resolver": {"resolver", "resolver-data", "resolver-index", "stats-token"},
        "steward": {"setup-data", "setup-control", "steward-index", "stats-token"},
        "elasticsearch": {"elasticsearch-password"},
    }
    listed = {s: set(stack.execute(s, "ls", "/run/secrets").stdout.split()) for s in wanted}
    assert listed == wanted


def test_s21_no_password_is_in_an_environment_a_command_line_or_a_log(stack: Stack) -> None:
    secrets = {p.read_text().strip() for p in (stack.folder / "secrets").rglob("*") if p.is_file()}
    for service in SERVICES:
        told = json.dumps(stack.podman.inspect(stack.container(service))) + stack.log(service)
        assert not [secret for secret in secrets if secret in told]


def test_s21_nothing_is_published_and_metrics_want_the_token(stack: Stack) -> None:
    for service in SERVICES:
        assert not stack.podman("port", stack.container(service)).strip()
    ask = "import urllib.request as u, sys\ntry: print(u.urlopen(u.Request('http://watcher:8000/metrics', headers={})).status)\nexcept OSError as e: print(e.code)"
    assert stack.python("steward", ask).strip() == "401"
    shown = "{'Authorization': 'Bearer ' + open('/run/secrets/stats-token').read().strip()}"
    assert stack.python("steward", ask.replace("{}", shown)).strip() == "200"


def test_s21_elasticsearch_is_there_for_those_who_index_and_wants_a_password(stack: Stack) -> None:
    eventually(lambda: stack.is_well("elasticsearch"), stack)
    ask = """
import urllib.error, urllib.request
try:
    urllib.request.urlopen("http://elasticsearch:9200/_cluster/health", timeout=5)
except urllib.error.HTTPError as error:
    print(error.code)
"""
    answers = {service: stack.python(service, ask).strip() for service in OURS}
    assert answers == dict.fromkeys(OURS, "401")


def test_s20_each_service_is_a_user_of_its_own_on_the_index_and_only_the_analyser_writes(stack: Stack) -> None:
    eventually(lambda: stack.is_well("elasticsearch"), stack)
    wanted = {"watcher": "200 403 403", "analyser": "200 201 403", "resolver": "200 403 403"}
    for service, statuses in wanted.items():
        assert stack.python(service, TRIED.format(user=service)).split() == statuses.split()


#: read, write, delete; the document is nobody's photo
TRIED = """
import urllib.error, urllib.request as u
known = u.HTTPPasswordMgrWithPriorAuth()
at = "http://elasticsearch:9200/photosift-files"
known.add_password(None, at, "{user}", open("/run/secrets/{user}-index").read().strip(), is_authenticated=True)
opener = u.build_opener(u.HTTPBasicAuthHandler(known))
for method, path, body in (("GET", "/_count", None), ("PUT", "/_doc/tried-by-{user}", b'{{"root": "none"}}'), ("DELETE", "/_doc/x", None)):
    try:
        print(opener.open(u.Request(at + path, method=method, data=body, headers={{"Content-Type": "application/json"}})).status)
    except urllib.error.HTTPError as error:
        print(error.code)
"""


@pytest.mark.parametrize("service", [*OURS, "nats", "elasticsearch"])
def test_a_service_that_is_killed_comes_back_and_nothing_is_lost(stack: Stack, service: str) -> None:
    seed = next(seeds)
    into_the_library(stack, f"before-{service}.jpg", seed)
    pairs = [dropped(stack, f"{n}-killed-{service}.jpg", seed) for n in range(3)]
    killed = stack.podman.inspect(stack.container(service))["State"]["Pid"]
    stack.podman.run(["kill", "-KILL", str(killed)], timeout=60)
    pairs.append(dropped(stack, f"after-{service}.jpg", seed))
    moved(stack, *pairs)

    def is_back() -> bool:
        state = stack.podman.inspect(stack.container(service))["State"]
        return bool(state["Running"]) and state["Pid"] not in (0, killed)

    eventually(is_back, stack)
    assert (stack.folder / "photos" / f"before-{service}.jpg").exists()


def test_after_a_stop_and_a_start_nothing_is_forgotten(stack: Stack) -> None:
    seed = next(seeds)
    original = into_the_library(stack, "long-known.jpg", seed)
    first = dropped(stack, "before-the-stop.jpg", seed)
    moved(stack, first)
    stack.compose("stop", timeout=400)
    ended = {s: stack.podman.inspect(stack.container(s))["State"]["ExitCode"] for s in OURS}
    assert ended == dict.fromkeys(OURS, 0), "told to stop, and ended by itself"
    while_stopped = dropped(stack, "while-it-was-stopped.jpg", seed)
    said_before = len(stack.log("analyser"))
    stack.compose("start")
    moved(stack, while_stopped)
    again = [line for line in stack.log("analyser")[said_before:].splitlines() if "analyser.file_analysed" in line]
    assert [line for line in again if "while-it-was-stopped" not in line] == [], "known files are not read again"
    assert original.exists()
    # and what was moved before the stop is put back by who remembers it
    assert "back" in stack.ask("restore", "--since", "1d")
    eventually(lambda: first[0].exists() and while_stopped[0].exists(), stack)
    assert kept(first[0]) == kept(original)


def test_s21_a_password_is_changed_as_the_manual_says(stack: Stack) -> None:
    file = stack.folder / "secrets" / "analyser" / "index"
    before = file.read_text()
    file.unlink()
    stack.prepare()
    stack.compose("up", "--detach", "--no-build", "--force-recreate", "elasticsearch", "analyser")
    assert stack.execute("analyser", "cat", "/run/secrets/analyser-index").stdout == file.read_text() != before
    seed = next(seeds)
    into_the_library(stack, "with-a-new-password.jpg", seed)
    moved(stack, dropped(stack, "a-new-password.jpg", seed))


def test_s18_a_backup_is_put_back_as_the_manual_says(stack: Stack) -> None:
    """It is older than what was done since: nothing is acted on until somebody lets the records be read."""
    data, backup = stack.folder / "data", stack.folder / "backup"
    stack.compose("stop", *REMEMBERING)
    for name in REMEMBERING:
        copied(data / name, backup / name)
    stack.compose("start", *REMEMBERING)
    seed = next(seeds)
    since = into_the_library(stack, "since-the-backup.jpg", seed)
    came, lies = dropped(stack, "moved-since-the-backup.jpg", seed)
    moved(stack, (came, lies))
    stack.compose("stop", *REMEMBERING)
    for name in REMEMBERING:
        shutil.rmtree(data / name)
        copied(backup / name, data / name)
    stack.compose("start", *REMEMBERING)
    seed = next(seeds)
    into_the_library(stack, "after-the-backup.jpg", seed)
    pair = dropped(stack, "moved-after-the-backup.jpg", seed)
    eventually(lambda: "older-journal" in stack.log("watcher"), stack)
    assert pair[0].exists()
    for root in ("photos", "incoming"):
        assert root in stack.ask("adopt", root)
    stack.ask("restore", "/incoming/moved-since-the-backup.jpg")
    eventually(lambda: came.exists() and not lies.exists(), stack)
    assert kept(came) == kept(since)
    seed = next(seeds)
    into_the_library(stack, "as-ever.jpg", seed)
    moved(stack, dropped(stack, "moved-as-ever.jpg", seed))


#: stopping these is enough, and quicker: the others do not write there
REMEMBERING = ("watcher", "resolver")


def copied(source: Path, copy: Path) -> None:
    """As ``cp -a``."""
    shutil.copytree(source, copy)
    for path in (copy, *copy.rglob("*")):
        os.chown(path, PUID, PGID)


def test_a_file_of_somebody_else_is_moved_and_its_owner_stands_in_the_record(stack: Stack) -> None:
    """Nobody here may give files away: that takes root."""
    seed, stranger = next(seeds), 54321
    into_the_library(stack, "ours.jpg", seed)
    ready = owned(write_photo(stack.folder / ".theirs.jpg", seed), mode=0o644)
    os.chown(ready, stranger, stranger)
    came, lies = ready.rename(stack.folder / "incoming" / "theirs.jpg"), stack.folder / "duplicates/incoming/theirs.jpg"
    moved(stack, (came, lies))
    records = [json.loads(p.read_text()) for p in (stack.folder / "duplicates/.photosift/records").iterdir()]
    (record,) = [one for one in records if "theirs.jpg" in json.dumps(one)]
    assert (record["attributes"]["uid"], record["attributes"]["gid"]) == (stranger, stranger)
    assert kept(lies)[:2] == (PUID, PGID)


def test_with_a_second_analyser_nothing_is_lost_or_done_twice(stack: Stack) -> None:
    stack.compose("up", "--detach", "--no-build", "--scale", "analyser=2")
    both = stack.containers_of("analyser")
    assert len(both) == 2
    seed = next(seeds)
    into_the_library(stack, "for-both.jpg", seed)
    moved(stack, *(dropped(stack, f"{n}-for-both.jpg", seed) for n in range(20)))
    read = [stack.podman.run(["podman", "logs", one], timeout=60).stderr.count("-for-both.jpg") for one in both]
    assert all(read), "each had its part"
    stack.podman("rm", "--force", both[1])  # podman-compose ends only as many as the file names


def test_down_leaves_nothing_but_the_users_files(podman: Podman, stack: Stack) -> None:
    """The last one: it ends the stack of all the others."""
    before = {p for p in (stack.folder / "photos").rglob("*") if p.is_file()}
    stack.compose("down", timeout=300)
    assert stack.containers() == []
    assert stack.networks() == []
    mounts = podman.run(["cat", "/proc/self/mounts"], timeout=60).stdout.splitlines()
    assert [line for line in mounts if str(stack.folder) in line or "/merged" in line] == []
    assert [
        link for link in podman.run(["ip", "-oneline", "link"], timeout=60).stdout.splitlines() if ": lo:" not in link
    ] == []
    assert {p for p in (stack.folder / "photos").rglob("*") if p.is_file()} == before
