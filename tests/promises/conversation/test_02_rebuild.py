"""Promise 2: rebuilding the request of any sampled message gives its stored request digest."""

from __future__ import annotations

import pytest
from hypothesis import given

from symposia.core.errors import InvalidInput
from symposia.core.message import said
from symposia.core.transcript import Transcript
from symposia.talk.ask import Table
from symposia.talk.converse import discard
from symposia.talk.rebuild import rebuild
from symposia.talk.rules import Kit, Rules
from tests.company import babble, opened, party
from tests.examples import examples
from tests.promises.conversation.conversations import Company, Scripted, companies
from tests.promises.conversation.test_01_resume import whole_of


def table(company: Company) -> Table:
    rules = Rules(**company.rules)
    return Table({p.name: p for p in company.people}, Scripted(babble), rules, Kit(), discard)


@examples(120)
@given(companies())
def test_every_sampled_message_leads_back_to_its_request(company: Company) -> None:
    """From the stored transcript, participants and rules: turns, denied turns, choices, calls and summaries."""
    outcome = whole_of(company)
    stored = Transcript.decode(outcome.transcript.encode())
    for index, message in enumerate(stored):
        if message.origin == "sampled":
            request = rebuild(table(company), stored, index)
            assert request.digest == message.provenance.request
            assert message.stands_for or request.seed == message.provenance.seed


def test_what_was_not_sampled_has_no_request() -> None:
    """A given message was made by no request, and says so."""
    company = Company(protocol=None, people=party("ann"), rules={})
    with pytest.raises(InvalidInput, match="given"):
        rebuild(table(company), opened().append(said("ann", "x")), 1)
