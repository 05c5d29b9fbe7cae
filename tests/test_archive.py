"""Archives that are not as they were written, or were never ours."""

import stat
import zipfile
from pathlib import Path

import pytest

from capsexp import archive
from capsexp.cli import main
from capsexp.errors import ArchiveError
from capsexp.files import write_json
from capsexp.replay import line


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
        (tmp_path / "a.zip", "no readable zip"),
        (tmp_path / "b.zip", "no such archive"),
        (tmp_path, "no MANIFEST"),
    ):
        with pytest.raises(ArchiveError, match=said):
            archive.verify(path)
    with pytest.raises(ArchiveError, match="2 folders"):
        archive.verify(pack(tmp_path / "c.zip", "a/x", "b/x"))


def test_a_changed_zip_is_noticed_even_when_its_manifest_agrees(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    folder.mkdir()
    write_json(folder / "report.json", {})
    first = archive.build(folder, False)
    assert archive.verify(first) == []
    said = first.with_name(first.name + ".sha256").read_text()
    write_json(folder / "report.json", {"verdict": "FEASIBLE"})
    archive.build(folder, False)
    first.with_name(first.name + ".sha256").write_text(said)
    assert archive.verify(first) == ["changed: sweep.zip (its .sha256 says otherwise)"]


def test_a_replay_is_the_archived_command_with_its_own_tree(tmp_path: Path) -> None:
    (tmp_path / "samples" / "dir").mkdir(parents=True)
    sweep = {"argv": ["workers=1,2", "-m", "samples=dir", "samples.dir=/gone", "--config-dir", "/own", "-cn", "mine"]}
    assert line(sweep, tmp_path, ["workers=3", "hydra.sweep.dir=x"]) == [
        "samples=dir", f"samples.dir='{tmp_path}/samples/dir'", "workers=3", "-m",
        "--config-dir", f"{tmp_path}/conf", "--config-name", "mine",
    ]  # fmt: skip


def test_nothing_to_report_on_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import sys

    from capsexp.report.__main__ import main as report
    from capsexp.tool import entry

    sys_argv, sys.argv = sys.argv, ["report", str(tmp_path)]
    try:
        assert entry(report, "capsexp.report") == 1
    finally:
        sys.argv = sys_argv
    assert "not the folder of a sweep" in capsys.readouterr().err
    assert main(["--nonsense"]) == 2
