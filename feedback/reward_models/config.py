"""Configurations of reward models and of their fits."""

from __future__ import annotations

from dataclasses import dataclass, field

from agents.fusion import FUSIONS
from mm_envs.names import at_least, check_one_of, whole

READERS = ("auto", "decoder", "encoder")
AGGREGATIONS = ("mean", "min", "uwo")
FREEZES = ("nothing", "context", "trunk")


@dataclass(frozen=True)
class ModelConfig:
    """The sizes of a reward model.

    Attributes:
        features: F, numbers per context.
        reader: "decoder" encodes each word in the context (words only), "encoder" the answer by itself, then
            compares it with the context; "auto" is the decoder for words.
        hidden: H, numbers per word of the decoder.
        width: D, numbers per answer before the score.
        fusion: The name of a fusion of ``agents.fusion.FUSIONS``.
    """

    features: int = 256
    reader: str = "auto"
    hidden: int = 256
    width: int = 64
    fusion: str = "word_patch"

    def __post_init__(self) -> None:
        for name in ("features", "hidden", "width"):
            whole(name, getattr(self, name))
            at_least(name, getattr(self, name), 1)
        check_one_of("reader", self.reader, READERS)
        check_one_of("fusion", self.fusion, FUSIONS)


@dataclass(frozen=True)
class FitConfig:
    """The fit of an ensemble of reward models.

    Attributes:
        model: The sizes of each member; those of the policy where the fit starts from one.
        members: How many members.
        bagging: Whether each member sees its own bootstrap sample of the contexts.
        aggregation: "mean"; "min" (WCO); "uwo", the mean minus ``penalty`` times the variance (Coste et al.,
            2023, arXiv 2310.02743).
        penalty: lambda of "uwo".
        freeze: What is not trained and shared by all members: "nothing", the "context" encoder, or the
            "trunk" (both encoders).
        epochs: At most so many passes over the labels.
        batch: Contexts per minibatch; all labels of a context come together.
        learning_rate: Of AdamW (Loshchilov and Hutter, 2019, arXiv 1711.05101), for new weights.
        trunk_learning_rate: For those that a policy brought; None for a tenth of it.
        likelihood_learning_rate: For the parameters of the likelihood: ties, scales, annotators.
        weight_decay: Of AdamW.
        word_loss: The weight of the word loss of fusions that have one.
        batch_statistics: Whether batch norms of picture encoders use the statistics of the minibatch in a
            fit: of use where no policy brings its encoders.
        held_out: The share of the contexts that decides when to stop and sets the temperature, where no
            validation set is given; 0 for none.
        patience: Epochs without a better held-out loss until the fit stops.
        reference: How many training answers the scores are normalised on.
        seed: Decides weights, bags, minibatches and the split.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    members: int = 1
    bagging: bool = False
    aggregation: str = "mean"
    penalty: float = 0.5
    freeze: str = "nothing"
    epochs: int = 20
    batch: int = 64
    learning_rate: float = 1e-3
    trunk_learning_rate: float | None = None
    likelihood_learning_rate: float = 1e-2
    weight_decay: float = 1e-2
    word_loss: float = 0.3
    batch_statistics: bool = False
    held_out: float = 0.1
    patience: int = 3
    reference: int = 1024
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("members", 1), ("epochs", 0), ("batch", 1), ("patience", 1), ("reference", 2)):
            whole(name, getattr(self, name))
            at_least(name, getattr(self, name), least)
        for name in ("penalty", "learning_rate", "likelihood_learning_rate", "weight_decay", "held_out"):
            at_least(name, getattr(self, name), 0)
        if self.trunk_learning_rate is not None:
            at_least("trunk_learning_rate", self.trunk_learning_rate, 0)
        if self.held_out >= 1:
            raise ValueError(f"held_out={self.held_out} leaves nothing to fit: give a share below 1")
        check_one_of("aggregation", self.aggregation, AGGREGATIONS)
        check_one_of("freeze", self.freeze, FREEZES)
