"""What the tools have in common: how they end."""

import pytest

from capsexp import tool
from capsexp.errors import CapsexpError, ConfigError, StorageError


@pytest.mark.parametrize(
    ("error", "started_by_a_run", "code"),
    [
        (StorageError("the disk is full"), True, 4),
        (StorageError("the disk is full"), False, 1),  # 4 is one of check's own
        (ConfigError("workers: unknown key"), False, 2),
        (CapsexpError("it cannot be done"), True, 1),
        (KeyboardInterrupt(), False, 130),
    ],
)
def test_an_error_ends_a_tool_with_its_code(
    error: BaseException, started_by_a_run: bool, code: int, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.delenv(tool.PARENT, raising=False)
    if started_by_a_run:
        monkeypatch.setenv(tool.PARENT, "1")

    def fails(argv: object) -> int:
        raise error

    assert tool.entry(fails, "capsexp.x") == code
    said = capsys.readouterr().err
    assert said == ("" if code == 130 else f"capsexp.x: {error}\n")
