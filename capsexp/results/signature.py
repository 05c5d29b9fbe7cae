"""The mark by which a sweep's folder is known as one that this user made, or trusted, where it lies now: a keyed hash
over all that going on with it composes and runs. The key is the user's own and lies in no sweep's folder."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import platformdirs

from capsexp.errors import CapsexpError
from capsexp.files import sha256, sync

NAME = "mark"  # in sweep.json
BYTES = 32  # of a key
Json: TypeAlias = Mapping[str, Any]  # sweep.json as it stands there, with what other versions put into it


class NoKey(CapsexpError):
    """This user has no key, and none can be made."""


def signed(folder: Path, sweep: Json) -> Json:
    """What sweep.json is to hold, with the mark of this user; without one where there is no key, or where conf/ holds
    what is no file."""
    plain = _unsigned(sweep)
    try:
        return {**plain, NAME: _mark(folder, plain, _key(make=True))}
    except (NoKey, OSError):
        return plain


def ours(folder: Path, sweep: Json) -> bool:
    """Whether this user made it here, or trusted it, and nothing of what is run was changed since."""
    told = sweep.get(NAME)
    if not isinstance(told, str):
        return False
    try:
        return hmac.compare_digest(told.encode(), _mark(folder, _unsigned(sweep), _key(make=False)).encode())
    except (NoKey, OSError, ValueError):  # also half a pair of surrogates
        return False


def lacking() -> str:
    """Why nothing can be marked, in one line; nothing where it can."""
    try:
        _key(make=True)
    except NoKey as error:
        return str(error)
    return ""


def _unsigned(sweep: Json) -> Json:
    return {key: value for key, value in sweep.items() if key != NAME}


def _mark(folder: Path, sweep: Json, key: bytes) -> str:
    """Of sweep.json, of each file below conf/, and of the place: a word of a command may be a path from there. Raises
    OSError for what cannot be read or is no file."""
    conf = folder / "conf"
    files = {}
    for path in (conf, *sorted(conf.rglob("*"))):
        kind = path.lstat().st_mode
        if stat.S_ISREG(kind):
            files[path.relative_to(conf).as_posix()] = sha256(path)
        elif not stat.S_ISDIR(kind):  # a link may lead elsewhere tomorrow
            raise OSError(f"{path} is no file")
    said = {"place": str(folder.resolve()), "sweep": sweep, "conf": files}
    return hmac.new(key, json.dumps(said, sort_keys=True).encode(), hashlib.sha256).hexdigest()


def key_file() -> Path:
    """Where this user's key is, or would be. Raises NoKey where there is no such place."""
    folder = platformdirs.user_config_path("capsexp", appauthor=False)
    if not folder.is_absolute():  # without HOME, and unknown to the system
        raise NoKey("there is no home folder for the key that marks a sweep as yours; set HOME")
    home = Path.home()
    if folder.is_relative_to(home) and not home.is_dir():  # a home is not ours to make
        raise NoKey(f"the home folder {home} is not there, for the key that marks a sweep as yours; set HOME")
    return folder / "key"


def _key(make: bool) -> bytes:
    """The user's key, made where there is none and `make` says so. Raises NoKey."""
    path = key_file()
    try:
        if make and not path.exists():
            _make(path)
        with path.open("rb") as file:
            _private(path, os.fstat(file.fileno()))
            key = file.read(BYTES + 1)
    except OSError as error:
        raise NoKey(f"{path}, the key that marks a sweep as yours: {error.strerror or error}") from None
    if len(key) != BYTES:
        raise NoKey(f"{path} does not hold the key that marks a sweep as yours; remove it")
    return key


def _private(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise NoKey(f"{path} is not a regular file; remove it")
    if sys.platform != "win32" and (found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077):
        raise NoKey(f"{path} is open to other users, so it cannot mark a sweep as yours; remove it")


def _make(path: Path) -> None:
    """Whole or not at all, and of two who make it at once both have the first. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd, part = tempfile.mkstemp(dir=path.parent)  # for nobody else's eyes
    try:
        with open(fd, "wb") as file:
            file.write(secrets.token_bytes(BYTES))
            sync(file)
        try:
            os.link(part, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            os.replace(part, path)
    finally:
        with suppress(OSError):
            os.unlink(part)
