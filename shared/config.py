"""Every setting, declared once: name, type, bounds, default and one sentence.

Read from one YAML file and ``PHOTOSIFT_…`` environment variables (``__`` between levels). How they are found and
merged, and what is said of a mistake, is in ``shared.settings_sources``; nothing here reads a file or a variable.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from shared.messages.resolution import MatchClass
from shared.paths import printable
from shared.settings_rules import DEFAULT_RULES, RuleName
from shared.settings_values import (
    BusUrl,
    Duration,
    Extension,
    File,
    Folder,
    IndexName,
    IndexUrl,
    ManagedFolder,
    RegularExpression,
    Seconds,
    Share,
    WatcherName,
    folder_or_none,
)


def name_of(folder: Path) -> str:
    """The name a root has unless one is given: its folder's, escaped where that is not plain text."""
    return printable(folder.name.encode("utf-8", "surrogateescape")) or "root"


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


class Root(Section):
    """A folder of photos."""

    name: str = Field(
        "", description="Unique name; the folder's own unless given. It is part of every file's identity."
    )
    path: Path = Field(description="The folder.")
    role: Literal["library", "reference", "incoming", "backup"] = Field(
        "library",
        description="library: sifted. reference: only keepers, never victims. incoming: an upload folder, its files are keepers "
        "only for files of the same root. backup: neither keepers nor victims.",
    )
    watcher: WatcherName = Field("", description="Which watcher has it, where several hosts have one.")

    @model_validator(mode="before")
    @classmethod
    def _a_path_alone_is_a_root(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str | Path) else value

    @field_validator("path", mode="before")
    @classmethod
    def _path_is_given(cls, value: Any) -> Any:
        if folder_or_none(value) is None:
            raise PydanticCustomError("folder", "no folder is named")
        return value


class Analysis(Section):
    threads: int = Field(0, ge=0, le=256, description="Worker processes that decode photos; 0: one for each CPU.")
    use_exif: bool = Field(True, description="Count and read EXIF tags.")
    signature: Literal["canonical", "exact"] = Field(
        "canonical",
        description="canonical: computed at 512 px, finds copies of other sizes. exact: image-match's own, for an existing index.",
    )
    seconds_per_file: float = Field(30.0, gt=0, description="A worker that takes longer for one file is ended.")
    memory_mb: int = Field(
        1024,
        ge=64,
        description="Memory one worker may use for one file; larger pictures are refused by name.",
    )


class Deduplication(Section):
    max_distance: Share = Field(0.10, description="Signature distance up to which two photos are similar.")
    across_roots: bool = Field(False, description="Whether a file may be a duplicate of one in another root.")
    rules: tuple[RuleName, ...] = Field(
        DEFAULT_RULES, description="Ranking rules, the first that tells two files apart decides."
    )
    max_modification_time_difference: Duration = Field(
        None, description="A file modified further than this (H:MM:SS) from the keeper is kept, and shown."
    )


class Watch(Section):
    observer: Literal["auto", "inotify", "polling"] = Field(
        "auto",
        description="How changes are seen; auto polls on network file systems and uses inotify elsewhere.",
    )
    settle_seconds: Seconds = Field(5.0, description="A file is analysed after it has been quiet for this long.")
    rescan_seconds: float = Field(
        3600.0, gt=0, description="Every change is seen by a rescan at the latest after this long."
    )
    polling_seconds: float = Field(30.0, gt=0, description="How often a polled root is looked through.")
    recursive: bool = Field(True, description="Whether folders inside the roots belong to them.")
    extensions: tuple[Extension, ...] = Field(
        (),
        description="File name endings to look at, case ignored (jpg, .JPG and *.jpg are the same); empty: all that decode.",
    )
    exclusions: tuple[RegularExpression, ...] = Field(
        (), description="Regular expressions searched in the absolute path; a match is left out."
    )
    disappearance_share: Share = Field(
        0.05,
        description="When more than this share of a root's files vanish at once, a second rescan and a person are waited for.",
    )
    disappearance_floor: int = Field(50, ge=1, description="Fewer vanished files than this never need a person.")


class Breaker(Section):
    share: Share = Field(
        0.05, description="Share of a root's files that may be acted on in a sliding day without a person."
    )
    at_least: int = Field(20, ge=1, description="The limit is never below this many files.")
    at_most: int = Field(200, ge=1, description="The limit is never above this many files.")
    refusals: int = Field(20, ge=1, description="So many refused or undone acts in a row stop automatic acts.")

    @model_validator(mode="after")
    def _floor_below_ceiling(self) -> Breaker:
        if self.at_least > self.at_most:
            raise ValueError("at_least is more than at_most")
        return self


