"""What the shipped model was trained on: the pure parts of training/, without torch; and, where torch is, the rest."""

import ctypes.util
import itertools

import numpy as np
import pytest

from training import augment, data, features, texts

LEXICON = texts.read()
RATE = augment.RATE


def writer(seed: int, held_out: bool = False) -> texts.Writer:
    return texts.Writer(LEXICON, np.random.default_rng(seed), held_out)


def test_no_two_words_sound_the_same() -> None:
    sounds = ["".join(s for _, s in units) for units in LEXICON.words.values()]
    assert len(set(sounds)) == len(sounds)


def test_the_same_seed_gives_the_same_texts() -> None:
    first, second = ([w.any() for _ in range(50)] for w in (writer(3), writer(3)))
    assert first == second != [writer(4).any() for _ in range(50)]


@pytest.mark.parametrize("kind", ["sentence", "words", "digits", "syllables"])
def test_what_is_held_out_is_never_trained_on(kind: str) -> None:
    trained, tested = ([getattr(w, kind)() for _ in range(300)] for w in (writer(1), writer(2, held_out=True)))
    assert not any(texts.is_held_out(t) for t in trained)
    assert all(texts.is_held_out(t) for t in tested)
    assert not {texts.characters(t) for t in trained} & {texts.characters(t) for t in tested}


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "零"), (7, "七"), (10, "十"), (15, "十五"), (20, "二十"), (105, "一百零五"), (110, "一百一十"),
     (1000, "一千"), (1005, "一千零五"), (1050, "一千零五十"), (2026, "二千零二十六")],
)  # fmt: skip
def test_numbers_as_they_are_said(number: int, said: str) -> None:
    assert "".join(texts.spoken(number)) == said
    assert set(texts.spoken(number)) <= set(LEXICON.words)


def test_syllables_of_no_word_can_be_told_apart_by_their_sound() -> None:
    sounds = [syllable for _, syllable in LEXICON.plain_syllables]
    assert len(set(sounds)) == len(sounds) > 200
    for units in (writer(5).syllables() for _ in range(200)):
        tones = [syllable[-1] for _, syllable in units]
        assert ("3", "3") not in itertools.pairwise(tones)  # the first would be spoken as a second tone


@pytest.mark.parametrize("count", [1, 5, 6, 7, 12, 13, 100])
def test_features_are_stacked_as_the_recognizer_stacks_them(count: int) -> None:
    from funasr_onnx.utils.frontend import WavFrontend

    frames = np.random.default_rng(count).standard_normal((count, features.MELS)).astype(np.float32)
    theirs = WavFrontend.apply_lfr(frames, features.WINDOW, features.SHIFT)
    assert np.array_equal(features.stack(frames), theirs)


def test_moments_make_features_standard() -> None:
    pieces = [np.random.default_rng(n).normal(5, 3, (200, features.MELS)) for n in range(3)]
    shift, scale = features.moments(pieces)
    whole = (np.concatenate(pieces) + shift) * scale
    assert np.allclose(whole.mean(0), 0) and np.allclose(whole.std(0), 1)


def test_a_piece_holds_the_characters_that_are_mostly_inside() -> None:
    audio = np.arange(4 * RATE, dtype=np.float32)
    whole = data.Utterance(audio, "一二三", np.array([0.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0]), "m1")
    piece = whole.piece(0.6, 2.5)
    assert piece.text == "二三"
    assert np.allclose(piece.starts, [0.4, 1.4]) and np.allclose(piece.ends, [1.4, 1.9])
    assert piece.audio[0] == audio[int(0.6 * RATE)] and len(piece.audio) == pytest.approx(1.9 * RATE, abs=2)


def test_recordings_keep_their_length_and_come_from_their_seed() -> None:
    audio = np.sin(np.arange(RATE) / 20).astype(np.float32)

    def recorded(seed: int) -> augment.Audio:
        rng = np.random.default_rng(seed)
        return augment.at_level(rng, augment.with_noise(rng, augment.channel(rng, audio), 8, 45))

    for seed in range(8):
        one = recorded(seed)
        assert one.shape == audio.shape and one.dtype == np.float32 and np.isfinite(one).all()
        assert 0 < np.abs(one).max() <= 1
        assert np.array_equal(one, recorded(seed))
    assert len(augment.throat(audio, RATE, 1.1)) == pytest.approx(RATE / 1.1, abs=2)


@pytest.mark.skipif(ctypes.util.find_library("espeak-ng") is None, reason="espeak-ng is not installed")
def test_speech_knows_when_each_syllable_begins() -> None:
    from training import voice

    speaker = voice.Voice()
    for units in (writer(6).any() for _ in range(30)):
        speech = speaker.speak(units, "m2", 170, 50)
        assert len(speech.starts) == len(speech.ends) == len(speech.characters)
        assert (speech.ends > speech.starts).all() and (speech.starts[1:] >= speech.ends[:-1]).all()
        assert speech.ends[-1] <= len(speech.audio) / voice.RATE
    with pytest.raises(ValueError, match="no voice variant"):
        speaker.speak(writer(6).any(), "nobody", 170, 50)


