"""Folders and archives that were cut short, edited or made by somebody else: one line each, and nothing acted upon."""

import io
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capsexp import archive, cli, compare, replay
from capsexp.archive import __main__ as verifying
from capsexp.errors import ArchiveError, CapsexpError
from capsexp.report import __main__ as report
from capsexp.results.read import read_sweep
from capsexp.tool import entry
from tests.support.bench import Bench


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep as one has been made: two runs, a reference, a report."""
    import soundfile

    from tests.support import noise

    place = tmp_path_factory.mktemp("damaged")
    (place / "audio").mkdir()
    for number in range(2):
        soundfile.write(place / "audio" / f"n{number}.wav", noise(2, number), 16_000, subtype="FLOAT")
    bench = Bench(place, place / "audio")
    assert bench.run("workers=1,2", "trials_max=1", "-m") == 0, bench.stderr
    return bench.out


@pytest.fixture
def sweep(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "sweep"))


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def tools(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What each tool says of a folder: never a traceback, never more than its lines."""
    said = {}
    for name, main, argv in (
        ("report", report.main, [str(folder)]),
        ("compare", compare.main, [str(folder), str(folder)]),
        ("replay", replay.main, [str(folder)]),
        ("verify", verifying.main, ["verify", str(folder)]),
    ):
        before, sys.argv = sys.argv, [name, *argv]
        try:
            code = entry(main, name)
        finally:
            sys.argv = before
        out, error = capsys.readouterr()
        assert "Traceback" not in out + error
        assert error.count("\n") <= 1, error
        assert code in (0, 1, 2)
        said[name] = out + error
    return said


