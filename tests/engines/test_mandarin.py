"""The shipped Mandarin model: real texts and real token times through the engines and through the server."""

import json
import subprocess
import sys
from pathlib import Path

import jiwer
import numpy as np
import pytest

from capsexp import samples
from capsexp.compose import compose
from capsexp.engines import _folders as folders
from capsexp.engines import base
from capsexp.engines.paraformer import ParaformerConfig
from capsexp.engines.sherpa import SherpaConfig
from capsexp.errors import ConfigError
from capsexp.protocol import RATE, Audio
from capsexp.segments import Cut, Merger, cut_all

ROOT = Path(__file__).resolve().parents[2]
CLIPS = samples.load(compose(["samples=zh", "engine=paraformer"]).samples).samples
STARTS = json.loads((samples.samples_dir() / "zh" / "times.json").read_text("utf-8"))
LOSSLESS = [clip for clip in CLIPS if Path(clip.name).suffix in (".wav", ".flac")]  # mp3 adds a delay of its own
MOST_CER = 0.03
HEARD = 30  # s, the longest that was trained on


def cer(pairs: list[tuple[str, str]]) -> float:
    return float(jiwer.process_characters([said for said, _ in pairs], [heard for _, heard in pairs]).cer)


def text(engine: base.Engine, audio: Audio) -> str:
    return "".join(engine.recognize(audio).tokens)


@pytest.fixture(scope="module")
def paraformer() -> base.Engine:
    return base.load(compose(["engine=paraformer"]).engine, threads=1)


@pytest.fixture(scope="module")
def sherpa() -> base.Engine:
    return base.load(compose(["engine=sherpa"]).engine, threads=1)


def test_the_samples_are_what_they_are_said_to_be() -> None:
    lengths = [clip.duration_s for clip in CLIPS]
    assert max(lengths) > 60 and sorted(lengths)[-2] <= 30 and min(lengths) >= 5
    files = [clip.path for clip in CLIPS if clip.path]
    assert {path.suffix for path in files} == {".wav", ".flac", ".mp3", ".ogg"}
    assert sum(path.stat().st_size for path in files) < 3e6
    assert all(len(STARTS[f"zh/{clip.name}"]) == len(clip.transcript or "") for clip in CLIPS)


def test_it_recognizes_what_is_said(paraformer: base.Engine) -> None:
    heard = [(clip.transcript or "", text(paraformer, clip.audio)) for clip in CLIPS if clip.duration_s <= HEARD]
    assert cer(heard) <= MOST_CER


def test_tokens_begin_when_they_are_said(paraformer: base.Engine, sherpa: base.Engine) -> None:
    for engine, most in ((paraformer, 0.02), (sherpa, 0.04)):  # sherpa reads them a little later
        off: list[float] = []
        for clip in LOSSLESS:
            found = engine.recognize(clip.audio)
            assert found.times == sorted(found.times)
            if "".join(found.tokens) == clip.transcript:
                off += list(np.abs(np.array(found.times) - STARTS[f"zh/{clip.name}"]))
        assert len(off) > 50
        assert np.median(off) <= most


def test_the_same_folder_gives_the_same_texts_in_sherpa(paraformer: base.Engine, sherpa: base.Engine) -> None:
    for clip in CLIPS:
        if clip.duration_s <= HEARD:
            assert text(sherpa, clip.audio) == text(paraformer, clip.audio), clip.name


@pytest.mark.parametrize("level", [0.0, 0.003, 0.1])
def test_nothing_is_said_in_silence_and_noise(paraformer: base.Engine, sherpa: base.Engine, level: float) -> None:
    noise = (np.random.default_rng(1).standard_normal(5 * RATE) * level).astype(np.float32)
    assert text(paraformer, noise) == text(sherpa, noise) == ""


@pytest.mark.slow
def test_segments_merge_into_what_the_whole_file_gives(paraformer: base.Engine) -> None:
    whole, merged, timed = [], [], []
    cut = Cut.of(15, 2)
    for clip in CLIPS:
        merger = Merger(cut)
        for segment in cut_all(clip.audio, cut):
            merger.add(segment.start, segment.last, paraformer.recognize(segment.audio, segment.start, segment.shared))
        said = clip.transcript or ""
        whole.append((said, text(paraformer, clip.audio)))
        merged.append((said, merger.text))
        timed.append((said, merger.text_accu))
    assert cer(timed) <= cer(whole) + 0.005
    assert cer(merged) <= cer(whole) + 0.005


@pytest.mark.slow
def test_the_server_gives_it_back_whole(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "capsexp", "samples=zh", "engine=paraformer", "load.repeats=1", "workers=2,3", "trials=1",
        "validity=off", "archive.enabled=false", f"hydra.sweep.dir={tmp_path}/out", "-m",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert [c["workers"] for c in report["configurations"]] == [2, 3]
    for c in report["configurations"]:
        assert c["metrics"]["correctness"]["value"] == 1.0
        assert c["metrics"]["cer"]["value"] <= MOST_CER
        assert c["metrics"]["wer"]["value"] == pytest.approx(c["metrics"]["cer"]["value"])  # each character a word
        assert {"gateway_busy", "client_busy"} <= set(c["timeline"])
    said = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert "client busy" in said  # the gateway's share takes a monitor that looked often enough


def test_no_torch_is_needed() -> None:
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from capsexp.compose import compose; from capsexp.engines import base; import numpy as np\n"
        "print(base.load(compose(['engine=paraformer']).engine, 1).recognize(np.zeros(16000, np.float32)).tokens)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_folder_is_small_and_says_how_it_was_made() -> None:
    files = list(folders.SHIPPED.iterdir())
    assert sum(path.stat().st_size for path in files) <= 9e6
    facts = json.loads((folders.SHIPPED / "model.json").read_text("utf-8"))
    assert {"seed", "steps", "utterances", "data", "weights"} <= set(facts)
    assert not ParaformerConfig().is_twin()


def test_it_is_used_only_where_no_model_is_named() -> None:
    assert ParaformerConfig().files()[0].parent == SherpaConfig().files()[0].parent == folders.SHIPPED
    assert not ParaformerConfig(twin="tiny").shipped and not SherpaConfig(model_type="whisper").shipped
    with pytest.raises(ConfigError, match="no int8 version"):
        compose(["engine=paraformer", "engine.quantize=true"])
