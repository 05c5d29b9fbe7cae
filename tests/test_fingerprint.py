"""What a run's figures depend on, and what they do not."""

from pathlib import Path

import pytest

from capsexp.compose import compose
from capsexp.experiment import control
from capsexp.experiment.fingerprint import fingerprint, of_samples
from capsexp.experiment.repeats import key


@pytest.mark.parametrize(
    "label",
    [
        ["engine=paraformer", "engine.language=zh"],
        ["engine=sphinx", "engine.language=en"],
        ["engine=sherpa", "engine.language=zh"],
        ["engine=null", "samples.language=zh"],
    ],
)
def test_a_language_that_is_only_a_label_changes_no_text(label: list[str]) -> None:
    """It says what is to be expected: the control and finished runs stay what they are."""
    plain, named = compose(label[:1]), compose(label)
    assert fingerprint(plain) == fingerprint(named)
    assert control.digest(plain) == control.digest(named)
    assert key(plain) == key(named)


@pytest.mark.parametrize("engine", [["engine=sensevoice"], ["engine=sherpa", "engine.model_type=sense_voice"]])
def test_a_language_that_the_model_is_told_makes_another_run(engine: list[str]) -> None:
    twin = [*engine, "engine.twin=sensevoice-tiny"]
    plain, told = compose(twin), compose([*twin, "engine.language=zh"])
    assert fingerprint(plain)["configuration"] != fingerprint(told)["configuration"]
    assert control.digest(plain) != control.digest(told)


def test_a_file_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def of(name: str, content: bytes) -> str:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "a.wav").write_bytes(content)
        (folder / "locked.wav").write_bytes(b"x")
        return of_samples(compose(["samples=dir", f"samples.dir={folder}"]).samples)

    read = Path.read_bytes

    def locked(self: Path) -> bytes:
        if self.name == "locked.wav":
            raise PermissionError(13, "Permission denied", str(self))
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", locked)
    assert of("one", b"then") != of("two", b"now")
    assert of("three", b"then") == of("four", b"then")  # wherever they are