def deep() -> str:
    return "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("sweep.json", "{}"), ("sweep.json", "[]"), ("sweep.json", "7"), ("sweep.json", ""), ("sweep.json", deep()),
        ("sweep.json", '{"planned": 7}'), ("report.json", "[]"), ("report.json", deep()), ("MANIFEST.json", deep()),
        ("MANIFEST.json", '{"files": 7}'), ("environment.json", "7"), ("environment.json", deep()),
        ("0-workers=1/run.json", deep()), ("0-workers=1/run.json", "7"), ("0-workers=1/run.json", "{}"),
        ("0-workers=1/requests.csv", "request,sample\n0,\0\n"), ("0-workers=1/monitor.csv", "\xff"),
        ("0-workers=1/transcripts/n0.wav.json", "7"), ("0-workers=1/transcripts/n0.wav.json", deep()),
    ],
)  # fmt: skip
def test_a_file_that_is_something_else(
    sweep: Path, name: str, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (sweep / name).write_bytes(content.encode("latin-1"))
    tools(sweep, capsys)
    if name == "sweep.json":
        assert cli.main([f"resume={sweep}"]) == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("sweep.json", lambda s: {**s, "argv": 7}), ("sweep.json", lambda s: {**s, "argv": [7]}),
        ("sweep.json", lambda s: {**s, "thresholds": {"speedup": "fast"}}),
        ("sweep.json", lambda s: {**s, "planned": [*s["planned"], s["planned"][0]]}),
        ("sweep.json", lambda s: {**s, "name": "\udc80\x1b[2J"}),
        ("0-workers=1/run.json", lambda r: {**r, "schema": 99}),
        ("0-workers=1/run.json", lambda r: {**r, "schema": []}),
        ("0-workers=1/client.json", lambda c: {**c, "cpu_s": "long"}), ("0-workers=1/client.json", lambda c: []),
        ("0-workers=1/run.json", lambda r: {**r, "config": {}}),
        ("0-workers=1/run.json", lambda r: {**r, "warnings": [7, "\udc80", "\x1b[2J\rverified"]}),
        ("0-workers=1/run.json", lambda r: {**r, "key": "\x1b[2J"}),
        ("0-workers=1/run.json", lambda r: {**r, "reference": "../../x"}),
        ("0-workers=1/run.json", lambda r: {**r, "samples": [7]}),
    ],
)  # fmt: skip
def test_a_value_that_is_something_else(
    sweep: Path, name: str, change: Callable[[Any], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    edit(sweep / name, change)
    for said in tools(sweep, capsys).values():
        assert "\x1b" not in said
        assert "\r" not in said
    archive.build(sweep)  # and a manifest that agrees with it
    for said in tools(sweep, capsys).values():
        assert "\x1b" not in said
        assert "\r" not in said


def test_tables_that_are_cut_short_are_said_to_be(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in sweep.glob("*/*.csv"):
        path.write_bytes(path.read_bytes()[:-37])
    archive.build(sweep)
    said = tools(sweep, capsys)["report"]
    assert "requests.csv has" in said
    assert "DAMAGED" in said
    assert "not completed" not in said
    assert "FEASIBLE" not in said.replace("NOT FEASIBLE", "").split("Verdict:")[0]
    assert {(one.why or "").split(":")[0] for one in read_sweep(sweep).missing} == {"damaged or edited"}
    for path in sweep.glob("*/run.json"):  # of a version that kept no sizes
        edit(path, lambda run: {key: value for key, value in run.items() if key != "tables"})
    assert "ends in the middle of a row" in tools(sweep, capsys)["report"]


def test_one_damaged_run_costs_that_run(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sweep / "1-workers=2" / "run.json").write_text("{")
    said = tools(sweep, capsys)["report"]
    assert "workers=2, run 1: damaged or edited" in said
    [ok] = [c for c in json.loads((sweep / "report.json").read_text())["configurations"] if c["status"] == "ok"]
    assert ok["key"] == "workers=1"


def test_what_is_neither_folder_nor_file(tmp_path: Path) -> None:
    places = [Path("/dev/zero"), tmp_path / "fifo"] if hasattr(os, "mkfifo") else []
    for place in places:
        if place.name == "fifo":
            os.mkfifo(place)
        with pytest.raises(CapsexpError, match="neither a folder nor a file"):
            archive.verify(place)


def test_a_name_that_would_act_on_the_terminal(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sweep / "0-workers=1" / 'x\x1b[2J\n{"verified": "sweep"}').write_text("")
    said = tools(sweep, capsys)["verify"]
    assert said == 'extra: 0-workers=1/x\\x1b[2J\\n{"verified": "sweep"}\n'


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.sampled_from(["", "x", "\udc80", "../x", "\x1b"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "files", "\x1b"]), inner),
    max_leaves=4,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(st.data())
def test_any_edit_of_a_file_is_one_line(
    finished: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Somewhere in some JSON of a sweep stands something else, or nothing."""
    folder = Path(shutil.copytree(finished, tmp_path_factory.mktemp("edited") / "sweep"))
    path = data.draw(st.sampled_from(sorted(folder.glob("*.json")) + sorted(folder.glob("*/run.json"))))
    tree = json.loads(path.read_text())
    spot, parent, key = tree, None, None
    while isinstance(spot, (dict, list)) and spot and (parent is None or data.draw(st.integers(0, 3))):
        parent = spot
        key = data.draw(st.sampled_from(sorted(spot) if isinstance(spot, dict) else list(range(len(spot)))))
        spot = parent[key]  # type: ignore[index]
    assert parent is not None
    if data.draw(st.booleans()):
        parent[key] = data.draw(JSON)  # type: ignore[index]
    else:
        del parent[key]  # type: ignore[arg-type]
    path.write_text(json.dumps(tree))
    for main, argv in ((report.main, [str(folder)]), (compare.main, [str(folder), str(finished)])):
        try:
            main(argv)
        except CapsexpError as error:
            assert "\n" not in str(error) or "\x1b" not in str(error)  # noqa: PT017


def packed(folder: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(archive.build(folder).read_bytes()))


NAMES = st.lists(
    st.text(st.sampled_from("aAbBéÉ你.-_ ~:\\*\x1b\u202e\udc80'\"|?"), min_size=1, max_size=8).filter(
        lambda name: name not in (".", "..")
    )
    | st.sampled_from(["语" * 79 + ".wav", "x" * 241 + ".wav", "语" * 79 + ".WAV"]),
    min_size=1,
    max_size=6,
    unique=True,
)


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(NAMES, st.sampled_from(["sweep", "run 2026:11:26", "o'brien", "语" * 70, "${x}"]))
def test_an_archive_that_we_write_verifies_whatever_its_names(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], name: str
) -> None:
    folder = tmp_path_factory.mktemp("names") / name
    (folder / "0-workers=1" / "transcripts").mkdir(parents=True)
    (folder / "samples" / "dir").mkdir(parents=True)
    (folder / "sweep.json").write_text("{}")
    for number, one in enumerate(names):
        (folder / "samples" / "dir" / one).write_text(str(number))
        (folder / "0-workers=1" / "transcripts" / f"{number}.json").write_text("{}")
    zipped = archive.build(folder)
    assert archive.verify(folder) == []
    assert archive.verify(zipped) == []
    with archive.unpacked(zipped) as root:
        assert sorted(p.read_text() for p in (root / "samples" / "dir").iterdir()) == [
            str(n) for n in range(len(names))
        ]
    members = zipfile.ZipFile(zipped).namelist()
    assert len({member.casefold() for member in members}) == len(members)  # also where case does not count
    assert all(len(part.encode()) <= 255 for member in members for part in member.split("/"))


def test_what_others_left_in_the_folder_is_not_archived(sweep: Path, tmp_path: Path) -> None:
    (sweep / ".submitit" / "7").mkdir(parents=True)
    (sweep / ".submitit" / "7" / "7_submitted.pkl").write_text("server.token=geheim")
    (sweep / "0-workers=1" / ".secret").write_text("geheim")
    (sweep / "notes.txt").write_text("geheim")
    (tmp_path / "outside").write_text("geheim")
    (sweep / "link").symlink_to(tmp_path / "outside")
    names = packed(sweep).namelist()
    assert not [name for name in names if "submitit" in name or "secret" in name or "notes" in name or "link" in name]
    assert all(said.startswith(("extra: ", "a link: ")) for said in archive.verify(sweep))  # named, and none of it ours
    assert archive.verify(sweep.with_name("sweep.zip")) == []
    (sweep / "0-workers=1" / "link.csv").symlink_to(tmp_path / "outside")
    with pytest.raises(CapsexpError, match=r"link\.csv.* is a link"):
        archive.build(sweep)


def test_an_archive_without_texts_and_names(bench: Bench, audio_dir: Path) -> None:
    spoken = "a sentence that nobody else is to read ever again"
    for path in sorted(audio_dir.glob("*.wav")):
        path.rename(path.with_name(f"confidential-{path.name}"))
        path.with_name(f"confidential-{path.stem}.txt").write_text(spoken)
    assert bench.run("archive.transcripts=false", "workers=1,2", "trials_max=1", "-m") == 0, bench.stderr
    assert "it holds hashes in place of the texts of 4 samples and of their names, and no audio" in bench.stderr
    heard = json.loads(next(bench.out.glob("0-*/transcripts/*.json")).read_text())["results"][0]["text"]
    zipped = bench.out.with_name("out.zip")
    assert archive.verify(zipped) == []
    content = zipped.read_bytes()
    for secret in (spoken, spoken[:20], "confidential", heard, heard[:26], str(audio_dir)):
        assert secret.encode() not in content, secret
    with archive.unpacked(zipped) as root:
        kept = json.loads((root / "report.json").read_text())
        full = bench.report()
        for one, other in zip(kept["configurations"], full["configurations"], strict=True):
            assert one["requests"]["identical"] == other["requests"]["identical"] == 4
            assert one["metrics"]["correctness"]["value"] == other["metrics"]["correctness"]["value"] == 1
        again = read_sweep(root)
        assert not again.missing
        assert report.main([str(root)]) == 0
        now = json.loads((root / "report.json").read_text())["configurations"]
        assert [c["requests"]["identical"] for c in now] == [4, 4]
    assert "confidential" in "".join(path.name for path in bench.out.glob("0-*/transcripts/*"))  # here all stays


def test_what_an_archive_holds_is_said(bench: Bench) -> None:
    assert bench.run("workers=1") == 0, bench.stderr
    assert "it holds the texts that were recognized in 4 samples, under their names, and no audio" in bench.stderr
    assert "archive.transcripts=false" in bench.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="has no FIFO in a folder")
@pytest.mark.parametrize("kind", ["fifo", "device", "enormous"])
@pytest.mark.parametrize("name", [archive.MANIFEST, "sweep.json", "environment.json", "conf/config.yaml"])
def test_what_would_never_end_or_fill_the_memory_is_not_read(
    sweep: Path, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sweep / name).unlink(missing_ok=True)
    (sweep / name).parent.mkdir(exist_ok=True)
    if kind == "fifo":
        os.mkfifo(sweep / name)
    elif kind == "device":
        (sweep / name).symlink_to("/dev/zero")
    else:
        monkeypatch.setattr("capsexp.files.LARGEST", 1_000_000)
        (sweep / name).write_bytes(b" " * 1_000_001)
    problems = []
    for look in (archive.verify, lambda folder: read_sweep(folder).notes):
        try:
            problems += look(sweep)
        except ArchiveError as error:
            problems.append(str(error))
    assert any(Path(name).name in problem for problem in problems), problems
