"""Decoders: what predicts the words of an answer. A new one is one file and one line in the table."""

from __future__ import annotations

from agents.decoders.decoder import Decoder, TokenAttention
from agents.decoders.gru import GRUDecoder
from agents.decoders.transformer import TransformerDecoder
from mm_envs.names import check_one_of

DECODERS: dict[str, type[GRUDecoder] | type[TransformerDecoder]] = {
    "gru": GRUDecoder,
    "transformer": TransformerDecoder,
}


def make_decoder(name: str, features: int, words: int, **sizes: int) -> Decoder:
    """An untrained decoder; ``sizes`` are its further arguments.

    Raises:
        ValueError: There is no such decoder.
    """
    check_one_of("decoder", name, DECODERS)
    return DECODERS[name](features, words, **sizes)


__all__ = ["DECODERS", "Decoder", "GRUDecoder", "TokenAttention", "TransformerDecoder", "make_decoder"]
