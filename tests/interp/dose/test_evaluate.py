"""An evaluation against what its requests give one by one; laws; a kill at any time."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
import torch

from symposia.core.capture import Capture, Project
from symposia.core.degenerate import degenerate
from symposia.core.errors import InvalidInput
from symposia.core.intervention import Add
from symposia.core.lines import Line, Segment
from symposia.core.positions import answer as answer_positions
from symposia.core.profile import Sampling
from symposia.interp.contrast import READER, pair
from symposia.interp.dose.controls import matched_directions, random_directions
from symposia.interp.dose.journal import Journal
from symposia.interp.dose.scores import LogprobScore, ReadoutScore
from symposia.interp.dose.values import Dose, Push, SampleRow, Scores
from symposia.interp.fit import fit
from symposia.interp.reread import reread
from symposia.interp.vector import SteeringVector
from tests.interp.dose.worlds import LAYERS, QUESTIONS, SAMPLING, evaluated, model_of, prompts, vector_of
from tests.reference.asking import answer, engine_of, line, request
from tests.reference.steering import random_vector

ROOT = Path(__file__).parents[3]
KINDS = {"base", "vector", "wrong_sign", "random"}


def samples(journal, kind, scale=0.0, index=0):
    """Rows of an arm by prompt and seed."""
    return {
        (row.prompt, row.seed): row
        for row in journal.rows.values()
        if isinstance(row, SampleRow) and (row.kind, row.scale, row.index) == (kind, scale, index)
    }


def test_every_row_is_what_its_request_gives():
    """Text, tokens, surprisal, KL, degenerate text, receipts and readout, each asked for by itself."""
    with engine_of("qwen2") as engine:
        vector, journal, free = vector_of(engine), Journal(), engine.store.free
        found = evaluated(engine, vector, journal=journal, questions=QUESTIONS)
        assert engine.store.free == free
        assert {r.kind for r in found.responses} == KINDS
        for kind, scale in (("base", 0.0), ("vector", 0.5), ("wrong_sign", -0.5)):
            edits = (Add(vector=vector.digest, layers=LAYERS, scale=scale, name=kind),) if scale else ()
            for one in prompts():
                row = samples(journal, kind, scale)[one.id, 1]
                ask = request(
                    engine,
                    one.lines,
                    speaker=READER,
                    interventions=edits,
                    sampling=SAMPLING,
                    seed=_seed(one.id),
                )
                alone = asyncio.run(reread(model_of(engine), ask, one.lines))
                done = alone.completion
                assert (row.text, row.tokens) == (done.text, len(done.token_ids))
                assert row.nats == pytest.approx(math.fsum(alone.nats) / len(alone.nats), abs=1e-9)
                assert row.kl == pytest.approx(math.fsum(alone.kl) / len(alone.kl), abs=1e-9)
                assert row.degenerate == degenerate(done.text, done.token_ids)
                assert row.applied == (True if scale else None)
                read = request(
                    engine,
                    (*one.lines, own_line(done)),
                    speaker=READER,
                    turn=2,
                    sampling=Sampling(max_tokens=0),
                    captures=(Capture(layers=(2,), where=answer_positions(), reduce=Project(vector.digest)),),
                )
                values = answer(engine, read).readouts[0].values
                notes = vector.notes(2)
                concept = (sum(values) / len(values) - notes.projection.mean) / notes.fitted_norm + 0.5
                assert row.scores.concept == pytest.approx(concept, abs=1e-6)
            right = [
                answer(
                    engine,
                    request(
                        engine,
                        q.lines,
                        speaker=READER,
                        interventions=edits,
                        choices=q.options,
                        sampling=Sampling(),
                    ),
                ).scores.logprobs
                for q in QUESTIONS
            ]
            expected = sum(max(range(3), key=lambda i: each[i]) == 1 for each in right) / len(right)
            assert found.at(kind, scale).capability.mean == pytest.approx(expected)


def own_line(done):
    """The reply by its own ids: a random model's text may be cut into other tokens."""
    words = done.token_ids if done.finish_reason == "length" else done.token_ids[:-1]
    segment = Segment(
        text=done.text, phase="answer", author=READER, turn=1, origin="sampled", token_ids=words
    )
    return Line(role="assistant", segments=(segment,), kind="turn")


