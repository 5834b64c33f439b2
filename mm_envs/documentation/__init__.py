"""Pages of the documentation that are generated from docstrings and from real episodes."""

from mm_envs.documentation.pages import GENERATED, baselines_of, describe, environment_page, pages
from mm_envs.documentation.pictures import contact_sheet, episode_of, write_pictures

__all__ = [
    "GENERATED",
    "baselines_of",
    "contact_sheet",
    "describe",
    "environment_page",
    "episode_of",
    "pages",
    "write_pictures",
]
