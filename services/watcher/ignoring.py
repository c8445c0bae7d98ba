"""[pure] Which entries are not looked at, each by a named rule; and which folders another program manages. (S22, S24)

Rules are asked about names only. What needs the disk (a link, a socket, a further name of the same file) is named
here too, so that the vocabulary of ``skipped`` stands in one place.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from shared.paths import ancestors

#: rules that need a look at the disk, named by the rescan
SYMBOLIC_LINK, NOT_A_FILE, SAME_FILE, NOT_RECURSIVE = (
    "symbolic-link",
    "not-a-regular-file",
    "same-file-as",
    "not-recursive",
)
STILL_WRITTEN, UNREADABLE_FOLDER, UNKNOWN_MOUNT = "still-being-written", "unreadable-folder", "mount-changed"

#: the folder that photosift keeps to itself below a root or target, and what makes a folder a target (S22)
PRIVATE_FOLDER, TARGET_MARKER = b".photosift", b".photosift/target.json"


@dataclass(frozen=True, slots=True)
class Skip:
    """Why an entry is left out."""

    rule: str
    #: one sentence for a person
    reason: str


@dataclass(frozen=True)
class _Names:
    """A rule about names: all lower case, as whole names, beginnings and endings."""

    rule: str
    reason: str
    exact: frozenset[bytes] = frozenset()
    starts: tuple[bytes, ...] = ()
    ends: tuple[bytes, ...] = ()

    @property
    def skip(self) -> Skip:
        return Skip(self.rule, self.reason)

    def fits(self, low: bytes) -> bool:
        return low in self.exact or low.startswith(self.starts) or low.endswith(self.ends)


def _exact(*names: bytes) -> frozenset[bytes]:
    return frozenset(names)


#: folders that are never entered
_FOLDERS = (
    _Names("private", "photosift keeps this folder for itself", _exact(PRIVATE_FOLDER)),
    _Names(
        "snapshot",
        "a snapshot: older states of the same files",
        _exact(b".snapshot", b".snapshots", b"#snapshot", b".zfs", b".@__thumb", b"~snapshot", b".ckpt"),
        (b"@gmt-",),
    ),
    _Names(
        "trash",
        "a trash folder: what lies here was deleted by somebody",
        _exact(
            b"#recycle", b"@recycle", b"$recycle.bin", b"recycler", b"lost+found",
            b"files_trashbin",
        ),
        (b".trash", b".recycle"),
    ),
    _Names(
        "version-folder",
        "older versions kept by a synchronising program",
        _exact(b".stversions", b".dropbox.cache", b"files_versions", b".sync-archive"),
    ),
    _Names(
        "litter",
        "kept by a storage system or desktop for itself",
        _exact(
            b"@eadir", b"@tmp", b".appledouble", b".spotlight-v100", b".fseventsd", b".temporaryitems",
            b".documentrevisions-v100", b"system volume information", b".thumbnails", b"#appdata", b".@upload_cache",
        ),
    ),
    _Names("temporary", "a transfer that has not ended", _exact(b".rsync-partial", b".rsync-tmp", b".~tmp~")),
)  # fmt: skip

#: names inside a folder of another name: (parent, name)
_PAIRS = {
    (b".sync", b"archive"): Skip("version-folder", "older versions kept by a synchronising program"),
    (b"share", b"trash"): Skip("trash", "a trash folder: what lies here was deleted by somebody"),
}

#: files that are never looked at, whatever their ending
_FILES = (
    _Names(
        "litter",
        "kept by a storage system or desktop for itself",
        _exact(b".ds_store", b"thumbs.db", b"desktop.ini", b"ehthumbs.db", b".apdisk", b".localized", b".nomedia"),
        (b"._", b"synofile_thumb_"),
    ),
    _Names("trash", "a file that was deleted on a phone", starts=(b".trashed-",)),
    _Names(
        "temporary",
        "a transfer or an edit that has not ended",
        starts=(b".syncthing.", b"~syncthing~", b".nfs", b".fuse_hidden", b".~lock", b"~", b".pending-", b".smbdelete"),
        ends=(b".part", b".partial", b".crdownload", b".filepart", b".tmp", b".!sync", b".opdownload", b".download"),
    ),
)  # fmt: skip
#: rsync's temporary name: a dot before, six letters or digits after
_RSYNC = re.compile(rb"\A\..+\.[A-Za-z0-9]{6}\Z", re.DOTALL)


def folder_skip(name: bytes, parent: bytes = b"") -> Skip | None:
    """Why a folder of this name, in a folder of that name, is never entered."""
    low = name.lower()
    pair = _PAIRS.get((parent.lower(), low))
    return pair or next((names.skip for names in _FOLDERS if names.fits(low)), None)


def file_skip(name: bytes, extensions: Collection[str]) -> Skip | None:
    """Why a file of this name is not looked at. ``extensions``: lower case, without dot."""
    low = name.lower()
    found = next((names.skip for names in _FILES if names.fits(low)), None)
    if found or (extension := extension_of(low)) in extensions:
        return found
    if _RSYNC.match(name):  # a name like .holiday.jpg.Xa81bQ; with a known ending it is just a hidden photo
        return Skip("temporary", "a transfer or an edit that has not ended")
    return Skip("extension", f"no picture by its ending: .{extension}" if extension else "no picture: no ending")


def extension_of(name: bytes) -> str:
    """Lower case, without dot; empty where there is none (a leading dot begins no ending)."""
    stem, dot, ending = name.rpartition(b".")
    return ending.decode("utf-8", "replace").lower() if dot and stem else ""  # text: capitals are not ASCII's alone


def normalised(extensions: Iterable[str]) -> frozenset[str]:
    """Endings as ``file_skip`` wants them: ``.JPG`` and ``jpg`` are the same."""
    return frozenset(e.strip().lower().removeprefix(".") for e in extensions) - {""}


def not_live(rel: bytes) -> Skip | None:
    """Why nothing at this path below a root is live (S22): it lies in a snapshot, trash, version folder …"""
    parts = rel.split(b"/")
    parents = [b"", *parts[:-1]]
    for parent, name in zip(parents, parts[:-1], strict=False):
        if found := folder_skip(name, parent):
            return found
    return next((names.skip for names in _FILES if names.fits(parts[-1].lower())), None)


@dataclass(frozen=True, kw_only=True)
class Ignoring:
    """The rules with the settings in them. Paths are absolute bytes; ``parent`` is the absolute folder."""

    extensions: frozenset[str]
    exclusions: tuple[re.Pattern[str], ...] = ()
    recursive: bool = True
    #: folders of photosift's own (state, target), wherever they lie: absolute and real (S22)
    private: frozenset[bytes] = frozenset()

    def folder(self, parent: bytes, name: bytes) -> Skip | None:
        """Why a folder is not entered."""
        if not self.recursive:
            return Skip(NOT_RECURSIVE, "folders inside the roots are left out (watch.recursive)")
        if parent.rstrip(b"/") + b"/" + name in self.private:
            return Skip("private", "a target or state folder of photosift")
        return folder_skip(name, parent.rpartition(b"/")[2])

    def file(self, parent: bytes, name: bytes) -> Skip | None:
        """Why a file is not looked at."""
        return file_skip(name, self.extensions) or self._excluded(parent, name)

    def _excluded(self, parent: bytes, name: bytes) -> Skip | None:
        if not self.exclusions:
            return None
        path = (parent.rstrip(b"/") + b"/" + name).decode("utf-8", "surrogateescape")
        pattern = next((p for p in self.exclusions if p.search(path)), None)
        return pattern and Skip("exclusion", f"left out by the exclusion {pattern.pattern!r}")


def compiled(exclusions: Sequence[str]) -> tuple[re.Pattern[str], ...]:
    """Raises ``re.error`` for a pattern that is none (the settings have refused it before)."""
    return tuple(re.compile(e, re.DOTALL) for e in exclusions)


# --- folders that another program manages (S24) --------------------------------------------------------------------

#: entries that make the folder they lie in a managed one, lower case
_MANAGER_MARKS = {
    b".stfolder": "Syncthing",
    b".sync": "Resilio Sync",
    b".dropbox": "Dropbox",
    b".owncloudsync.log": "ownCloud or Nextcloud",
    b".nextcloudsync.log": "ownCloud or Nextcloud",
    b".immich": "Immich",
    b".ppstorage": "PhotoPrism",
    b".synologydrive": "Synology Drive",
    b".synologyworkingdirectory": "Synology Drive",
    b".unison": "Unison",
    b"digikam4.db": "digiKam",
    b".picasa.ini": "Picasa",
    b".seafile-data": "Seafile",
}
#: databases that Nextcloud's and ownCloud's clients keep beside what they synchronise
_SYNC_DATABASE = re.compile(rb"\A\._?sync_.*\.db\Z", re.DOTALL)
#: folders that are a library of some program by their own name
_LIBRARIES = (
    b".photoslibrary", b".photolibrary", b".aplibrary", b".migratedphotolibrary", b".lrdata", b".lrlibrary",
    b".cocatalog", b".cosessiondb", b".theater",
)  # fmt: skip
#: a catalogue in a folder says that a program manages pictures from there
_CATALOGUES = (b".lrcat", b".cocatalogdb")


def manager_by(name: bytes) -> str | None:
    """The program that an entry of this name betrays as manager of the folder it lies in, if any."""
    low = name.lower()
    if _SYNC_DATABASE.match(low):
        return "ownCloud or Nextcloud"
    if low.endswith(_CATALOGUES):
        return "a photo catalogue"
    return _MANAGER_MARKS.get(low)


def managed_folder_of(rel: bytes, markers: Collection[bytes]) -> bytes | None:
    """The innermost managed folder that a path below a root lies in, or None.

    ``markers``: folders (below the same root, ``b""`` for the root itself) that hold a manager's mark or stand in the
    user's list. A folder that is a photo library by its name is managed without a mark.
    """
    parts = rel.split(b"/")[:-1]
    for depth in range(len(parts), -1, -1):
        folder = b"/".join(parts[:depth])
        if folder in markers or (parts[:depth] and parts[depth - 1].lower().endswith(_LIBRARIES)):
            return folder
    return None


def managed_and_not_allowed(
    rel: bytes, markers: Collection[bytes], allowed: Collection[bytes], *, from_above: bool = False
) -> bytes | None:
    """The innermost managed folder around a path, or None: there is none, or a person's word opens it (S24).

    The word may be given for the managed folder, or for one on the way from it to the file; never for one above, so
    that a word for a root opens no synchronised folder inside it. ``from_above``: the root lies in a managed folder.
    """
    folder = managed_folder_of(rel, markers)
    if folder is None:
        folder = b"" if from_above else None
    if folder is None or any(named in allowed for named in _on_the_way(folder, rel)):
        return None
    return folder


def _on_the_way(managed: bytes, rel: bytes) -> list[bytes]:
    return ancestors(rel.rpartition(b"/")[0])[len(ancestors(managed)) - 1 :]
