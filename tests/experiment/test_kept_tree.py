"""Where runs are made, and what of the user's own YAML goes into an archive that is meant to be shared."""

from pathlib import Path

import pytest

from capsexp.cli import main
from capsexp.errors import ConfigError
from capsexp.experiment.keep import keep, used
from capsexp.experiment.sweep import plan

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
    assert "capsexp makes its runs here, one at a time" in said
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
    with pytest.raises(ConfigError, match="no name that every system can unpack"):
        used(sweep, own, "config")
