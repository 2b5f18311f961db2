"""Reading attributes back from a reply, by the grammar's own phrases.

Exact on what the grammar derives; on anything else it reports what is marked, and the unremarkable value
where nothing is.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache

from training.grammar import distress, phrases
from training.grammar.style import contract

_EMOJI = tuple(sign for signs in phrases.EMOJI.values() for sign in signs)


def _stem(text: str) -> str:
    """The part of a phrase before its slot, without stops; a comma at its end is kept, as it marks."""
    return text.split("{", maxsplit=1)[0].strip(" ,.!?" if text.startswith(",") else " .!?").lower()


def _pattern(*tables: Iterable[str]) -> re.Pattern[str]:
    """Any of the phrases, spelled in full or contracted."""
    texts = [text for table in tables for text in table]
    stems = {_stem(form) for text in texts for form in (text, contract(text))} - {""}
    ordered = sorted(stems, key=len, reverse=True)
    return re.compile(r"(?<![\w'])(?:" + "|".join(map(re.escape, ordered)) + r")(?![\w'])")


def _manner(value: str) -> re.Pattern[str]:
    reactions = (phrases.AGREES[value], phrases.DISAGREES[value])
    return _pattern(
        phrases.LEADS[value], phrases.MORE[value], phrases.SO[value], phrases.TAILS[value], *reactions
    )


def _sentiment(value: str) -> re.Pattern[str]:
    ends = (phrases.OPENERS[value], phrases.CLOSERS[value], phrases.STARTERS[value])
    return _pattern(*ends, phrases.TONES[value], distress.COMFORTS[value])


@cache
def _tables() -> Mapping[str, Mapping[str, re.Pattern[str]]]:
    return {
        "sentiment": {value: _sentiment(value) for value in ("warm", "cold")},
        "formality": {value: _manner(value) for value in ("formal", "casual")},
        "confidence": {v: _pattern(phrases.FRAMES[v], phrases.CERTAINTY[v]) for v in ("sure", "unsure")},
        "agreement": {
            "agrees": _pattern(*phrases.AGREES.values()),
            "disagrees": _pattern(*phrases.DISAGREES.values()),
        },
        "politeness": {"polite": _pattern(phrases.POLITE)},
        "distress": {
            level: _pattern(distress.FEELINGS[level], distress.SIGNS[level], distress.TAILS[level])
            for level in "0123"
        },
    }


def sentences(text: str) -> int:
    """Number of sentences, by their final stops."""
    return len(re.findall(r"[.!?](?=\s|$)", text))


def said(reply: str) -> str:
    """The reply without its reasoning."""
    return re.sub(r"^<think>.*?</think>\s*", "", reply, flags=re.DOTALL)


def classify(reply: str) -> dict[str, str]:
    """The value of every attribute as the reply shows it; the most frequent marker wins."""
    text = said(reply)
    plain = text.lower()
    found = {"sentiment": "neutral", "formality": "plain", "confidence": "plain", "agreement": "own"}
    found |= {"politeness": "plain", "distress": "none"}
    for name, values in _tables().items():
        counts = {value: len(pattern.findall(plain)) for value, pattern in values.items()}
        best = max(counts, key=lambda value: counts[value])
        if counts[best]:
            found[name] = best
    length = sentences(text)
    found["verbosity"] = "short" if length <= 2 else "medium" if length <= 4 else "long"
    found["liveliness"] = "lively" if any(sign in text for sign in _EMOJI) else "calm"
    return found