class Settings(Section):
    """photosift's settings."""

    roots: tuple[Root, ...] = Field((), description="The folders of photos.")
    action: Literal["propose", "move", "delete"] = Field(
        "propose", description="The one setting that decides about acting; delete also needs allow_delete."
    )
    allow_delete: bool = Field(False, description="Second, explicit permission for action: delete (quarantine first).")
    dry_run: bool = Field(False, description="Always wins: nothing is written below a root.")
    automatic_classes: tuple[MatchClass, ...] = Field(("same-bytes",), description="Classes acted on without a person.")
    target: Folder = Field(None, description="Where action: move puts files, at <target>/<root name>/<path>.")
    remove_empty_folders: bool = Field(False, description="Remove folders that photosift's own acts emptied.")
    keeper_age_seconds: Seconds = Field(
        3600.0, description="A service acting by itself waits until the keeper is known this long."
    )
    sweep_seconds: float = Field(
        86_400.0, gt=0, description="The resolver's memory is compared with the index at every start and this often."
    )
    command_expiry_seconds: float = Field(3600.0, gt=0, description="A command older than this is refused.")
    retention_days: float | None = Field(
        None, gt=0, description="Quarantined files are removed after so many days of running; unset: never."
    )
    managed_folders: tuple[ManagedFolder, ...] = Field(
        (),
        description="Folders (absolute, or root:path) that another program manages: proposed only until allowed by name.",
    )
    analysis: Analysis = Field(Analysis(), description="Decoding.")
    deduplication: Deduplication = Field(Deduplication(), description="Deciding.")
    watch: Watch = Field(Watch(), description="Seeing.")
    breaker: Breaker = Field(Breaker(), description="When automatic acting stops by itself.")
    stats_enabled: bool = Field(True, description="Serve metrics and health.")
    stats_port: int = Field(8000, ge=0, le=65535, description="Port of metrics and health; 0: a free one.")
    stats_host: str = Field(
        "127.0.0.1", description="Address of metrics and health; beyond loopback stats_token_file is needed."
    )
    stats_token_file: File = Field(
        None, description="File with the token that metrics and readiness ask for (Authorization: Bearer ...)."
    )
    watcher: WatcherName = Field(
        "", description="The name of this host's watcher: it looks after the roots that name it, and no others."
    )
    takeover_seconds: float = Field(
        20.0, ge=12, description="A resolver that stands by takes over after so long without a sign of the active one."
    )
    state_dir: Folder = Field(None, description="Where photosift remembers; unset: the user's state folder.")
    nats_url: BusUrl = Field("", description="The bus; empty: the bundled server.")
    nats_credentials_dir: Folder = Field(None, description="Folder with the users' passwords of an external bus.")
    nats_ca_file: File = Field(
        None, description="Certificates (PEM) that vouch for the bus at a tls:// address; unset: the system's own."
    )
    nats_plaintext: bool = Field(
        False,
        description="Passwords of the bus may cross a network readable (nats:// beyond loopback): only where that network is yours "
        "alone, such as the one between containers of one host.",
    )
    nats_sync: Literal["always", "fast"] = Field(
        "always",
        description="always: every message is on disk before it counts. fast: a power cut may cost minutes of repeated work.",
    )
    index_url: IndexUrl = Field(
        "", description="Elasticsearch 8.18 to 9.x for the index; empty: the embedded one in the state folder."
    )
    index_name: IndexName = Field("photosift", description="What the indices' names on Elasticsearch begin with.")
    index_create: bool = Field(
        True, description="Make the indices on Elasticsearch where they are missing; false: wait for photosift setup."
    )
    index_user: str = Field("", description="User of Elasticsearch; empty: none.")
    index_password: SecretStr = Field(SecretStr(""), description="Its password; better in index_password_file.")
    index_password_file: File = Field(None, description="File with the password of index_user.")
    index_api_key: SecretStr = Field(SecretStr(""), description="API key of Elasticsearch, instead of a user.")
    index_api_key_file: File = Field(None, description="File with the API key.")
    index_ca_file: File = Field(
        None,
        description="Certificates (PEM) that vouch for Elasticsearch at a https:// address; unset: the system's own.",
    )
    index_plaintext: bool = Field(
        False,
        description="Secrets of Elasticsearch may cross a network readable (http:// beyond loopback): only where that network is "
        "yours alone, such as the one between containers of one host.",
    )

    @field_validator("roots")
    @classmethod
    def _roots_named_once(cls, roots: tuple[Root, ...]) -> tuple[Root, ...]:
        named = tuple(r if r.name else r.model_copy(update={"name": name_of(r.path.resolve())}) for r in roots)
        names = [r.name for r in named]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"two roots are called {twice[0]!r}: give one of them another name")
        if any("/" in n or "\0" in n or n in (".", "..") for n in names):
            raise ValueError("a root's name has no slash")
        return named

    @model_validator(mode="after")
    def _target_holds_no_root(self) -> Settings:
        """What lies in the target is never looked at (S22): a root inside it would never be seen."""
        for root in self.roots:
            if self.target is not None and root.path.is_relative_to(self.target):
                raise ValueError(f"target is, or contains, the root {root.name}")
        return self

    @model_validator(mode="after")
    def _certificates_are_looked_at(self) -> Settings:
        if self.nats_ca_file is not None and not self.nats_url.startswith(("tls://", "wss://")):
            raise ValueError("nats_ca_file says nothing unless nats_url starts with tls://")
        return self

    @model_validator(mode="after")
    def _delete_is_allowed_twice(self) -> Settings:
        if self.action == "delete" and not self.allow_delete:
            raise ValueError("action: delete also needs allow_delete: true (--allow-delete)")
        if self.action == "move" and self.target is None and not self.dry_run:
            raise ValueError("action: move needs a target (--target)")
        return self

    @property
    def this_watcher(self) -> str:
        return self.watcher if self.nats_url else ""

    @property
    def watchers(self) -> dict[str, str]:
        """Which watcher has a root, by the root's name (S23); on a bus of one's own there is one for all."""
        return {root.name: root.watcher if self.nats_url else "" for root in self.roots}

    def of_this_watcher(self) -> Settings:
        """The same with the roots alone that this host's watcher has."""
        mine = tuple(root for root in self.roots if self.watchers[root.name] == self.this_watcher)
        return self.model_copy(update={"roots": mine})

    @property
    def acting(self) -> Literal["propose", "move", "delete"]:
        """What may be done in the end: ``dry_run`` always wins (S6)."""
        return "propose" if self.dry_run else self.action