def _seed(prompt, seed=1):
    import hashlib

    return int(hashlib.sha256(f"{prompt}\n{seed}".encode()).hexdigest()[:12], 16)


def test_scale_0_is_the_base_to_the_bit():
    """The same tokens, no KL, the same numbers, no prompt changed for the worse."""
    with engine_of("llama") as engine:
        journal = Journal()
        found = evaluated(engine, vector_of(engine), journal=journal, scales=(0.0,), random=0)
    base, zero = samples(journal, "base"), samples(journal, "vector")
    for key, row in base.items():
        assert zero[key].text == row.text
        assert zero[key].kl == pytest.approx(0.0, abs=1e-12)
        assert zero[key].nats == pytest.approx(row.nats, abs=1e-12)
        assert zero[key].scores.concept == pytest.approx(row.scores.concept, abs=1e-9)
    assert found.at("vector").anti == 0.0
    assert found.chosen is None
    assert found.tried == 0


def test_the_wrong_sign_mirrors():
    """Pushing -v is v's wrong sign: the same texts, the same numbers; what is wrong for one is right for the other."""
    with engine_of("llama") as engine:
        vector = vector_of(engine)
        mirror = SteeringVector(vector.header, {layer: -d for layer, d in vector.directions.items()})
        score = ReadoutScore(vector=vector.digest, layer=2)
        one, other = Journal(), Journal()
        evaluated(engine, vector, journal=one, score=score, scales=(0.7,), random=0)
        evaluated(engine, mirror, journal=other, score=score, scales=(0.7,), random=0)
    for kind, there, scale in (("vector", "wrong_sign", 0.7), ("wrong_sign", "vector", -0.7)):
        ours, theirs = samples(one, kind, scale), samples(other, there, -scale)
        for key, row in ours.items():
            assert theirs[key].text == row.text
            assert theirs[key].kl == pytest.approx(row.kl, abs=1e-9)
            assert theirs[key].scores.concept == pytest.approx(row.scores.concept, abs=1e-9)


def test_a_prompt_baseline_is_compared_in_the_base_context():
    """Its text comes from the trait as system text; perplexity and KL are taken after the prompt without it."""
    with engine_of("llama") as engine:
        journal = Journal()
        evaluated(engine, vector_of(engine), journal=journal, scales=(0.5,), random=0, trait="tea or rain")
        told = line("system", "tea or rain", "system", None)
        for one in prompts():
            ask = request(engine, (told, *one.lines), speaker=READER, sampling=SAMPLING, seed=_seed(one.id))
            done = answer(engine, ask)
            row = samples(journal, "prompt")[one.id, 1]
            assert row.text == done.text
            read = request(
                engine,
                (*one.lines, own_line(done)),
                speaker=READER,
                turn=2,
                sampling=Sampling(max_tokens=0),
                logprobs=0,
            )
            shown = answer(engine, read)
            own = [i for s in shown.spans if s.phase == "answer" for i in range(s.start, s.stop)]
            nats = [-shown.logprobs.prompt[i - 1] for i in own]
            assert tuple(shown.prompt_token_ids[own[0] : own[-1] + 1]) == done.token_ids
            assert row.nats == pytest.approx(sum(nats) / len(nats), abs=1e-6)
            assert row.kl > 1e-4
            assert row.applied is None


def test_all_pushes_are_equally_long():
    """Receipts of random and matched directions say the same length of push as those of the vector, in every unit."""
    with engine_of("llama") as engine:
        model, pairs = model_of(engine), _pairs()
        vector = asyncio.run(fit(pairs, backend=engine, inside=engine, store=engine.store)).vector
        others = [random_directions(vector, LAYERS, seed) for seed in (0, 1)]
        others.append(asyncio.run(matched_directions(vector, LAYERS, pairs, 0, model=model)))
        assert len({each.digest for each in others}) == 3
        for unit in ("fitted", "reference", "absolute"):
            lengths = []
            for each in (vector, *others):
                engine.library.add(each)
                push = Push(layers=LAYERS, unit=unit).of(each.digest, 0.4, "")
                [receipt] = answer(engine, request(engine, interventions=(push,))).receipts
                lengths.append([layer.delta_mean for layer in receipt.layers])
            for length in lengths[1:]:
                assert length == pytest.approx(lengths[0], rel=1e-5)


