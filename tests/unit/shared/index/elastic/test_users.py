"""The passwords of the index's users: files of their services, and hashes for the server."""

from __future__ import annotations

import hashlib
import stat
from base64 import b64decode
from pathlib import Path

from shared.index.elastic.users import USERS, make_users


def hashes(folder: Path) -> dict[str, str]:
    return dict(line.split(":", 1) for line in (folder / "elasticsearch" / "users").read_text().splitlines())


def is_of(password: str, hashed: str) -> bool:
    rounds, salt, made = hashed.removeprefix("{PBKDF2}").split("$")
    return hashlib.pbkdf2_hmac("sha512", password.encode(), b64decode(salt), int(rounds), 32) == b64decode(made)


def test_s20_each_service_is_given_a_password_of_its_own_and_the_server_none_of_them(tmp_path: Path) -> None:
    made = make_users(tmp_path / "secrets")
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o600}
    passwords = {user: (tmp_path / "secrets" / user / "index").read_text().strip() for user in USERS}
    assert len(set(passwords.values())) == len(USERS)
    assert all(is_of(password, hashes(tmp_path / "secrets")[user]) for user, password in passwords.items())
    assert not any(p in (tmp_path / "secrets" / "elasticsearch" / "users").read_text() for p in passwords.values())


def test_a_password_that_is_there_is_kept_and_one_that_was_taken_away_is_made_anew(tmp_path: Path) -> None:
    make_users(tmp_path)
    before = {user: (tmp_path / user / "index").read_text().strip() for user in USERS}
    (tmp_path / "analyser" / "index").unlink()
    assert make_users(tmp_path) == [tmp_path / "analyser" / "index", tmp_path / "elasticsearch" / "users"]
    after = {user: (tmp_path / user / "index").read_text().strip() for user in USERS}
    assert {user for user in USERS if before[user] != after[user]} == {"analyser"}
    assert all(is_of(after[user], found) for user, found in hashes(tmp_path).items())
    assert not is_of(before["analyser"], hashes(tmp_path)["analyser"])
