"""Reward models: networks that score answers, learnt from labels."""

from feedback.reward_models.config import FitConfig, ModelConfig
from feedback.reward_models.ensemble import Ensemble, aggregate
from feedback.reward_models.feedback import LearnedReward
from feedback.reward_models.fitting import Fitted, fit
from feedback.reward_models.model import RewardModel
from feedback.reward_models.spaces import ModelSpaces
from feedback.reward_models.store import load, save

__all__ = [
    "Ensemble",
    "FitConfig",
    "Fitted",
    "LearnedReward",
    "ModelConfig",
    "ModelSpaces",
    "RewardModel",
    "aggregate",
    "fit",
    "load",
    "save",
]
