"""Certificates that a test makes for itself: an authority, and a server's certificate of it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """Files (PEM): who vouches, what the server shows, and its key."""

    authority: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path, *names: str) -> Certificates:
    """For these host names and addresses, for a day: ``DNS:nats``, ``IP:127.0.0.1``."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {name: folder / f"{name}.pem" for name in ("authority", "authority-key", "certificate", "key", "request")}
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1")
    _openssl("req", "-x509", *new, "-subj", "/CN=tests", "-keyout", made["authority-key"], "-out", made["authority"])
    _openssl("req", *new[:-2], "-subj", "/CN=bus", "-keyout", made["key"], "-out", made["request"])
    (folder / "names").write_text(f"subjectAltName={','.join(names)}\n")
    by = ("-CA", made["authority"], "-CAkey", made["authority-key"], "-CAcreateserial", "-days", "1")
    _openssl("x509", "-req", "-in", made["request"], *by, "-extfile", folder / "names", "-out", made["certificate"])
    return Certificates(authority=made["authority"], certificate=made["certificate"], key=made["key"])


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
