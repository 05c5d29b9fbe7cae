"""reference=server, on values: what an asking comes to, who shares one, and what the report says of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from capsexp.analysis import correctness
from capsexp.config import Config, LoadConfig, ReferenceConfig, SamplesConfig, ServerConfig
from capsexp.experiment import alone
from capsexp.experiment.repeats import Pace
from capsexp.files import write_json
from capsexp.redact import Redaction
from capsexp.report import build
from capsexp.report.exporters import markdown
from capsexp.results.run import Alone, Answer, Reference, SampleTexts, Text
from capsexp.targets import TARGETS
from tests.support.reports import a_run, a_sweep
from tests.support.runs import SAMPLES, answer, request


def row(sample: str, error: str | None = None) -> dict[str, Any]:
    return {"sample": sample, "status": "failed" if error else "ok", "error": error}


def test_the_first_failure_is_told_with_what_was_answered_before() -> None:
    assert alone.failure([row("a"), row("b")], 2) is None
    said = alone.failure([row("a"), row("b", "gone"), row("c", "refused")], 4)
    assert said == "reference=server: before the load, the request for b failed, after 5 answered requests: gone"


def test_the_first_answer_counts_and_another_is_kept_beside_it() -> None:
    def held(*texts: tuple[int, str]) -> SampleTexts:
        results = tuple(Answer(request=number, text=text, task_id="t") for number, text in texts)
        return SampleTexts(transcript="what was said", results=results)

    texts, again = alone.heard({"a": held((4, "x"), (0, "x")), "b": held((5, "z"), (1, "y"))})
    assert texts == {
        "a": Text(text="x", transcript="what was said"),
        "b": Text(text="y", transcript="what was said"),
    }
    assert again == {"b": Text(text="z")}


def test_who_shares_an_asking() -> None:
    """All that decides what the server answers, and nothing of the load but how audio is sent."""
    base = Config(
        samples=SamplesConfig(name="speech"), server=ServerConfig(name="command", cmd="s {port}"),
        target=TARGETS.settings("sherpa")(), reference=ReferenceConfig(name="server"),
    )  # fmt: skip
    same = [
        replace(base, trial=2), replace(base, load=LoadConfig(repeats=7, concurrency=3)),
        replace(base, server=replace(base.server, token="secret")),
    ]  # fmt: skip
    other = [
        replace(base, workers=2), replace(base, threads=2), replace(base, target=TARGETS.settings("vosk")()),
        replace(base, server=replace(base.server, cmd="t {port}")), replace(base, load=LoadConfig(message_s=1)),
    ]  # fmt: skip
    assert {alone.digest(config) for config in same} == {alone.digest(base)}
    assert len({alone.digest(config) for config in (base, *other)}) == 1 + len(other)


def test_a_load_is_reckoned_from_it() -> None:
    alone_took = Alone(askings=2, makespan_s=8.0, audio_s=80.0)
    texts = {name: Text(text="") for name in "ab"}
    held = Reference(kind="server", threads=2, texts=texts, alone=alone_took)
    assert Pace.of(held) == Pace(8.0, 16.0, 2, 2, 80.0)


def reference(texts: dict[str, str], again: dict[str, str] | None = None, workers: int = 1) -> Reference:
    return Reference(
        kind="server", target="sherpa", workers=workers, threads=1, deterministic=not again,
        texts={name: Text(text=text) for name, text in texts.items()},
        again={name: Text(text=text) for name, text in (again or {}).items()},
        alone=Alone(askings=2, makespan_s=5.0, audio_s=10.0),
    )  # fmt: skip


TEXTS = {"s0": "so it is", "s1": "and so on"}


@pytest.mark.parametrize(
    ("heard", "again", "identical", "unsure", "reason"),
    [
        ("so it is", {}, 1, 0, ""),
        ("so", {}, 0, 0, "text is cut short: 1 of the 3 words of what the server answered alone, then 'it is' is lost"),
        ("and so on", {}, 0, 0, "text is that of another sample, s1: the answer to another request"),
        ("it so is", {}, 0, 0, "text differs from what the server answered alone: 3 words for 3, from word 1"),
        ("anything", {"s0": "so it was"}, 0, 1, ""),
    ],
)
def test_a_text_is_compared_with_the_servers_own(
    heard: str, again: dict[str, str], identical: int, unsure: int, reason: str
) -> None:
    texts = {"s0": SampleTexts(results=(answer(0, text=heard, text_accu=""),))}
    judged = correctness.judge(texts, [request(0, 0.0, 1.0)], reference(TEXTS, again), SAMPLES)
    assert (judged.identical, judged.unsure, judged.unlike) == (identical, unsure, None)
    assert judged.ratio == (None if unsure else identical)
    assert [one.reason.startswith(reason) for one in judged.wrong] == ([True] if reason else [])


def test_what_is_lost_is_wrong_however_unsure_the_text_is() -> None:
    texts = {"s0": SampleTexts(results=())}
    judged = correctness.judge(
        texts, [request(0, 0.0, None, error="gone")], reference(TEXTS, {"s0": "so it was"}), SAMPLES
    )
    assert (judged.identical, judged.unsure, judged.ratio) == (0, 0, 0.0)


def said(*references: Reference) -> tuple[str, str]:
    """Warnings, and report.md."""
    files = replace(a_sweep([a_run(1, 5.0)]), references=dict(zip("cde", references, strict=False)))
    report = build.assemble(files)
    return "\n".join(report.warnings), markdown.render(report)


def test_the_report_tells_what_is_not_the_loads_doing() -> None:
    warned, _ = said(reference(TEXTS, {"s1": "and so forth"}))
    assert (
        "target=sherpa workers=1 threads=1: the server is not deterministic: without load, it gave two different texts "
        "for 1 sample (the first: s1), which is not compared" in warned
    )
    warned, page = said(reference(TEXTS), reference({**TEXTS, "s1": "and on"}, workers=2))
    assert "not deterministic" not in warned
    assert (
        "without load, the server's texts of 1 sample differ between target=sherpa workers=2 threads=1 and "
        "target=sherpa workers=1 threads=1 (the first: s1)" in warned
    )
    assert page.count("2.0 x real time (5.00 s), the same texts twice") == 2
    warned, _ = said(reference(TEXTS), reference(TEXTS, workers=2))
    assert "differ between" not in warned
    warned, _ = said(reference(dict.fromkeys(TEXTS, "")))
    assert "the server returned no text for any sample" in warned


def test_both_answers_are_left_out_of_an_archive_without_texts(tmp_path: Path) -> None:
    folder, secret = tmp_path / "sweep" / "reference" / "0123456789ab", "what nobody else should ever read"
    folder.mkdir(parents=True)
    held = {"texts": {"a.wav": {"text": "something else"}}, "again": {"a.wav": {"text": secret}}}
    write_json(folder / "reference.json", held)
    (folder / "server.log").write_text(f"said: {secret}\n")
    names = [(path.name, path) for path in sorted(folder.iterdir())]
    Redaction(tmp_path / "sweep").copy(names, tmp_path / "redacted")
    for path in (tmp_path / "redacted").iterdir():
        assert secret not in path.read_text() and "a.wav" not in path.read_text()
