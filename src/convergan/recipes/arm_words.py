"""The arms of a run in plain words, for sentences and headings."""

from convergan.recipes.arms import BASELINE, COMPOSED, CONSISTENCY, CUSTOM, FROZEN, GAN

_PHRASES = {
    COMPOSED: "the GAN composed with consistency",
    GAN: "the GAN",
    CONSISTENCY: "consistency",
    CUSTOM: "the custom terms",
    BASELINE: "the supervised baseline",
    FROZEN: "frozen features",
}
"""Phrase for each arm. It contains the name that the arm has in files and in `--arms`."""


def arm_phrase(name: str) -> str:
    """The arm in plain words, inside a sentence: "the GAN". An unknown name is returned unchanged."""
    return _PHRASES.get(name, name)


def arm_title(name: str) -> str:
    """The arm in plain words, as a heading: "GAN". An unknown name is returned unchanged."""
    if name not in _PHRASES:
        return name
    title = _PHRASES[name].removeprefix("the ")
    return title[0].upper() + title[1:]
