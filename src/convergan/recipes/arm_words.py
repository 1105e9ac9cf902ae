"""The arms of a run in plain words, wherever a sentence names one."""

from convergan.recipes.arms import BASELINE, COMPOSED, CONSISTENCY, CUSTOM, FROZEN, GAN

_PHRASES = {
    COMPOSED: "the GAN composed with consistency",
    GAN: "the GAN",
    CONSISTENCY: "consistency",
    CUSTOM: "the custom terms",
    BASELINE: "the supervised baseline",
    FROZEN: "frozen features",
}
"""Each holds the name that files and the option `--arms` have, so that it is clear which is meant."""


def arm_phrase(name: str) -> str:
    """The arm in plain words, inside a sentence: "the GAN"; a name that is not known as it stands."""
    return _PHRASES.get(name, name)


def arm_title(name: str) -> str:
    """The arm in plain words, standing alone: "GAN"; a name that is not known as it stands."""
    if name not in _PHRASES:
        return name
    title = _PHRASES[name].removeprefix("the ")
    return title[0].upper() + title[1:]
