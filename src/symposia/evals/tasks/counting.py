"""How many: letters, words and objects, all of them in the question.

Level 1: one letter in a short word, one thing in a short list. Level 2: a phrase, a longer list. Level 3: two
conditions at once.
"""

from __future__ import annotations

from itertools import pairwise
from random import Random

from .drawn import NAMES, Drawn, number

WORDS = (
    *("apple", "balloon", "banana", "blossom", "bottle", "bubble", "butter", "cabbage", "cactus", "cannon"),
    *("carrot", "cattle", "cherry", "coffee", "cotton", "dinner", "dragon", "falcon", "feather", "garden"),
    *("giraffe", "glass", "grammar", "hammer", "kettle", "ladder", "lantern", "letter", "lizard", "lemon"),
    *("meadow", "mirror", "monsoon", "mountain", "needle", "noodle", "orchard", "parrot", "pebble", "pepper"),
    *("pillow", "planet", "puzzle", "rabbit", "raccoon", "river", "rocket", "saddle", "salad", "sapphire"),
    *("scissors", "shadow", "silver", "spoon", "summer", "teapot", "ticket", "tomato", "tunnel", "village"),
    *("violin", "walnut", "whistle", "window", "winter", "yellow", "zipper", "tattoo", "street", "thunder"),
)
COLOURS = ("red", "blue", "green", "white", "black")
OBJECTS = (
    *(("cup", "cups"), ("ball", "balls"), ("hat", "hats"), ("key", "keys"), ("pen", "pens")),
    *(("spoon", "spoons"), ("button", "buttons"), ("stone", "stones"), ("bell", "bells")),
)
_VOWELS = "aeiou"


def counting(random: Random, level: int) -> Drawn:
    """A question of the level."""
    return random.choice({1: _SHORT, 2: _LONGER, 3: _BOTH}[level])(random)


def _letter(random: Random, text: str) -> str:
    """A letter to ask for: mostly one that is there, the frequent ones more often."""
    return random.choice("aeiorst") if random.random() < 0.1 else random.choice(text.replace(" ", ""))


def _in_word(random: Random) -> Drawn:
    word = random.choice(WORDS)
    letter = _letter(random, word)
    return number(
        f'How many times does the letter "{letter}" occur in the word "{word}"?', word.count(letter)
    )


def _in_list(random: Random) -> Drawn:
    kinds = random.sample(OBJECTS, 3)
    listed = [random.choice(kinds) for _ in range(random.randint(5, 8))]
    one, many = random.choice(kinds)
    told = ", ".join(f"a {name}" for name, _ in listed)
    return number(
        f"On a shelf there are {told}. How many {many} are on the shelf?", listed.count((one, many))
    )


def _of_letters(random: Random) -> Drawn:
    word = random.choice(WORDS)
    return number(f'How many letters does the word "{word}" have?', len(word))


def _in_phrase(random: Random) -> Drawn:
    phrase = " ".join(random.sample(WORDS, random.randint(5, 8)))
    letter = _letter(random, phrase)
    return number(
        f'How many times does the letter "{letter}" occur in the words "{phrase}"?', phrase.count(letter)
    )


def _vowels(random: Random) -> Drawn:
    phrase = " ".join(random.sample(WORDS, random.randint(3, 5)))
    return number(
        f'How many vowels (a, e, i, o, u) are there in the words "{phrase}"?',
        sum(c in _VOWELS for c in phrase),
    )


def _drawer(random: Random) -> Drawn:
    listed = [(random.choice(COLOURS), random.choice(OBJECTS[:5])) for _ in range(random.randint(10, 14))]
    told = ", ".join(f"a {colour} {name}" for colour, (name, _) in listed)
    if random.random() < 0.5:
        colour = random.choice(COLOURS)
        return number(
            f"A drawer holds {told}. How many {colour} things are in the drawer?",
            sum(c == colour for c, _ in listed),
        )
    thing = random.choice(OBJECTS[:5])
    return number(
        f"A drawer holds {told}. How many {thing[1]} of any colour are in the drawer?",
        sum(t == thing for _, t in listed),
    )


def _with_and_without(random: Random) -> Drawn:
    words = random.sample(WORDS, random.randint(9, 13))
    one, other = random.sample("aeolrstn", 2)
    return number(
        f'How many of these words contain the letter "{one}" but not the letter "{other}": {", ".join(words)}?',
        sum(one in word and other not in word for word in words),
    )


def _double(random: Random) -> Drawn:
    words = random.sample(WORDS, random.randint(9, 13))
    return number(
        "How many of these words contain the same letter twice in a row and have more than six letters: "
        f"{', '.join(words)}?",
        sum(len(w) > 6 and any(a == b for a, b in pairwise(w)) for w in words),
    )


def _sold(random: Random) -> Drawn:
    who, colour, (one, many) = random.choice(NAMES), random.choice(COLOURS), random.choice(OBJECTS[:5])
    listed = [(random.choice(COLOURS), random.choice(OBJECTS[:5])) for _ in range(random.randint(12, 16))]
    told = ", ".join(f"a {c} {name}" for c, (name, _) in listed)
    return number(
        f"A shop has {told}. {who} buys every {colour} thing in the shop and every {one}. "
        f"How many things does {who} buy?",
        sum(c == colour or thing == (one, many) for c, thing in listed),
    )


_SHORT = (_in_word, _in_list, _of_letters)
_LONGER = (_in_phrase, _vowels, _drawer)
_BOTH = (_with_and_without, _double, _sold)
