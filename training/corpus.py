"""Samples as token arrays: ids, training weights, cost of derivation; cached by what made them."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from training.grammar.view import Sample
from training.render import pieces

_CHUNK = 4000
_WINDOW = 2048


@dataclass(frozen=True)
class Corpus:
    """Samples one after another; sample i is `[start[i], start[i + 1])`. `weight` is in hundredths.

    `own` marks tokens derived as the viewer's reply; `nats` is the cost of deriving all of them, per sample.
    """

    ids: npt.NDArray[np.uint16]
    weight: npt.NDArray[np.uint8]
    own: npt.NDArray[np.bool_]
    start: npt.NDArray[np.int64]
    nats: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.nats)

    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens per sample."""
        return np.diff(self.start)


@dataclass(frozen=True)
class Extract:
    """Samples `first .. first + count` of a grammar's function, those of more than `context` tokens left out."""

    sample: Callable[[int], Sample]
    first: int
    count: int
    context: int


def build(tokenizer: Tokenizer, extract: Extract) -> Corpus:
    """The extract as arrays."""
    ids: list[npt.NDArray[np.uint16]] = []
    weight: list[npt.NDArray[np.uint8]] = []
    own: list[npt.NDArray[np.bool_]] = []
    nats: list[float] = []
    stop = extract.first + extract.count
    for low in range(extract.first, stop, _CHUNK):
        drawn = [extract.sample(seed) for seed in range(low, min(low + _CHUNK, stop))]
        cut = [pieces(one) for one in drawn]
        texts = sorted({piece.text for parts in cut for piece in parts})
        encoded = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        table = {text: entry.ids for text, entry in zip(texts, encoded, strict=True)}
        for one, parts in zip(drawn, cut, strict=True):
            sizes = [len(table[piece.text]) for piece in parts]
            if sum(sizes) > extract.context:
                continue
            ids.append(np.concatenate([np.asarray(table[piece.text], np.uint16) for piece in parts]))
            weight.append(np.repeat(np.array([round(100 * p.weight) for p in parts], np.uint8), sizes))
            own.append(np.repeat(np.array([piece.own for piece in parts], np.bool_), sizes))
            nats.append(sum(line.nats for line in one.lines if line.nats is not None))
    start = np.cumsum([0] + [len(entry) for entry in ids])
    return Corpus(np.concatenate(ids), np.concatenate(weight), np.concatenate(own), start, np.array(nats))


def grammar_digest() -> str:
    """Hash of the files that decide what a sample number means."""
    root = Path(__file__).parent
    files = sorted([*root.glob("grammar/**/*.py"), *root.glob("grammar/bank/*.txt"), root / "render.py"])
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def cached(tokenizer: Tokenizer, extract: Extract, folder: Path) -> Corpus:
    """`build`, or what it gave for the same arguments and the same grammar before."""
    what = f"{extract.sample.__name__} {extract.first} {extract.count} {extract.context}"
    key = f"{grammar_digest()} {tokenizer.to_str()} {what}"
    path = folder / f"corpus-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
    if not path.exists():
        corpus = build(tokenizer, extract)
        partial = path.with_suffix(".partial.npz")
        np.savez(
            partial,
            ids=corpus.ids,
            weight=corpus.weight,
            own=corpus.own,
            start=corpus.start,
            nats=corpus.nats,
        )
        partial.replace(path)
    with np.load(path) as stored:
        return Corpus(stored["ids"], stored["weight"], stored["own"], stored["start"], stored["nats"])


def batches(corpus: Corpus, tokens: int, seed: int, longest: int) -> Iterator[npt.NDArray[np.int64]]:
    """Sample numbers of similar length, at most `tokens` padded tokens at a time; endless, reshuffled.

    Samples of more than `longest` tokens are left out.
    """
    lengths = corpus.lengths()
    rng = np.random.default_rng(seed)
    admitted = np.flatnonzero(lengths <= longest)
    while True:
        order = admitted[rng.permutation(len(admitted))]
        groups: list[npt.NDArray[np.int64]] = []
        for low in range(0, len(order), _WINDOW):
            window = order[low : low + _WINDOW]
            window = window[np.argsort(lengths[window], kind="stable")]
            begin = 0
            for end in range(1, len(window) + 1):
                if end == len(window) or lengths[window[end]] * (end + 1 - begin) > tokens:
                    groups.append(window[begin:end])
                    begin = end
        for i in rng.permutation(len(groups)):
            yield groups[i]


def padded(
    corpus: Corpus, chosen: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Ids, weights and own marks of the chosen samples, each `[B, T]`, padded on the right with zeros."""
    longest = int(corpus.lengths()[chosen].max())
    ids = np.zeros((len(chosen), longest), np.int64)
    weight = np.zeros((len(chosen), longest), np.float32)
    own = np.zeros((len(chosen), longest), np.bool_)
    for row, i in enumerate(chosen):
        low, high = corpus.start[i], corpus.start[i + 1]
        ids[row, : high - low] = corpus.ids[low:high]
        weight[row, : high - low] = corpus.weight[low:high] / 100
        own[row, : high - low] = corpus.own[low:high]
    return ids, weight, own
