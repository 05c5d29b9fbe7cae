"""The words for what came of things: typed in the house, strings in files."""

import json

import msgspec
import pytest

from capsexp.report.exporters import json as exporter
from capsexp.results.report import Configuration, Report
from capsexp.results.verdicts import Reading, Status, Verdict
from tests.support.reports import a_run, reported


@pytest.mark.parametrize("word", [*Status, *Reading, *Verdict])
def test_a_word_is_said_and_written_as_its_value(word: Status | Reading | Verdict) -> None:
    value = word.value
    assert str(word) == f"{word}" == value and f"{word:>30}" == value.rjust(30)
    assert json.dumps([word, {word: 1}]) == json.dumps([value, {value: 1}])
    assert msgspec.json.encode(word) == json.dumps(value).encode()
    assert {value: 1}[word] == 1 and word == value


def test_a_report_holds_words_and_its_file_strings() -> None:
    report, _ = reported(*(a_run(w, s, trial=t) for t in (1, 2, 3) for w, s in ((1, 10.0), (2, 5.0))))
    assert isinstance(report.verdict, Verdict)
    for c in report.configurations:
        assert isinstance(c.verdict, Verdict) and isinstance(c.status, Status)
        assert c.gates and all(isinstance(gate.verdict, Reading) for gate in c.gates)
    written = exporter.render(report)
    assert '"verdict": "FEASIBLE"' in written and '"status": "ok"' in written
    assert msgspec.convert(json.loads(written), Report) == report


def test_a_word_that_nobody_knows_is_refused_where_it_is_read() -> None:
    with pytest.raises(msgspec.ValidationError, match="Invalid enum value 'FINE'"):
        msgspec.convert({"key": "workers=1", "verdict": "FINE"}, Configuration)
