"""The official clients, pointed at the fake."""

from __future__ import annotations

import anthropic
import openai

from symposia.testing.faults import PLANTED_KEY, FaultyUpstream


def openai_client(server: FaultyUpstream) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=server.base_url, api_key=PLANTED_KEY, max_retries=0)


def anthropic_client(server: FaultyUpstream) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=server.root_url, api_key=PLANTED_KEY, max_retries=0)
