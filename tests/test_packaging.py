"""What is shipped works where it is installed, and no preset rots."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

import capsexp
from capsexp.config import conf_dir
from capsexp.experiment.sweep import plan

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_a_wheel_carries_its_settings_and_samples(tmp_path: Path) -> None:
    left = shutil.ignore_patterns(".*", "outputs", "training", "tests", "__pycache__")
    source = Path(shutil.copytree(ROOT, tmp_path / "source", ignore=left))
    (source / "conf" / "local.yaml").write_text("server: {token: geheim}\n")  # its user's own
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(tmp_path), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = next(tmp_path.glob("capsexp-*.whl"))
    assert built.stat().st_size < 20e6
    with zipfile.ZipFile(built) as wheel:
        names = set(wheel.namelist())
        assert {f"capsexp/data/paraformer-mini/{n}" for n in ("model.onnx", "am.mvn", "config.yaml", "tokens.json",
                                                              "tokens.txt")} <= names  # fmt: skip
        assert "capsexp/data/samples/zh/10-long.mp3" in names
        assert not any(name.startswith("training") for name in names)
        assert {"capsexp/conf/config.yaml", "capsexp/conf/load/all.yaml"} <= names
        assert not any(name.endswith("local.yaml") and name.count("/") == 2 for name in names)
        wheel.extractall(tmp_path / "site")
        assert "capsexp=capsexp.__main__:main" in wheel.read(
            next(n for n in wheel.namelist() if n.endswith("entry_points.txt"))
        ).decode().replace(" ", "")
    # Isolated from the checkout: another folder, and the unpacked wheel first on the path.
    done = subprocess.run(
        [sys.executable, "-m", "capsexp", "experiment=quick", "engine=null", "load.repeats=1",
         f"hydra.sweep.dir={tmp_path}/out"],
        capture_output=True, text=True, cwd=tmp_path, check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 samples" in done.stdout
    assert (tmp_path / "out" / "samples" / "quick").is_dir()


@pytest.mark.parametrize("preset", sorted(p.stem for p in (conf_dir() / "experiment").glob("*.yaml")))
def test_every_preset_can_be_planned(preset: str) -> None:
    sweep = plan([f"experiment={preset}"], None, "config")
    assert sweep.config.name == preset
    assert sweep.planned


@pytest.mark.parametrize("group", sorted(p.name for p in conf_dir().iterdir() if p.is_dir() and p.name != "experiment"))
def test_every_choice_of_every_group_can_be_composed(group: str) -> None:
    twin = ["engine.twin=tiny"]
    more = {
        "server=command": ["server.cmd=x {port}"], "server=external": ["server.url=ws://x"],
        "pool=thread": ["engine=null"],
        "engine=sherpa": twin, "engine=paraformer": twin, "engine=sensevoice": ["engine.twin=sensevoice-tiny"],
        "punctuation=ct_transformer": ["punctuation.model_dir=x"], "load=schedule": ["load.csv=day.csv"],
        "fault=freeze_node": ["pool=ray"], "fault=kill_node": ["pool=ray"],
        "search=capacity": ["load=dictation", "slo=dictation"],
    }  # fmt: skip
    clusters = () if find_spec("ray") else ("pool=ray", "fault=freeze_node", "fault=kill_node")
    for path in (conf_dir() / group).glob("*.yaml"):
        chosen, given = f"{group}={path.stem}", []
        if chosen in clusters:
            continue  # needs the package ray, which CI has
        if group == "target" and "capswriter" not in path.stem:  # which our own server does not speak
            http = {"openai", "faster_whisper", "whisper_cpp"}
            url = "http://x" if path.stem in http else "tcp://x:1" if path.stem == "wyoming" else "ws://x"
            given = ["server=external", f"server.url={url}", *(["target.model=x"] if path.stem in http else [])]
        if group == "server" and "{model}" in path.read_text(encoding="utf-8"):
            given = ["server.model=x"]
        assert len(plan([chosen, "trials=1", *more.get(chosen, given)], None, "config").planned) == 1


def test_what_is_given_wins_over_a_preset() -> None:
    sweep = plan(["experiment=compare", "workers=1,2,4", "trials=2"], None, "config")
    assert [(p.config.trial, p.config.workers) for p in sweep.planned] == [
        (trial, workers) for trial in (1, 2) for workers in (1, 2, 4)
    ]
    assert sweep.worker_counts == [1, 2, 4]


def test_the_version_is_the_same_wherever_it_is_written() -> None:
    said = {
        "pyproject.toml": r'^version = "(.+)"$',
        "CITATION.cff": r"^version: (.+)$",
        "CHANGELOG.md": r"^## ([\d.]+) - \d{4}-\d\d-\d\d$",
    }
    found = {name: re.findall(line, (ROOT / name).read_text("utf-8"), re.MULTILINE)[0] for name, line in said.items()}
    assert found == dict.fromkeys(said, capsexp.__version__)
