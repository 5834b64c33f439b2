"""The handwritten digits: content, splits, exactness."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from mm_envs.data.dataset import SPLITS, make_dataset
from mm_envs.data.digits import Digits


@pytest.fixture(scope="module")
def digits() -> Digits:
    return Digits()


def everything(digits: Digits) -> dict[str, torch.Tensor]:
    return digits.batch(torch.arange(1797), ("image", "label"))


def test_pictures_are_those_of_scikit_learn(digits: Digits) -> None:
    batch, data = everything(digits), load_digits()
    ours = {
        (tuple((row.flatten().int() * 16 + 254).div(255, rounding_mode="floor").tolist()), int(label))
        for row, label in zip(batch["image"][:, 0, ::5, ::5], batch["label"], strict=True)
    }
    theirs = {(tuple(map(int, row)), int(label)) for row, label in zip(data.data, data.target, strict=True)}
    assert ours == theirs


def test_every_pixel_is_repeated(digits: Digits) -> None:
    images = everything(digits)["image"]
    assert images.shape == (1797, 1, 40, 40)
    assert images.dtype == torch.uint8
    small = images[:, :, ::5, ::5]
    assert torch.equal(images, small.repeat_interleave(5, 2).repeat_interleave(5, 3))
    assert int(images.max()) == 255


def test_splits_partition_the_digits_and_share_no_picture(digits: Digits) -> None:
    images = everything(digits)["image"].flatten(1).numpy()
    content = {
        name: {images[index].tobytes() for index in indices} for name, indices in digits.splits.items()
    }
    assert list(content) == list(SPLITS)
    assert sorted(index for indices in digits.splits.values() for index in indices) == list(range(1797))
    assert len(set.union(*content.values())) == sum(map(len, content.values()))
    shares = [len(indices) / 1797 for indices in digits.splits.values()]
    assert np.allclose(shares, [2 / 3, 1 / 6, 1 / 6], atol=0.03)


def test_every_split_has_every_digit(digits: Digits) -> None:
    labels = everything(digits)["label"]
    assert torch.bincount(labels).tolist() == np.bincount(load_digits().target).tolist()
    for indices in digits.splits.values():
        assert torch.bincount(labels[indices.start : indices.stop], minlength=10).min() >= 20


def test_an_item_depends_on_its_own_index_only(digits: Digits) -> None:
    whole = everything(digits)
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(0))[:100]
    for field, values in digits.batch(order, ("image", "label")).items():
        assert torch.equal(values, whole[field][order])
    assert torch.equal(digits.batch(order[:1], ["label"])["label"], whole["label"][order[:1]])


def test_items_are_fresh(digits: Digits) -> None:
    digits.batch(torch.arange(3), ["image"])["image"].fill_(7)
    assert not (digits.batch(torch.arange(3), ["image"])["image"] == 7).all()


def test_space_classes_and_name_agree_with_the_items(digits: Digits) -> None:
    item = digits.batch(torch.tensor([5]), ["image", "label"])
    assert digits.spaces["image"].contains(item["image"][0].numpy())
    assert digits.classes["label"][int(item["label"][0])] == str(int(item["label"][0]))
    assert isinstance(make_dataset(digits.name), Digits)


def test_unknown_fields_are_refused_by_name(digits: Digits) -> None:
    with pytest.raises(ValueError, match="field='sound' is not one of image, label"):
        digits.batch(torch.tensor([0]), ["image", "sound"])


def test_the_fingerprint_tells_configurations_apart(digits: Digits) -> None:
    assert Digits().fingerprint() == digits.fingerprint()
    assert Digits(scale=6).fingerprint() != digits.fingerprint()


def test_pictures_that_are_too_small_are_refused() -> None:
    with pytest.raises(ValueError, match="32x32"):
        Digits(scale=4)
