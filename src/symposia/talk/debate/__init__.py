"""Debate: seats answer in parallel, read one another and answer again; a captain rules whether they agree.

The protocol is a pure function of the transcript, and the answer is one seat's own words.
"""

from .answer import read_answer
from .extract import MARKER, Extracted, extract
from .keys import answer_key
from .protocol import Debate
from .values import DebateAnswer, LedgerRow, Ruling, Seat, Team

__all__ = [
    "MARKER",
    "Debate",
    "DebateAnswer",
    "Extracted",
    "LedgerRow",
    "Ruling",
    "Seat",
    "Team",
    "answer_key",
    "extract",
    "read_answer",
]
