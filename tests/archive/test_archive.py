"""Archives that are not as they were written, or were never ours."""

import runpy
import shutil
import stat
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from capsexp import archive
from capsexp.cli import main
from capsexp.errors import ArchiveError
from capsexp.files import write_json
from capsexp.replay import line
from tests.support.reports import a_sweep


def pack(path: Path, *members: str | zipfile.ZipInfo) -> Path:
    with zipfile.ZipFile(path, "w") as out:
        for member in members:
            out.writestr(member, "x")
    return path


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "a\\x", "C:/x"])
def test_names_that_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchiveError, match="unsafe name"), archive.unpacked(pack(tmp_path / "a.zip", name)):
        pass


def test_links(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("a/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(ArchiveError, match="a link"), archive.unpacked(pack(tmp_path / "a.zip", link)):
        pass


def test_what_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("no zip")
    for path, said in (
        (tmp_path / "a.zip", "not a readable zip"),
        (tmp_path / "b.zip", "no such archive"),
        (tmp_path, "no MANIFEST"),
    ):
        with pytest.raises(ArchiveError, match=said):
            archive.verify(path)
    with pytest.raises(ArchiveError, match="2 top-level folders"):
        archive.verify(pack(tmp_path / "c.zip", "a/x", "b/x"))


def test_a_changed_zip_is_noticed_even_when_its_manifest_agrees(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    folder.mkdir()
    write_json(folder / "report.json", {})
    first = archive.build(folder)
    assert archive.verify(first) == []
    said = first.with_name(first.name + ".sha256").read_text()
    write_json(folder / "report.json", {"verdict": "FEASIBLE"})
    archive.build(folder)
    first.with_name(first.name + ".sha256").write_text(said)
    assert archive.verify(first) == ["changed: sweep.zip (its hash is not the one in its .sha256)"]


def test_a_replay_is_the_archived_command_with_its_own_tree(tmp_path: Path) -> None:
    (tmp_path / "samples" / "dir").mkdir(parents=True)
    argv = ("workers=1,2", "-m", "samples=dir", "samples.dir=/gone", "--config-dir", "/own", "-cn", "mine")
    sweep = msgspec.structs.replace(a_sweep([]).sweep, argv=argv)
    assert line(sweep, tmp_path, ["workers=3", "hydra.sweep.dir=x"]) == [
        "samples=dir", f"samples.dir='{tmp_path}/samples/dir'", "workers=3", "-m",
        "--config-dir", f"{tmp_path}/conf", "--config-name", "mine",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["archive", "client", "compare", "monitor", "replay", "report", "server", "twin"])
def test_every_tool_says_what_it_takes(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [name, "x", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"capsexp.{name}", run_name="__main__")
    said = capsys.readouterr()
    assert (ended.value.code, said.err) == (0, "")
    assert f"python -m capsexp.{name} " in said.out


def test_nothing_to_report_on_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from capsexp.report.__main__ import main as report
    from capsexp.tool import entry

    sys_argv, sys.argv = sys.argv, ["report", str(tmp_path)]
    try:
        assert entry(report, "capsexp.report") == 1
    finally:
        sys.argv = sys_argv
    assert "not the folder of a sweep" in capsys.readouterr().err
    assert main(["--nonsense"]) == 2


@pytest.fixture(scope="module")
def archived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with its zip, in shape like a sweep's."""
    folder = tmp_path_factory.mktemp("flips") / "sweep"
    (folder / "0-workers=1" / "transcripts").mkdir(parents=True)
    for name, content in (
        ("report.json", '{"verdict": "FEASIBLE"}'),
        ("0-workers=1/requests.csv", "request\n0\n"), ("0-workers=1/server.log", ""),
        ("0-workers=1/transcripts/你好.wav.txt", "你好"), ("environment.json", "x" * 300),
    ):  # fmt: skip
        (folder / name).write_text(content, "utf-8")
    archive.build(folder)
    return folder


def noticed(path: Path) -> bool:
    try:
        return bool(archive.verify(path))
    except ArchiveError:
        return True


def flips(path: Path, every: int) -> Iterator[int]:
    """Every so many bytes of a file, one bit of each in turn is flipped."""
    whole = path.read_bytes()
    for at in range(0, len(whole), every):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        yield at
    path.write_bytes(whole)


def test_every_flipped_byte_of_a_zip_is_found(archived: Path) -> None:
    zipped = archived.with_name("sweep.zip")
    said = zipped.with_name("sweep.zip.sha256")
    kept = said.read_bytes()
    assert archive.verify(zipped) == []
    assert [at for at in flips(said, 1) if not noticed(zipped)] == []
    said.unlink()  # and without the hash beside it: headers and directory too, which no hash inside covers
    assert archive.verify(zipped) == []
    assert [at for at in flips(zipped, 3) if not noticed(zipped)] == []
    said.write_bytes(kept)


def test_every_flipped_byte_of_a_folder_is_found(archived: Path) -> None:
    for path in [p for p in archived.rglob("*") if p.is_file()]:
        assert [at for at in flips(path, 3) if not noticed(archived)] == [], path
    assert archive.verify(archived) == []


def test_bytes_before_between_and_after_are_found(archived: Path, tmp_path: Path) -> None:
    whole = archived.with_name("sweep.zip").read_bytes()
    for changed in (
        b"#!/bin/sh\n" + whole,
        whole + b"x",
        whole[:-1],
        whole[:100] + b"\0" + whole[100:],
        b"",
        whole * 2,
    ):
        (tmp_path / "sweep.zip").write_bytes(changed)
        assert noticed(tmp_path / "sweep.zip")


def test_a_link_in_a_folder(archived: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(archived, tmp_path / "sweep"))
    (folder / "environment.json").unlink()
    (folder / "environment.json").symlink_to(archived / "environment.json")
    assert archive.verify(folder) == ["a link: environment.json"]


def crafted(path: Path, how: str) -> Path:
    """Zips of the kinds that have been used against those who unpack them."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if how == "bomb" else zipfile.ZIP_STORED) as out:
        if how == "bomb":
            out.writestr("a/x", b"\0" * 10**8)
        elif how == "twice":
            out.writestr("a/x", "x")
            with pytest.warns(UserWarning, match="Duplicate"):
                out.writestr("a/x", "y")
        elif how == "case":
            out.writestr("a/x", "x")
            out.writestr("a/X", "y")
        elif how == "device":
            info = zipfile.ZipInfo("a/fifo")
            info.external_attr = (stat.S_IFIFO | 0o644) << 16
            out.writestr(info, "")
        elif how == "folder":
            out.writestr("a/b/", "")
        elif how == "file":
            out.writestr("a", "x")
        elif how == "long":
            out.writestr("a/" + "x" * 300, "x")
        elif how == "reference":
            out.writestr("a/\x1b[2J", "x")
        else:
            out.writestr("a/x", "x" * 1000)
            if how == "overlap":
                out.filelist += [out.filelist[0]] * 50  # 50 names for the same bytes
    if how in ("encrypted", "liar"):
        content = bytearray(path.read_bytes())
        entry = content.rfind(b"PK\x01\x02")
        if how == "encrypted":
            content[6] |= 1
            content[entry + 8] |= 1
        else:
            content[entry + 24 : entry + 28] = (2**31).to_bytes(4, "little")  # says that it unpacks to 2 GB
        path.write_bytes(bytes(content))
    return path


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("bomb", "compressed"), ("twice", "two files of the same name"), ("case", "two files of the same name"),
        ("device", "no regular file"),
        ("folder", "unsafe name"), ("file", "unsafe name"), ("long", "unsafe name"), ("reference", "unsafe name"),
        ("overlap", "two files of the same name"), ("encrypted", "encrypted"), ("liar", "more than its size"),
    ],
)  # fmt: skip
def test_crafted_zips_are_refused_before_anything_is_unpacked(
    tmp_path: Path, how: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = crafted(tmp_path / "a.zip", how)
    monkeypatch.setattr(zipfile.ZipFile, "extract", lambda *given: pytest.fail("unpacked"))
    with pytest.raises(ArchiveError, match=says), archive.unpacked(path):
        pass