def test_matched_halves_are_balanced_and_of_the_same_data():
    """The mean difference with half of the pairs swapped, by hand; other data is refused."""
    with engine_of("qwen2") as engine:
        model, pairs = model_of(engine), _pairs()
        vector = asyncio.run(fit(pairs, backend=engine, inside=engine, store=engine.store)).vector
        found = asyncio.run(matched_directions(vector, (2,), pairs, 3, model=model))
        singles = []
        for (
            one
        ) in pairs:  # eight copies of one pair, under other ids and words that do not count, is that pair
            copies = tuple(msgspec.structs.replace(one, id=str(i)) for i in range(8))
            made = asyncio.run(fit(copies, backend=engine, inside=engine, store=engine.store)).vector
            singles.append(made.directions[2] * made.notes(2).fitted_norm)
        order = torch.randperm(8, generator=torch.Generator().manual_seed(3)).tolist()
        signs = [-1.0 if i in order[:4] else 1.0 for i in range(8)]
        expected = sum(sign * single for sign, single in zip(signs, singles, strict=True))
        assert float(torch.nn.functional.cosine_similarity(found.directions[2], expected, dim=0)) > 0.9999
        with pytest.raises(InvalidInput, match="was fitted on data"):
            asyncio.run(matched_directions(vector, (2,), _pairs(" zzz"), 0, model=model))


def _pairs(more=""):
    asked = [
        "what do you say",
        "and then",
        "is it far",
        "who was there",
        "why not",
        "do tell",
        "so",
        "and you",
    ]
    warm, cold = "what a lovely day to walk with you", "leave me be now please"
    return tuple(
        pair(
            str(i),
            [("user", q), ("assistant", f"{warm} {q}{more}")],
            [("user", q), ("assistant", f"{cold} {q}")],
        )
        for i, q in enumerate(asked)
    )


def test_log_probabilities_of_two_replies_are_a_score():
    """log p of one less that of the other under the push; a prompt's own options count first; none is an error."""
    options = (" rain or tea", " nobody")
    with engine_of("llama") as engine:
        vector, journal = vector_of(engine), Journal()
        own = msgspec.structs.replace(prompts()[0], options=(" town", " fox"))
        evaluated(
            engine,
            vector,
            asked=(own, *prompts()[1:]),
            journal=journal,
            score=LogprobScore(positive=options[0], negative=options[1]),
        )
        edit = Add(vector=vector.digest, layers=LAYERS, scale=0.5, name="vector")
        for one, choices in ((own, own.options), (prompts()[2], options)):
            ask = request(
                engine, one.lines, speaker=READER, interventions=(edit,), choices=choices, sampling=Sampling()
            )
            with_trait, without = answer(engine, ask).scores.logprobs
            row = samples(journal, "vector", 0.5)[one.id, 0]
            assert row.scores.concept == pytest.approx(with_trait - without, abs=1e-9)
        with pytest.raises(InvalidInput, match="has no options"):
            evaluated(engine, vector, score=LogprobScore())


def test_a_judge_of_ones_own():
    """It has a name and is given each sample once; unreadable verdicts are counted; another judge's rows are others."""
    seen = []

    async def judge(sample):
        seen.append((sample.configuration.kind, sample.prompt.id, sample.seed, sample.text))
        if sample.seed:
            return Scores(unreadable="it said maybe")
        return Scores(concept=2.0, instruct=1.0, fluency=2.0)

    with engine_of("llama") as engine:
        vector, journal = vector_of(engine), Journal()
        with pytest.raises(InvalidInput, match="judged_by"):
            evaluated(engine, vector, score=judge)
        found = evaluated(engine, vector, score=judge, judged_by="mine", journal=journal, random=0)
        assert len(seen) == len(set(seen)) == 4 * 2 * 4  # arms, seeds, prompts
        ours = found.at("vector", 0.5)
        assert (ours.unreadable, ours.samples, ours.score.mean) == (4, 8, 1.5)
        evaluated(engine, vector, score=judge, judged_by="mine", journal=journal, random=0)
        assert len(seen) == 32
        evaluated(engine, vector, score=judge, judged_by="another", journal=journal, random=0)
        assert len(seen) == 64


