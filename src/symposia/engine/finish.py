"""From a finished sequence to its completion: receipts checked, captures stored, text, spans, usage, columns."""

from __future__ import annotations

from collections.abc import Sequence as Seq

import msgspec

from symposia.core.errors import SelectionMissed
from symposia.core.message import FinishReason
from symposia.core.receipt import Receipt
from symposia.core.request import ChoiceScores, Completion, Logprobs, ServedBy
from symposia.core.usage import Usage
from symposia.core.value import canonical
from symposia.interp.acts.record import Source
from symposia.interp.acts.store import ActivationStore
from symposia.interp.bank import Ledger
from symposia.interp.captured import deliver
from symposia.interp.history import history_positions
from symposia.interp.receipts import Forwarded, receipts

from .model import Model
from .sequence import Sequence


def completion(
    sequence: Sequence,
    model: Model,
    ledger: Ledger,
    store: ActivationStore,
    text: str,
    columns: Logprobs | None,
) -> Completion:
    """Everything a sampled or read sequence leaves. Raises `InterventionNotApplied`, `SelectionMissed`."""
    counted = receipts_of(sequence, ledger)
    stop = len(sequence.token_ids)
    reads = bool(sequence.plan.captures)
    refs, readouts = (
        deliver(sequence.plan, stop, _source(sequence, model, counted), store) if reads else ((), ())
    )
    made = tuple(sequence.token_ids[sequence.n_prompt :])
    whole = Completion(
        text=text,
        syntax=model.template.syntax,
        opens_thinking=sequence.rendered.opens_thinking,
        finish_reason=_reason(sequence),
        usage=Usage(
            input_tokens=sequence.n_prompt,
            output_tokens=sequence.sampled,
            cached_tokens=sequence.cached,
            reasoning_tokens=sum(phase == "reasoning" for phase in sequence.phases),
            cost_usd=0.0,
        ),
        prompt_token_ids=sequence.rendered.token_ids,
        token_ids=made,
        spans=sequence.spans,
        logprobs=columns,
        receipts=counted,
        readouts=readouts,
        activations=refs,
        served=served(sequence, model),
    )
    check_missed(sequence, counted, whole)
    return whole


def scored(sequences: Seq[Sequence], model: Model, ledger: Ledger, totals: Seq[float]) -> Completion:
    """The completion of a `choices` request: receipts of every continuation, in order of continuation."""
    first = sequences[0]
    counted = tuple(receipt for sequence in sequences for receipt in receipts_of(sequence, ledger))
    lengths = tuple(sequence.n_made for sequence in sequences)
    whole = Completion(
        text="",
        syntax=model.template.syntax,
        opens_thinking=first.rendered.opens_thinking,
        finish_reason="stop",
        usage=Usage(
            input_tokens=first.n_prompt, output_tokens=sum(lengths), cached_tokens=first.cached, cost_usd=0.0
        ),
        prompt_token_ids=first.rendered.token_ids,
        spans=first.rendered.spans,
        scores=ChoiceScores(logprobs=tuple(totals), tokens=lengths),
        receipts=counted,
        served=served(first, model),
    )
    check_missed(first, counted, whole)
    return whole


def receipts_of(sequence: Sequence, ledger: Ledger) -> tuple[Receipt, ...]:
    """The receipts of what a sequence's forwards wrote. Raises `InterventionNotApplied`."""
    done = Forwarded(
        fed=sequence.seen,
        reused=frozenset(sequence.reused_positions),
        history=history_positions(sequence.scene) if sequence.plan.bounds else frozenset(),
        policy=sequence.request.history,
    )
    return receipts(sequence.plan, done, ledger)


def check_missed(sequence: Sequence, counted: Seq[Receipt], whole: Completion) -> None:
    """Raise `SelectionMissed`, the completion inside, if an intervention that must not miss met no token."""
    bounds = sequence.plan.bounds
    for i, receipt in enumerate(counted):
        bound = bounds[i % len(bounds)]
        if receipt.status == "missed" and not bound.intervention.may_miss and bound.past_turn is None:
            raise SelectionMissed(
                f"{receipt.op} {receipt.name or receipt.vector} met no token of this turn; "
                "nothing was changed; choose other positions, or say may_miss=True",
                whole,
            )


def served(sequence: Sequence, model: Model) -> ServedBy:
    """Who answered: these weights, under this template, with the seed honoured."""
    request = sequence.request
    return ServedBy(
        endpoint="local",
        model=model.shape.name,
        weights=model.loaded.digest,
        template=model.template.digest,
        date=request.date,
        seed="honoured",
    )


def _reason(sequence: Sequence) -> FinishReason:
    assert sequence.finish is not None
    if sequence.finish == "stop" and "tool" in sequence.phases:
        return "tool_calls"
    return sequence.finish


def _source(sequence: Sequence, model: Model, counted: Seq[Receipt]) -> Source:
    request = sequence.request
    token_ids = tuple(sequence.token_ids)
    return Source(
        about=msgspec.structs.replace(request.about, turn=request.about.turn or request.turn),
        reader=request.speaker,
        model=model.loaded.digest,
        request=request.digest,
        token_ids=token_ids,
        spans=sequence.spans,
        steered=any(receipt.status == "applied" for receipt in counted),
        interventions=canonical(request.interventions).decode(),
        texts=model.words.texts(token_ids),
        specials=model.specials,
        shape=model.shape,
    )
