"""Numbers of other implementations on these judgements, on our parts of the sets or on whole sets."""

from __future__ import annotations

from benchmarks.experiments.captions.people import EXPECTED

# The names of the four metrics of ``benchmarks.experiments.captions.people`` among ours.
REPORTED = {"BLEU-1": "BLEU-1", "BLEU-4": "BLEU-4", "ROUGE-L": "ROUGE-L (COCO)", "CIDEr-D": "CIDEr-D"}

_OURS = {
    "Flickr8k experts, tau-c": "Flickr8k experts",
    "Flickr8k crowd, tau-b": "Flickr8k crowd",
    "THumB without people's captions, Pearson's r": "THumB without people's captions",
    "THumB, Pearson's r": "THumB",
}

# On the whole sets, of which ours are three fifths of the pictures. Flickr8k: Hessel et al., "CLIPScore",
# 2021, arXiv:2104.08718, as the notes with the data quote it from memory; THumB: 2,000 and 2,500 ratings of
# Kasai et al., 2022, arXiv:2111.08940, computed again with public implementations.
WHOLE: dict[tuple[str, str], float] = {
    ("Flickr8k experts", "BLEU-1"): 0.323,
    ("Flickr8k experts", "BLEU-4"): 0.308,
    ("Flickr8k experts", "ROUGE-L (COCO)"): 0.323,
    ("Flickr8k experts", "CIDEr-D"): 0.439,
    ("Flickr8k crowd", "BLEU-4"): 0.169,
    ("Flickr8k crowd", "ROUGE-L (COCO)"): 0.199,
    ("Flickr8k crowd", "CIDEr-D"): 0.246,
    ("THumB without people's captions", "BLEU (sacrebleu)"): 0.25,
    ("THumB without people's captions", "BLEU-4"): 0.19,
    ("THumB without people's captions", "ROUGE-L (COCO)"): 0.31,
    ("THumB without people's captions", "CIDEr-D"): 0.33,
    ("THumB", "BLEU (sacrebleu)"): 0.13,
    ("THumB", "BLEU-4"): 0.10,
    ("THumB", "ROUGE-L (COCO)"): 0.19,
    ("THumB", "CIDEr-D"): 0.23,
}


def same_part() -> dict[tuple[str, str], float]:
    """The numbers of pycocoevalcap 1.2 on our judgements, by line and metric."""
    return {
        (_OURS.get(line, line.replace(", 5 references", "")), ours): value / 100
        for line, values in EXPECTED.items()
        if "50 references" not in line
        for (_, ours), value in zip(REPORTED.items(), values, strict=True)
    }
