"""Classification: accuracy, recall of each class, and the mean F1 of the classes."""

from __future__ import annotations

import torch
from torch import Tensor


def confusion(predicted: Tensor, label: Tensor, classes: int) -> Tensor:
    """How often each class was taken for each other one, (classes, classes) int64: [label, predicted].

    Args:
        predicted: Class numbers, (n,) int64.
        label: The right ones, (n,) int64.
        classes: The number of classes; every number given lies below it.

    Example:
        >>> confusion(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    if predicted.shape != label.shape or predicted.ndim != 1:
        raise ValueError(
            f"predicted has shape {tuple(predicted.shape)} and label {tuple(label.shape)}: give (n,) for both"
        )
    counts = torch.zeros(classes * classes, dtype=torch.int64, device=label.device)
    return counts.scatter_add_(0, label * classes + predicted, torch.ones_like(label)).view(classes, classes)


def accuracy(predicted: Tensor, label: Tensor) -> Tensor:
    """The share of right answers, a number in [0, 1], float64.

    Args:
        predicted: Class numbers, of any shape.
        label: The right ones, of the same shape.

    Example:
        >>> accuracy(torch.tensor([0, 1, 1, 1]), torch.tensor([0, 0, 1, 1])).item()
        0.75
    """
    if predicted.shape != label.shape:
        raise ValueError(
            f"predicted has shape {tuple(predicted.shape)} and label {tuple(label.shape)}: give equal ones"
        )
    return (predicted == label).to(torch.float64).mean()


def recall(predicted: Tensor, label: Tensor, classes: int) -> Tensor:
    """Of the items of each class, the share that was found, (classes,) float64; 0 for a class without items.

    Args:
        predicted: Class numbers, (n,) int64.
        label: The right ones, (n,) int64.
        classes: The number of classes.

    Example:
        >>> recall(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2).tolist()
        [0.5, 1.0]
    """
    counts = confusion(predicted, label, classes)
    return counts.diagonal().to(torch.float64) / counts.sum(1).clamp(min=1)


def macro_f1(predicted: Tensor, label: Tensor, classes: int) -> Tensor:
    """The mean over classes of F1 = 2 TP / (2 TP + FP + FN), a number in [0, 1], float64.

    The mean runs over the classes that occur, in answers or labels, as that of scikit-learn's
    ``f1_score(average="macro")`` (one of the two definitions that Opitz and Burst, "Macro F1 and macro F1",
    2019, arXiv:1911.03347, tell apart: the mean of the F1, not the F1 of the means).

    Args:
        predicted: Class numbers, (n,) int64.
        label: The right ones, (n,) int64.
        classes: The number of classes.

    Example:
        >>> round(macro_f1(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 3).item(), 4)
        0.6667
    """
    counts = confusion(predicted, label, classes)
    found, total = counts.diagonal(), counts.sum(0) + counts.sum(1)
    f1 = 2 * found.to(torch.float64) / total.clamp(min=1)
    return f1.sum() / (total > 0).sum().clamp(min=1)