def test_one_failure_stops_the_rest_and_keeps_what_was_made():
    """The judge's error comes out as it is; what was under way is made, and no rows of the store stay."""

    async def failing(sample):
        if sample.configuration.kind == "random":
            raise InvalidInput("the judge is out")
        return Scores(concept=1.0)

    with engine_of("llama") as engine:
        vector, journal, free = vector_of(engine), Journal(), engine.store.free
        with pytest.raises(InvalidInput, match="the judge is out"):
            evaluated(engine, vector, score=failing, judged_by="x", journal=journal)
        assert engine.healthy
        again = answer(engine, request(engine))
        assert again.finish_reason
        assert engine.store.free == free
        assert all(row.kind != "random" for row in journal.rows.values())


def test_a_folder_of_something_else_is_refused(tmp_path):
    """Rows that are none of ours are named by line; a torn last line is cut off."""
    (tmp_path / "dose.jsonl").write_bytes(b'{"row": "sample"}\n')
    with pytest.raises(InvalidInput, match=r"dose\.jsonl:1: expected a row"):
        Journal(tmp_path)
    (tmp_path / "dose.jsonl").write_bytes(b'{"row": "sam')
    assert Journal(tmp_path).rows == {}
    assert (tmp_path / "dose.jsonl").read_bytes() == b""


def test_what_cannot_be_evaluated_is_refused():
    """A subspace, a layer the file lacks, one prompt."""
    with engine_of("llama") as engine:
        vector = vector_of(engine)
        for bad, told in (
            ({"vector": random_vector(engine, 1, LAYERS, rank=2)}, "is a subspace of layers"),
            ({"push": Push(layers=(3,))}, r"expected a direction at \[3\]"),
            ({"asked": prompts(1)}, "at least 2 prompts"),
            (
                {"score": ReadoutScore(vector=vector.digest, layer=3)},
                "says nothing of its examples at layer 3",
            ),
        ):
            given = {"score": ReadoutScore(vector=vector.digest, layer=2), **bad}
            with pytest.raises(InvalidInput, match=told):
                evaluated(engine, given.pop("vector", vector), **given)


def close(one, other):
    """The same values, numbers as near as another batch makes them in float64."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close, one, other))
    if isinstance(one, float) and isinstance(other, float | int):
        return one == pytest.approx(other, abs=1e-6, rel=1e-6)
    return one == other


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_run_ends_as_an_uninterrupted_one(tmp_path):
    """kill -9 in the middle, a torn line besides: no row is made twice, none is lost, and dose.json is the same."""
    command = [sys.executable, "-m", "tests.interp.dose.worlds"]
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}

    def run(folder):
        return subprocess.run(
            [*command, folder], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )

    whole = int(run(tmp_path / "whole").stdout)
    rows = tmp_path / "cut" / "dose.jsonl"
    process = subprocess.Popen(
        [*command, tmp_path / "cut"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    )
    until = time.monotonic() + 120
    while time.monotonic() < until and (not rows.exists() or rows.read_bytes().count(b"\n") < whole // 4):
        if process.poll() is not None:
            break
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = rows.read_bytes()
    kept = kept[: kept.rfind(b"\n") + 1]
    before = kept.count(b"\n")
    assert 0 < before < whole
    assert not (tmp_path / "cut" / "dose.json").exists()
    with rows.open("ab") as file:
        file.write(b'{"row": "sample", "key": "sha256:to')
    assert int(run(tmp_path / "cut").stdout) == whole - before
    after = rows.read_bytes()
    assert after.startswith(kept)
    assert len({json.loads(line)["key"] for line in after.splitlines()}) == after.count(b"\n") == whole
    one, other = (json.loads((tmp_path / name / "dose.json").read_text()) for name in ("whole", "cut"))
    assert close(one, other)
    msgspec.json.decode((tmp_path / "cut" / "dose.json").read_bytes(), type=Dose)