class TestNetwork:
    """Needs torch, which nothing but training does."""

    def test_sums_fire_as_frame_by_frame(self) -> None:
        torch = pytest.importorskip("torch")
        from training.model import fire

        torch.manual_seed(0)
        weights, hidden = torch.rand(1, 40) * 0.6, torch.rand(1, 40, 3)
        count = int(weights.sum())
        expected, held, frame = [], 0.0, torch.zeros(3)
        for weight, here in zip(weights[0], hidden[0], strict=True):
            if held + weight < 1:
                held, frame = held + weight, frame + weight * here
            else:
                expected.append(frame + (1 - held) * here)
                held = held + weight - 1
                frame = held * here
        assert torch.allclose(fire(weights, hidden, count)[0], torch.stack(expected), atol=1e-5)

    def test_a_slope_passes_a_whole_number_at_each_beginning(self) -> None:
        pytest.importorskip("torch")
        from training.timestamps import READ_AT, STEP_S, slope

        starts, ends = np.array([0.4, 0.6, 1.6]), np.array([0.6, 0.9, 1.9])
        found = slope(starts, ends, 200)
        assert (np.diff(found) >= -1e-9).all() and found[-1] == 4
        for number, start in enumerate([*starts, ends[-1]], 1):
            assert (np.flatnonzero(found >= number - 1e-6)[0] - READ_AT) * STEP_S == pytest.approx(start, abs=STEP_S)

    def test_the_exported_graph_says_what_torch_says(self, tmp_path) -> None:  # type: ignore[no-untyped-def]
        torch = pytest.importorskip("torch")
        from training import export, model

        torch.manual_seed(0)
        network = model.Network(model.shape(20))
        vocabulary = ["<blank>", "<s>", "</s>", *LEXICON.characters[:20], "<unk>"]
        mean = np.zeros(features.MELS)
        export.write(network, tmp_path / "out", vocabulary, mean, mean + 1, {}, quantize=False)
        assert export.check(network, tmp_path / "out", torch.randn(1, 60, features.MELS * features.WINDOW)) < 1e-3

    def test_the_recipe_warms_up_and_cools_down(self) -> None:
        pytest.importorskip("torch")
        from training.train import Recipe

        recipe = Recipe(steps=1000, settle=500, warm_up=100)
        rates = [recipe.rate_at(step) for step in range(1000)]
        assert rates[99] == max(rates) == recipe.rate and rates[-1] < 1e-5 < rates[0]
        assert [recipe.as_heard(step) for step in (0, 250, 500, 999)] == [0, 0.35, 0.7, 0.7]

    def test_every_character_has_a_frame_of_its_own_and_the_end_the_last(self) -> None:
        pytest.importorskip("torch")
        from training.train import middle

        def at(starts: list[float], ends: list[float], frames: int) -> list[int]:
            example = data.Example(np.zeros((0, 80), np.float16), "x" * len(starts), np.array(starts), np.array(ends))
            return middle(example, frames).tolist()

        assert at([0.1, 0.3], [0.3, 0.6], 20) == [3, 7, 19]  # 0.0125 s + 0.06 s each
        assert at([], [], 5) == [4]
        assert at([0.30, 0.33, 0.36], [0.33, 0.36, 0.39], 20) == [5, 6, 7, 19]  # two of them in one frame
        assert at([0.1, 0.2], [0.2, 0.3], 4) == [1, 2, 3]  # cut right after them

    def test_sums_drift_by_less_than_half_a_character_in_half_of_the_rows(self) -> None:
        pytest.importorskip("torch")
        from training.train import drifts

        off = drifts(np.random.default_rng(0), 400, 500).numpy()
        moved = np.abs(off).max(1) > 0
        assert 0.4 < moved.mean() < 0.6 and 0.4 < np.abs(off).max() <= 0.45
        assert np.array_equal(off, drifts(np.random.default_rng(0), 400, 500).numpy())

    def test_characters_are_cut_by_predicted_weights_only_where_those_are_right(self) -> None:
        torch = pytest.importorskip("torch")
        from training.model import as_cut

        middles = torch.tensor([[0.0, 1, 0, 0, 1, 0, 0, 1]]).repeat(4, 1)
        near = torch.tensor([0.0, 0.1, 0.9, 0, 0.9, 0.1, 0, 0.9])  # the first is a frame late, which is as good
        early = torch.tensor([1.0, 0, 1, 0, 0, 0, 0, 0.9])  # the second is two frames early: a whole character off
        weights = torch.stack([near, near, near * 2, early])
        heard, still = torch.tensor([True, False, True, True]), torch.zeros(4, 8)
        cut = as_cut(weights, torch.tensor([3, 3, 3, 3]), middles, heard, still)
        assert torch.equal(cut[0], near)
        assert not any(torch.equal(cut[n], weights[n]) for n in (1, 2, 3))
        assert torch.allclose(cut[1:].sum(1), torch.tensor(2.8), atol=1e-6)  # what is after the last frame is cut off
        off = as_cut(weights, torch.tensor([3, 3, 3, 3]), middles, heard, still + 0.4)[1].cumsum(0)
        assert torch.allclose(off, cut[1].cumsum(0) + 0.4, atol=1e-6)
