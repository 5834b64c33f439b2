"""Sounds: exactness, and that pitch and timbre can be heard."""

import pytest
import torch
from torch import Tensor

from mm_envs.data.scenes.layout import SceneConfig, SceneGraph, decode, scene
from mm_envs.data.scenes.sound import HARMONICS, PITCHES, SAMPLE_RATE, SAMPLES, slot_order, synthesise
from mm_envs.random import fold

CONFIGS = [SceneConfig(), SceneConfig(objects=(1, 3)), SceneConfig(objects=(4, 4), noise=0.1)]


def draw_hashes(n: int) -> Tensor:
    return fold(torch.arange(n), 2)


def heard(sounds: Tensor, slots: int) -> tuple[Tensor, Tensor]:
    """The colour and the shape of the tone in each slot, measured by Fourier transform: (n, slots) each."""
    length = SAMPLES // slots
    pieces = sounds[:, : slots * length].view(len(sounds), slots, length) * torch.hann_window(length)
    spectrum = torch.fft.rfft(pieces, 4 * SAMPLES).abs()
    bins = torch.tensor(PITCHES) * 4 * SAMPLES / SAMPLE_RATE
    harmonic = (bins[:, None] * torch.arange(1, 4)).round().long()
    strength = spectrum[:, :, harmonic]  # (n, slots, pitches, harmonics)
    loudest = spectrum.argmax(2)[:, :, None]
    colour = (loudest - bins).abs().argmin(2)
    own = strength.gather(2, colour[:, :, None, None].expand(-1, -1, 1, 3)).squeeze(2)
    own = torch.nn.functional.normalize(own, dim=2)
    templates = torch.nn.functional.normalize(torch.tensor(HARMONICS), dim=1)
    return colour, (own @ templates.T).argmax(2)


def in_slots(values: Tensor, graph: SceneGraph, hashes: Tensor) -> Tensor:
    return values.gather(1, slot_order(graph.present.shape[1], hashes))


@pytest.mark.parametrize("config", CONFIGS)
def test_a_sound_depends_on_its_own_row_only(config: SceneConfig) -> None:
    hashes = draw_hashes(150)
    graph = scene(config, 0, hashes)
    together = synthesise(graph, config, hashes)
    order = torch.randperm(150, generator=torch.Generator().manual_seed(0))
    assert torch.equal(synthesise(graph.select(order), config, hashes[order]), together[order])
    for row in range(0, 150, 23):
        alone = slice(row, row + 1)
        assert torch.equal(synthesise(graph.select(alone), config, hashes[alone]), together[alone])


@pytest.mark.parametrize("config", CONFIGS)
def test_samples_are_in_range_and_loud_enough(config: SceneConfig) -> None:
    hashes = draw_hashes(300)
    sounds = synthesise(scene(config, 0, hashes), config, hashes)
    assert sounds.shape == (300, SAMPLES)
    assert sounds.dtype == torch.float32
    assert sounds.abs().max() <= 1
    assert sounds.abs().amax(1).min() > 0.3


@pytest.mark.parametrize("config", CONFIGS)
def test_pitch_says_the_colour_and_timbre_the_shape(config: SceneConfig) -> None:
    hashes = draw_hashes(400)
    graph = scene(config, 0, hashes)
    colour, shape = heard(synthesise(graph, config, hashes), config.maximum)
    present = in_slots(graph.present, graph, hashes)
    assert torch.equal(colour[present], in_slots(graph.colour, graph, hashes)[present])
    assert torch.equal(shape[present], in_slots(graph.shape, graph, hashes)[present])


def test_absent_objects_are_silent() -> None:
    config = SceneConfig(objects=(1, 4), noise=0)
    hashes = draw_hashes(200)
    graph = scene(config, 0, hashes)
    sounds = synthesise(graph, config, hashes).view(200, 4, SAMPLES // 4)
    assert torch.equal(sounds.abs().amax(2) > 0, in_slots(graph.present, graph, hashes))


def test_the_order_of_tones_does_not_say_the_position() -> None:
    order = slot_order(4, draw_hashes(24_000))
    assert (order.sort(1).values == torch.arange(4)).all()
    assert order.unique(dim=0).shape[0] == 24
    for slot in range(4):
        share = torch.bincount(order[:, slot]) / len(order)
        assert torch.allclose(share, torch.full((4,), 0.25), atol=0.015)


def test_sizes_textures_and_positions_cannot_be_heard() -> None:
    config = SceneConfig(objects=(1, 1), textures=3)
    graph = decode(config, torch.arange(config.graphs))
    same = draw_hashes(1).expand(config.graphs)
    sounds = synthesise(graph, config, same)
    assert sounds.unique(dim=0).shape[0] == 8 * 4


def test_noise_is_as_loud_as_the_configuration_says() -> None:
    loud, silent = SceneConfig(noise=0.1), SceneConfig(noise=0)
    hashes = draw_hashes(100)
    graph = scene(loud, 0, hashes)
    noise = synthesise(graph, loud, hashes) - synthesise(graph, silent, hashes)
    assert noise.abs().max() <= 0.1001
    assert torch.isclose(noise.std(), torch.tensor(0.1 / 3**0.5), rtol=0.02)
    assert noise.unique(dim=0).shape[0] == 100


def test_tones_begin_and_end_without_a_click() -> None:
    config = SceneConfig(objects=(4, 4), noise=0)
    hashes = draw_hashes(50)
    sounds = synthesise(scene(config, 0, hashes), config, hashes).view(50, 4, -1)
    assert sounds[:, :, [0, -1]].abs().max() == 0


def test_all_harmonics_are_below_half_of_the_sample_rate() -> None:
    assert max(PITCHES) * len(HARMONICS[0]) < SAMPLE_RATE / 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_sounds_are_the_same_on_an_accelerator() -> None:
    config, hashes = CONFIGS[1], draw_hashes(300)
    expected = synthesise(scene(config, 0, hashes), config, hashes)
    there = hashes.to("cuda")
    assert torch.equal(synthesise(scene(config, 0, there), config, there).cpu(), expected)
