"""A sweep's archive: MANIFEST.json, a zip with the same bytes for the same content, and checking both."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from capsexp.archive.audio import bring
from capsexp.archive.contents import MANIFEST, OWN_FOLDERS, all_files, as_bytes, differences, manifest, own_files
from capsexp.archive.packing import members, pack
from capsexp.archive.unpacking import unpacked
from capsexp.config import SamplesConfig
from capsexp.counts import counted
from capsexp.errors import ArchiveError
from capsexp.files import beside, sha256, storing, sync, taking_place, write_text
from capsexp.redact import Redaction
from capsexp.results.sweep import read_plan

__all__ = [
    "MANIFEST", "OWN_FOLDERS", "again", "as_written", "beside_it", "build", "holds", "unpacked", "verified", "verify",
]  # fmt: skip


def beside_it(folder: Path) -> tuple[Path, Path]:
    """The zip of a sweep's folder and its hash."""
    target = folder.with_name(folder.name + ".zip")
    return target, target.with_name(target.name + ".sha256")


def build(folder: Path, sets: Sequence[SamplesConfig] = (), transcripts: bool = True) -> Path:
    """Write MANIFEST.json, `<folder>.zip` and `<folder>.zip.sha256`. `sets`: whose audio is packed as well. Without
    `transcripts` the zip holds hashes in place of texts and names of samples; the folder stays as it is. Raises
    StorageError, and ArchiveError where a link leads out of the folder."""
    target, said = beside_it(folder)
    with storing(target):
        bring(folder, sets)
        own = own_files(folder)
        write_text(folder / MANIFEST, manifest({name: sha256(path) for name, path in own}))
        root = members([folder.name])[0]
        with taking_place(target) as part:
            if transcripts:
                pack(own, root, part, sync)
            else:
                with tempfile.TemporaryDirectory(prefix="capsexp-") as scratch:
                    Redaction(folder).copy(own, Path(scratch))
                    pack(own_files(Path(scratch)), root, part, sync)
            said.unlink(missing_ok=True)  # of the zip before: killed here, none may contradict the new one
    write_text(said, _said(target))
    return target


def again(folder: Path) -> None:
    """Bring the manifest of a finished sweep, and its zip where it has one, up to its files, packed as before. The
    audio that it brings is in it: what else its files name on this machine may be somebody else's wish."""
    chosen = read_plan(folder).archive or {}
    if beside_it(folder)[0].is_file():
        build(folder, transcripts=chosen.get("transcripts") is not False)
    else:
        write_text(folder / MANIFEST, manifest({name: sha256(path) for name, path in own_files(folder)}))


def holds(zipped: Path, transcripts: bool = True) -> str:
    """What an archive of ours gives away, in one line, to be said when it is made."""
    with zipfile.ZipFile(zipped) as packed:
        names = [name.partition("/")[2] for name in packed.namelist()]
    texts = {name.rpartition("/")[2] for name in names if "/transcripts/" in name and name.endswith(".json")}
    sets = sorted({name.split("/")[1] for name in names if name.startswith("samples/")})
    audio = f", and the audio and transcripts of samples={', '.join(sets)}" if sets else ", and no audio"
    if transcripts:
        it = f"the texts that were recognized in {counted(len(texts), 'sample')}, under their names{audio}"
        return f"it holds {it}; archive.transcripts=false keeps hashes instead"
    return f"it holds hashes in place of the texts of {counted(len(texts), 'sample')} and of their names{audio}"


def _said(zipped: Path) -> str:
    return f"{sha256(zipped)}  {zipped.name}\n"


def verify(path: Path) -> list[str]:
    """Each changed, missing or extra file of a sweep's folder or zip; empty when every byte is as it was written.
    Raises ArchiveError when it is neither, or nothing that can be read safely."""
    if path.is_dir():
        return differences(path)
    said = path.with_name(path.name + ".sha256")
    with unpacked(path) as folder:
        problems = differences(folder)
        if not problems:
            # What no hash covers: headers, the directory, anything before, between and after.
            again = beside(folder)
            with storing(again):
                pack(all_files(folder), folder.name, again)
            if sha256(again) != sha256(path):
                problems.append(f"changed: {path.name} (the files in it are intact, but the zip itself was changed)")
    if said.is_file() and said.read_bytes() != as_bytes(_said(path)):
        problems.append(f"changed: {path.name} (its hash is not the one in its .sha256)")
    return problems


@contextmanager
def verified(path: Path) -> Iterator[Path]:
    """A sweep's folder as it was written, or that in its zip, unpacked for as long as the context lasts; raises
    ArchiveError, also where anything in it was changed."""
    if problems := verify(path):
        raise ArchiveError(f"{path.name} was changed: {problems[0]}; python -m capsexp.archive verify {path} lists all")
    with nullcontext(path) if path.is_dir() else unpacked(path) as folder:
        yield folder


@contextmanager
def as_written(*folders: Path) -> Iterator[None]:
    """Files that no run of ours has written so can hold anything: an error in reading them is one line, with what was
    changed in them, or what stood in the way. Raises ArchiveError."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        changed: list[str] = []
        for folder in folders:
            with suppress(ArchiveError):
                changed += [f"{folder}: {line}" for line in verify(folder)]
        why = changed[0] if changed else f"{folders[0]}: {type(error).__name__}: {error}"
        raise ArchiveError(f"no report can be made, because files of the sweep were changed: {why}") from error
