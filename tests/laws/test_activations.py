"""Memory and disk are one store: the same rows put in both answer every question alike."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.positions import Positions, Range, Where, answer, everything, first, prompt, said_by
from symposia.core.request import About
from symposia.core.span import Span
from symposia.interp.acts.query import ActivationQuery
from symposia.interp.acts.record import AmbiguousActivation, Draft, NoActivation, Source
from symposia.interp.acts.store import ActivationStore
from tests.examples import examples

NAMES = ("ann", "bob")
D = 3
WORDS = tuple(f"w{i} " for i in range(20))


@st.composite
def spans(draw):
    """A partition of some tokens, with whatever may stand in it."""
    found, at = [], 0
    for turn in range(draw(st.integers(1, 4))):
        n = draw(st.integers(1, 4))
        author = draw(st.sampled_from((*NAMES, None)))
        found.append(
            Span(
                start=at,
                stop=at + n,
                role=draw(st.sampled_from(("user", "assistant", None))),
                phase=draw(st.sampled_from(("prompt", "answer", "markup"))),
                author=author,
                turn=draw(st.sampled_from((turn, None))),
                origin=draw(st.sampled_from(("given", "sampled"))),
                generated=draw(st.booleans()),
            )
        )
        at += n
    return tuple(found)


@st.composite
def sources(draw):
    """A forward."""
    parts = draw(spans())
    ids = tuple(draw(st.lists(st.integers(0, 19), min_size=parts[-1].stop, max_size=parts[-1].stop)))
    about = About(
        run=draw(st.sampled_from(("", "r"))),
        conversation=draw(st.sampled_from(("", "c", "d"))),
        branch=draw(st.sampled_from(("", "1"))),
        turn=draw(st.integers(0, 2)),
        profile="p",
    )
    model = draw(st.sampled_from(("m", "n")))
    return Source(
        about=about,
        reader=draw(st.sampled_from(NAMES)),
        model=model,
        request=draw(st.sampled_from(("q", "r"))),
        token_ids=ids,
        spans=parts,
        steered=draw(st.booleans()),
        texts=tuple(WORDS[i] for i in ids),
        specials=frozenset({0, 1}),
        created=1.5,
    )


@st.composite
def generations(draw):
    """A forward and what was captured of it."""
    source = draw(sources())
    drafts = []
    for number in range(draw(st.integers(1, 3))):
        chosen = sorted(draw(st.sets(st.sampled_from(range(len(source.token_ids))), min_size=1)))
        runs = tuple((p, p + 1) for p in chosen)
        n = len(chosen)
        reduce = draw(st.sampled_from(("keep", "keep", "keep", "mean", "max")))
        if reduce != "keep":
            n = sum(any(s.start <= p < s.stop for p in chosen) for s in source.spans)
        drafts.append(
            Draft(
                rows=torch.tensor(draw(st.lists(st.integers(-9, 9), min_size=n * D, max_size=n * D)))
                .float()
                .view(n, D),
                site=draw(st.sampled_from(("resid_post", "mlp_out"))),
                layer=draw(st.integers(0, 1)),
                runs=runs,
                name=draw(st.sampled_from(("", "x"))),
                at=draw(st.sampled_from(("after", "before"))),
                reduce=reduce,
                capture=number,
            )
        )
    return source, drafts


WHERE = st.sampled_from(
    (
        None,
        everything(),
        answer(),
        prompt() | said_by("ann"),
        everything() - first(1),
        Positions(any=(Where(turns=(Range(0, 1),), lead=True),)),
        Positions(any=(Where(authors=("self",), text=("w3 w4",), special=True),)),
    )
)


def maybe(*values):
    return st.sampled_from((None, None, *values))


QUERIES = st.builds(
    ActivationQuery,
    reader=maybe(*NAMES),
    run=maybe("", "r"),
    conversation=maybe("", "c"),
    branch=maybe("1"),
    turn=maybe(0, 1),
    model=maybe("m"),
    steered=maybe(True, False),
    site=maybe("resid_post"),
    layer=maybe(0, 1),
    name=maybe("x"),
    at=maybe("after"),
    author=maybe(*NAMES),
    role=maybe("assistant"),
    phase=maybe("answer"),
    where=WHERE,
    made=maybe(True, False),
)


def told(call):
    """What comes of it, or why nothing does."""
    try:
        return call()
    except (NoActivation, AmbiguousActivation, ValueError) as error:
        return type(error).__name__, str(error)


def plain(value):
    return value.tolist() if isinstance(value, torch.Tensor) else value


def everything_of(store, query):
    """All answers to one question, without the names of records."""
    acts = store.query(query)
    pooled = [
        told(lambda how=how, by=by: acts.pool(how, by=by))
        for how in ("mean", "last", "max")
        for by in ("span", "turn", "conversation")
    ]
    return {
        "rows": plain(told(acts.tensors)),
        "tokens": [(t.token_id, t.position, t.span, t.text) for t in acts.tokens()],
        "n": len(acts),
        "one": plain(told(lambda: store.at(query))),
        "pooled": [(plain(p[0]), p[1]) for p in pooled],
        "records": [
            (r.source, r.ref.digest, r.ref.site, r.ref.layer, r.ref.runs, r.at, r.reduce, r.made, r.capture)
            for r in acts.records
        ],
    }


@examples(60)
@given(st.lists(generations(), min_size=1, max_size=6), st.lists(QUERIES, min_size=1, max_size=4), st.data())
def test_memory_and_disk_answer_alike(made, queries, data):
    """Rows, tokens, counts, single records, every pooling, every field; also after some records were dropped."""
    with tempfile.TemporaryDirectory() as folder:
        memory = ActivationStore.memory()
        with ActivationStore.open(Path(folder) / "acts", write=True) as disk:
            refs = [(memory.put(*each), disk.put(*each)) for each in made]
            dropped = data.draw(st.sets(st.sampled_from(range(len(refs))), max_size=1))
            for i in dropped:
                memory.drop(refs[i][0])
                disk.drop(refs[i][1])
            for query in queries:
                assert everything_of(memory, query) == everything_of(disk, query)


@given(generations())
def test_pooling_is_arithmetic_on_the_rows(made):
    """Means, last rows and maxima of plain tensors, by span and by forward."""
    source, drafts = made
    if drafts[0].reduce != "keep":
        return
    store = ActivationStore.memory()
    store.put(source, drafts[:1])
    acts = store.query()
    rows, tokens = acts.tensors().double(), acts.tokens()
    groups = {"span": [t.span.start for t in tokens], "turn": [0] * len(tokens)}
    for by, keys in groups.items():
        at = {key: [i for i, k in enumerate(keys) if k == key] for key in dict.fromkeys(keys)}
        means, notes = acts.pool("mean", by=by)
        assert torch.allclose(means.double(), torch.stack([rows[i].mean(dim=0) for i in at.values()]))
        assert acts.pool("max", by=by)[0].equal(
            torch.stack([rows[i].amax(dim=0) for i in at.values()]).float()
        )
        assert acts.pool("last", by=by)[0].equal(torch.stack([rows[i[-1]] for i in at.values()]).float())
        assert [note.tokens for note in notes] == [len(i) for i in at.values()]
