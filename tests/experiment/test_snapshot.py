"""Where runs are made, and what of the user's own YAML goes into an archive that is meant to be shared."""

import shutil
from pathlib import Path

import pytest

from capsexp import compose, config, trust
from capsexp.cli import main
from capsexp.errors import ConfigError
from capsexp.experiment import snapshot as keeping
from capsexp.experiment.snapshot import keep, used
from capsexp.experiment.sweep import plan
from capsexp.questions import answer
from capsexp.trust import composing

NULL = ["engine=null", "trials=1"]


@pytest.mark.parametrize(
    "override",
    ["hydra/launcher=joblib", "hydra/launcher=submitit_slurm", "hydra/launcher=ray", "+hydra/launcher=rq",
     "hydra.launcher._target_=evil.Launcher", "hydra/sweeper=optuna", "hydra.sweeper._target_=evil.Sweeper"],
)  # fmt: skip
def test_runs_are_made_here(
    override: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*NULL, override, "workers=1,2", "-m"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "capsexp makes its runs itself, one at a time" in said
    assert not list(tmp_path.iterdir())


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of the user's that holds a tree, and more."""
    root = tmp_path / "own"
    for name, text in {
        "load/mine.yaml": "defaults: [base, _self_]\nrepeats: 2\n",
        "load/base.yaml": "defaults: [all, _self_]\nconcurrency: 3\n",
        "load/other.yaml": "password: geheim\n",
        "engine/null.yaml": "name: 'null'\nrtf: 0.5\n",
        "secrets/keys.yaml": "password: geheim\n",
        "home.yaml": "password: geheim\n",
        "server/local.yml": "password: geheim\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_of_the_users_own_tree_what_was_used_is_kept(own: Path, tmp_path: Path) -> None:
    sweep = plan([*NULL, "load=all,mine"], own, "config")
    names = used(sweep, own, "config")
    assert [name.as_posix() for name in names] == ["engine/null.yaml", "load/base.yaml", "load/mine.yaml"]
    keep(tmp_path / "sweep", own, names)
    kept = tmp_path / "sweep" / "conf"
    assert "geheim" not in "".join(path.read_text() for path in kept.rglob("*") if path.is_file())
    again = plan([*NULL, "load=all,mine"], kept, "config")  # an archive can be run again
    assert [run.config for run in again.planned] == [run.config for run in sweep.planned]


def test_no_token_goes_into_an_archive(own: Path) -> None:
    (own / "server").mkdir(exist_ok=True)
    (own / "server" / "mine.yaml").write_text("defaults: [local, _self_]\ntoken: geheim\n")
    sweep = plan([*NULL, "server=mine"], own, "config")
    with pytest.raises(ConfigError, match=r"server\.token: stands in server/mine\.yaml"):
        used(sweep, own, "config")


def test_a_name_that_another_system_cannot_unpack_is_said_before(own: Path) -> None:
    (own / "load" / "a:b.yaml").write_text("defaults: [all, _self_]\n")
    (own / "load" / "mine.yaml").write_text("defaults: ['a:b', _self_]\n")
    try:
        sweep = plan([*NULL, "load=mine"], own, "config")
    except ConfigError:
        return  # Hydra itself cannot
    with pytest.raises(ConfigError, match="a file name that some systems cannot unpack"):
        used(sweep, own, "config")


LINES = ("  - optional .@_global_: local", "  - experiment: null")


def older(root: Path) -> Path:
    """The tree of an archive of before: its defaults have neither a preset nor a place for settings of one's own."""
    lines = (config.conf_dir() / "config.yaml").read_text().splitlines()
    kept = [line for line in lines if not line.startswith(LINES)]
    assert len(kept) == len(lines) - len(LINES)
    root.mkdir()
    (root / "config.yaml").write_text("\n".join(kept) + "\n")
    (root / "mine.yaml").write_text("defaults: [config, _self_]\n")
    return root


@pytest.mark.parametrize("tree", ["ours", "older"])
@pytest.mark.parametrize("name", ["config", "mine"])
@pytest.mark.parametrize("word", ["experiment=quick", "+experiment=quick"])
def test_a_preset_is_named_with_or_without_a_plus(
    word: str, name: str, tree: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_text("defaults: [config, _self_]\n")
    folder = older(tmp_path / "old") if tree == "older" else tmp_path
    sweep = plan([word, "engine=null"], folder, name)
    assert [(run.key, run.config.name, run.config.samples.set) for run in sweep.planned] == [
        ("workers=1", "quick", "quick"), ("workers=2", "quick", "quick")
    ]  # fmt: skip
    assert {one.stem for one in used(sweep, folder, name)} == (
        {name, "config"} if tree == "older" else {name} - {"config"}
    )
    assert answer([word], ["--cfg=job"], folder, name) == 0
    assert "name: quick" in capsys.readouterr().out
    several = plan([f"{word},stress", "hydra.sweeper.params=null", "trials=1"], folder, name)
    assert [run.config.name for run in several.planned] == ["quick", "stress"]


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped tree, to put something beside it."""
    root = tmp_path / "shipped"
    shutil.copytree(config.conf_dir(), root)
    (root / "local.yaml").unlink(missing_ok=True)
    for module in (compose, keeping, composing):
        monkeypatch.setattr(module, "conf_dir", lambda: root)
    return root


def test_settings_of_ones_own_hold_for_every_command_and_not_for_a_replay(shipped: Path, tmp_path: Path) -> None:
    mine, kept = tmp_path / "mine", [tmp_path / "sweep" / "conf", tmp_path / "other" / "conf"]
    mine.mkdir()
    (mine / "local.yaml").write_text("name: here\n")
    keep(kept[0].parent, None, used(plan(NULL, None, "config"), None, "config"))
    (shipped / "local.yaml").write_text("defaults: [{override /samples: zh}]\nworkers: 3\nname: everywhere\n")
    [run] = (sweep := plan([*NULL, "load=all"], None, "config")).planned
    assert (run.config.workers, run.config.name, run.config.samples.set) == (3, "everywhere", "zh")
    assert plan(["experiment=quick"], None, "config").config.name == "quick"  # what is chosen comes after it
    keep(kept[1].parent, None, used(sweep, None, "config"))
    assert [plan(NULL, one, "config").config.name for one in (*kept, mine)] == ["sweep", "everywhere", "here"]
    assert plan(NULL, older(tmp_path / "old"), "config").config.name == "sweep"
    assert trust.surprises(trust.Tree(kept[0], "config"), NULL, []) == []
    # A later version has another first file, and knows this line of it as one of ours.
    (kept[0] / "config.yaml").write_text((kept[0] / "config.yaml").read_text() + "# of before\n")
    assert trust.surprises(trust.Tree(kept[0], "config"), NULL, []) == []


@pytest.mark.parametrize("own_tree", [False, True])
def test_no_token_of_ones_own_settings_goes_into_an_archive(shipped: Path, tmp_path: Path, own_tree: bool) -> None:
    (shipped / "local.yaml").write_text("server: {token: geheim}\n")
    folder = tmp_path if own_tree else None
    with pytest.raises(ConfigError, match=r"server\.token: stands in local\.yaml"):
        used(plan(NULL, folder, "config"), folder, "config")
