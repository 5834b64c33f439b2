"""A reward model: a score for every answer, the context encoded once for all answers to it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from agents.context import ContextEncoder
from agents.generators import seeded
from agents.heads import Context
from agents.heads.text import TextHead
from agents.policy import ResponsePolicy
from feedback.preferences.batches import Answers
from feedback.reward_models.answer_encoders import Head, TokenLevelEncoder, make_answer_encoder
from feedback.reward_models.config import ModelConfig
from feedback.reward_models.spaces import ModelSpaces
from mm_envs.tasks.task import Task

# Names that no observation has: contexts that are encoded already, and answers that are read already.
ENCODED, READ = "<encoded>", "<read>"


class RewardModel(nn.Module):
    """Scores answers: context encoder, answer encoder, head.

    Args:
        spaces: A task, or the spaces of contexts and answers.
        config: The sizes.
        seed: Seeds the weights.

    Attributes:
        context_encoder: Contexts to features (m, F).
        reader: The encoder of answers in their contexts.
        head: Encoded answers to scores.

    Example:
        >>> import torch
        >>> from mm_envs.tasks import make_task
        >>> task = make_task("classify", dataset="digits")
        >>> model = RewardModel(task, ModelConfig(features=16, width=8))
        >>> answers = Answers.of({"image": torch.zeros(2, 1, 40, 40)}, torch.tensor([[0, 1, 2], [3, 4, 5]]))
        >>> model.encode(answers.contexts).shape, model(answers).shape
        (torch.Size([2, 16]), torch.Size([6]))
    """

    def __init__(self, spaces: Task | ModelSpaces, config: ModelConfig | None = None, seed: int = 0) -> None:
        super().__init__()
        self.spaces, self.config = ModelSpaces.of(spaces), config or ModelConfig()
        with seeded(seed):
            kind, sizes = self.spaces.answer, self.config
            self.context_encoder = ContextEncoder(self.spaces.context, sizes.features, kind.among)
            self.reader = make_answer_encoder(kind, sizes, self.spaces.turns)
            self.head = Head(self.reader.width, sizes.width, isinstance(self.reader, TokenLevelEncoder))

    def encode(self, contexts: Mapping[str, Tensor]) -> Tensor:
        """Features (m, F) of m contexts; those under ``ENCODED`` are taken as they are."""
        for name in (ENCODED, READ):
            if name in contexts:
                return contexts[name]
        encoded: Tensor = self.context_encoder(contexts)
        return encoded

    def read(self, encoded: Tensor, answers: Answers) -> Tensor:
        """Encoded answers in their encoded contexts (m, F); the response itself with an entry ``READ``."""
        if READ in answers.contexts:
            return answers.response
        rows, encoder = encoded[answers.context], self.context_encoder
        context = Context(encoder.pooled(rows), encoder.candidates(rows))
        read: Tensor = self.reader(context, answers)
        return read

    def features(self, answers: Answers) -> Tensor:
        """Features (a, D) of answers, of which the score is a linear function."""
        return self.head.features(self.read(self.encode(answers.contexts), answers))

    def forward(self, answers: Answers) -> Tensor:
        """Scores (a,) of answers, on a scale of the model's own."""
        scores: Tensor = self.head(self.read(self.encode(answers.contexts), answers))
        return scores

    def start_from(self, policy: ResponsePolicy) -> None:
        """Takes both encoders of a policy as start (Ouyang et al., 2022, arXiv 2203.02155, section 3.5)."""
        self._take("context encoder", self.context_encoder, policy.context_encoder)
        if isinstance(self.reader, TokenLevelEncoder):
            decoder = policy.head.decoder if isinstance(policy.head, TextHead) else None
            self._take("decoder", self.reader.decoder, decoder)

    def _take(self, name: str, mine: nn.Module, theirs: nn.Module | None) -> None:
        given = {} if theirs is None else theirs.state_dict()
        shapes = [
            {key: tuple(one.shape) for key, one in state.items()} for state in (mine.state_dict(), given)
        ]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"the {name} of the policy is not of the sizes of the reward model: use a policy of the same "
                f"task, and ModelConfig(features={self.config.features}, hidden={self.config.hidden})"
            )
        mine.load_state_dict(given)
