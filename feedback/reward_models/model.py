"""A reward model: a score for every answer, the context encoded once for all answers to it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from agents.context import Context, ContextEncoder
from agents.generators import seeded
from agents.heads.text import TextHead
from agents.policy import ResponsePolicy
from feedback.preferences.batches import Answers
from feedback.reward_models.answer_encoders import Head, TokenLevelEncoder, make_answer_encoder
from feedback.reward_models.config import ModelConfig
from feedback.reward_models.spaces import ModelSpaces
from mm_envs.arrays import on_host
from mm_envs.tasks.task import Task

# Names that no observation has: contexts that are encoded already, and answers that are read already.
ENCODED, READ = "<encoded>/", "<read>"
_EMBEDDED = ".fuse.embed."  # tokens that a head or a decoder attends to


class RewardModel(nn.Module):
    """Scores answers: context encoder, answer encoder, head.

    Args:
        spaces: A task, or the spaces of contexts and answers.
        config: The sizes.
        seed: Seeds the weights.

    Attributes:
        context_encoder: Encodes m contexts.
        reader: The encoder of answers in their contexts.
        head: Encoded answers to scores.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> task = make_task("classify", dataset="digits")
        >>> model = RewardModel(task, ModelConfig(features=16, width=8))
        >>> answers = Answers.of({"image": torch.zeros(2, 1, 40, 40)}, torch.tensor([[0, 1, 2], [3, 4, 5]]))
        >>> model.encode(answers.contexts).pooled.shape, model(answers).shape
        (torch.Size([2, 16]), torch.Size([6]))
    """

    def __init__(self, spaces: Task | ModelSpaces, config: ModelConfig | None = None, seed: int = 0) -> None:
        super().__init__()
        self.spaces, self.config = ModelSpaces.of(spaces), config or ModelConfig()
        with seeded(seed):
            kind, sizes = self.spaces.answer, self.config
            self.reader = make_answer_encoder(kind, sizes, self.spaces.turns)
            words = isinstance(self.reader, TokenLevelEncoder)
            shown, fusion = self.spaces.context, sizes.fusion
            self.context_encoder = ContextEncoder(shown, sizes.features, kind.among, fusion, words)
            self.head = Head(self.reader.width, sizes.width, words)

    def encode(self, contexts: Mapping[str, Tensor]) -> Context:
        """The m encoded contexts; those under ``ENCODED`` are taken as they are."""
        given = self._encoded(contexts)
        return self.context_encoder(contexts) if given is None else given

    @staticmethod
    def _encoded(contexts: Mapping[str, Tensor]) -> Context | None:
        return Context(contexts[READ]) if READ in contexts else Context.of_entries(contexts, ENCODED)

    def read(self, encoded: Context, answers: Answers) -> Tensor:
        """Encoded answers in their m encoded contexts; the response itself with an entry ``READ``."""
        if READ in answers.contexts:
            return answers.response
        read: Tensor = self.reader(_of_answers(encoded, answers.context), answers)
        return read

    def features(self, answers: Answers) -> Tensor:
        """Features (a, D) of answers, of which the score is a linear function."""
        return self.head.features(self.read(self.encode(answers.contexts), answers))

    def forward(self, answers: Answers) -> Tensor:
        """Scores (a,) of answers, on a scale of the model's own."""
        scores: Tensor = self.head(self.read(self.encode(answers.contexts), answers))
        return scores

    def with_word_loss(self, answers: Answers) -> tuple[Tensor, Tensor | None]:
        """``forward``, and the word loss of the contexts, (m,); None where the fusion has none.

        Contexts that are encoded already have none. See ``agents.fusion.Fusion.with_word_loss``.
        """
        if self._encoded(answers.contexts) is not None:
            return self(answers), None
        encoded, loss = self.context_encoder.with_word_loss(answers.contexts)
        scores: Tensor = self.head(self.read(encoded, answers))
        return scores, loss

    def start_from(self, policy: ResponsePolicy) -> None:
        """Takes both encoders of a policy as start (Ouyang et al., 2022, arXiv 2203.02155, section 3.5)."""
        self._take("context encoder", self.context_encoder, policy.context_encoder)
        if isinstance(self.reader, TokenLevelEncoder):
            decoder = policy.head.decoder if isinstance(policy.head, TextHead) else None
            self._take("decoder", self.reader.decoder, decoder)

    def _take(self, name: str, mine: nn.Module, theirs: nn.Module | None) -> None:
        own = mine.state_dict()
        given = {} if theirs is None else theirs.state_dict()
        # A policy may embed tokens that its head attends to, and this model need not.
        given = {key: one for key, one in given.items() if key in own or _EMBEDDED not in key}
        shapes = [{key: tuple(one.shape) for key, one in state.items()} for state in (own, given)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"the {name} of the policy is not of the sizes of the reward model: use a policy of the same "
                f"task, and ModelConfig(features={self.config.features}, hidden={self.config.hidden}, "
                f"fusion={self.config.fusion!r})"
            )
        mine.load_state_dict(given)


def _of_answers(encoded: Context, index: Tensor) -> Context:
    """The context of each answer; contexts that have as many answers each, in order, are not repeated."""
    each, left = divmod(len(index), max(len(encoded), 1))
    # On an accelerator the comparison would wait for it.
    if each and not left and on_host(index):
        in_order = torch.arange(len(encoded), device=index.device).repeat_interleave(each)
        if torch.equal(in_order, index):
            return encoded
    return encoded.take(index)
