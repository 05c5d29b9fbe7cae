"""Writes files so that a reader never sees half of one, and what was written survives a power cut.

What writes a whole file raises StorageError, in one line, when the disk is full, read-only or gone. The steps that it
is made of (`taking_place`, `put`, `sync`, `sync_folder`) raise OSError; output for the user (`tell`, `note`) and
`bound_log` raise neither.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, TextIO

from capsexp import escape
from capsexp.errors import ConfigError, StorageError

PART = ".part"  # ends the name of a file that is being written
LITTLE = 1 << 16  # bytes
HASH = 16  # characters of one that only tells contents apart
LARGEST = 1 << 28  # bytes of a JSON file: that of a day's requests has 1 << 24


def from_here(path: Path) -> str:
    """As short as it can be typed from the working folder."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):  # elsewhere, or the working folder is gone
        return str(path)


@contextlib.contextmanager
def storing(path: Path | str) -> Iterator[None]:
    """OSError -> StorageError, naming the file: the one that the error names, or else this one."""
    try:
        yield
    except OSError as error:
        raise StorageError(unwritten(error, path)) from None


def unwritten(error: OSError, path: Path | str) -> str:
    """What could not be written and why, in one line."""
    named = error.filename if isinstance(error.filename, (str, bytes, os.PathLike)) else path
    name = Path(os.fsdecode(named)).name
    if name.endswith(PART):
        name = Path(path).name
    return f"cannot write {name}: {error.strerror or error}"


def remedy(said: str) -> str:
    """What helps against what StorageError said, if it is known."""
    for numbers, helps in _REMEDIES.items():
        if any(os.strerror(number) in said for number in numbers):
            return helps
    return ""


_REMEDIES = {
    (errno.ENOSPC, errno.EDQUOT): "make room",
    (errno.EFBIG,): "raise the limit of file sizes (ulimit -f)",
    (errno.ENAMETOOLONG,): "shorten that name",
    (errno.EACCES, errno.EPERM, errno.EROFS): "make it writable",
    (errno.EMFILE, errno.ENFILE): "raise the limit of open files (ulimit -n)",
    (errno.EIO,): "check the disk",
    (errno.EAGAIN,): "raise the limit of processes (ulimit -u) or end some",
    (errno.ENOMEM,): "free memory",
}


def beside(path: Path) -> Path:
    """Where a file is written before it takes its place: a name that is short enough, however long the file's is."""
    return path.with_name(f"{_part_of(path)}{os.getpid()}{PART}")


def _part_of(path: Path) -> str:
    return f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}."


@contextlib.contextmanager
def taking_place(path: Path) -> Iterator[Path]:
    """Gives where a file is to be written, which takes its place in the end; after an error nothing of it is left.
    Raises OSError."""
    part = beside(path)
    try:
        yield part
        put(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Replace the whole file at once: after a crash it is the old or the new one."""
    with storing(path.name):
        try:
            # Half a pair of surrogates is no character; in JSON this is how it is spelled.
            with taking_place(path) as part, part.open("w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
                sync(file)
        except OSError as error:
            raise OSError(error.errno, error.strerror) from None  # the file's own name is what the user knows


def put(part: Path, path: Path) -> None:
    """Let a file that was written and synced take its place; raises OSError."""
    part.replace(path)
    sync_folder(path.parent)


def sha256(path: Path) -> str:
    """Of what a file holds; raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where the platform can; raises OSError."""
    if sys.platform == "win32":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_tree(folder: Path) -> None:
    """Make durable what others wrote below a folder."""
    with storing(folder.name):
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
            elif path.is_dir():
                sync_folder(path)
        sync_folder(folder)


def bound_log(path: Path, most: int) -> None:
    """Move what a log holds to `<log>.1`, in place of what was there, once it is larger than `most` bytes. Its writers
    append, and go on at the beginning."""
    with contextlib.suppress(OSError):  # a log is worth no run
        if path.stat().st_size > most:
            with path.open("rb") as log:
                log.seek(-most, os.SEEK_END)  # the end of it: it may have grown by much since it was looked at
                path.with_name(path.name + ".1").write_bytes(log.read(most))
            os.truncate(path, 0)


# Devices on Windows, with any suffix and in any folder.
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3]) *(?:\..*)?", re.IGNORECASE
)


def portable(name: str) -> bool:
    """Whether every system can keep a file under this relative path, with `/` between its parts."""
    parts = name.split("/")
    return (
        not set(parts) & {"", ".", ".."}
        and not set(name) & set('\\:*?"<>|')
        and escape.one_line(name) == name
        and all(len(os.fsencode(part)) <= 255 and part[-1] not in ". " for part in parts)
        and not any(_DEVICE.fullmatch(part) for part in parts)
    )


def try_room(folder: Path) -> None:
    """Raises StorageError where a little more cannot be written into a folder."""
    with storing(folder), tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(LITTLE))
        sync(file)


def working_folder() -> None:
    """Raises ConfigError where the folder that we are in was removed: no path can be made out there."""
    try:
        os.getcwd()
    except OSError as error:
        raise ConfigError(f"the working folder: {error.strerror}; go to another with cd") from None


def clear_parts(folder: Path, *others: Path) -> None:
    """Remove what writers that were killed left half done in a folder, and of other files."""
    parts = [part for path in others for part in path.parent.glob(f"{_part_of(path)}*{PART}")]
    for path in [*folder.rglob(f".*{PART}"), *parts]:
        with contextlib.suppress(OSError):
            path.unlink()


def tell(text: str, out: TextIO | None = None) -> None:
    """Lines for whoever looks (stdout by default), without what would act on a terminal or cannot be shown there: a
    full disk below the log must not end a server."""
    out = out or sys.stdout
    with contextlib.suppress(OSError):
        print(escape.encodable(escape.lines(text), out), file=out, flush=True)


def tell_line(line: str, out: TextIO | None = None) -> None:
    """The same of a sentence, which a terminal that is narrower shows broken between words."""
    out = out or sys.stdout
    if out is not None and out.isatty():
        width = shutil.get_terminal_size().columns
        line = "\n".join(folded(one, width) for one in line.splitlines())
    tell(line, out)


def note(line: str) -> None:
    """A line on stderr: how things go, and errors."""
    tell_line(line, sys.stderr)


def folded(line: str, width: int) -> str:
    """A line within `width` characters, broken between words; commands are left whole, as they are copied."""
    if "python -m " in line:
        return line
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def sync(file: IO[Any]) -> None:
    """Make durable what was written so far; raises OSError."""
    file.flush()
    os.fsync(file.fileno())


def write_json(path: Path, value: Any) -> None:
    """As write_text; NaN is an error, as no other program could read it."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_whole(path: Path) -> bytes:
    """What a file of a sweep holds, which may be anybody's: raises OSError, or ValueError for what would never end or
    fill the memory."""
    if path.exists() and not path.is_file():  # reading a FIFO or a device may never end
        raise ValueError(f"{path.name} is no regular file")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path.name} is larger than {LARGEST >> 20} MB")
    return path.read_bytes()


def read_json(path: Path) -> Any:
    """Raises OSError, or ValueError for what is no JSON, however odd."""
    try:
        return json.loads(read_whole(path).decode("utf-8"))
    except RecursionError:
        raise ValueError(f"{path.name} is nested too deeply") from None
