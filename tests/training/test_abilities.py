"""Promise: the bundled model can do what its card says, here on small samples and with margins."""

import pytest

from training import shipped
from training.abilities import behaviour, patch, skills, steer
from training.abilities.subject import Subject

pytestmark = pytest.mark.timeout(600)  # dozens of whole replies each: minutes where others use the machine

# The high end; formality reaches 0.69 on the card's 120 replies, short of the others' bar of 0.80.
TOP = dict.fromkeys(steer.POLES, 0.7) | {"formality": 0.55}


def test_it_is_fluent_in_its_domain(subject: Subject) -> None:
    """Perplexity of held-out replies stays near the cost of deriving them."""
    row = behaviour.fluency(subject, 120)
    assert row.value <= 1.3, row


def test_turns_end_and_stay_in_their_role(subject: Subject) -> None:
    """Sampled at T = 0.8."""
    row = behaviour.turn_format(subject, 96)
    assert row.value >= 0.94, row


@pytest.mark.parametrize("attribute", behaviour.FOLLOWED)
def test_it_follows_what_the_system_text_states(subject: Subject, attribute: str) -> None:
    """The grammar's own markers read the stated value back."""
    row = behaviour.follows(subject, attribute, 48)
    assert row.value >= 0.8, row


def test_it_remembers_a_planted_word(subject: Subject) -> None:
    """Four to ten utterances later."""
    row = skills.recall(subject, 40)
    assert row.value >= 0.8, row


def test_it_answers_with_the_marker_and_calculates(subject: Subject) -> None:
    """The marker is nearly always there; single-digit sums are mostly right."""
    marker, arithmetic, *_ = skills.answers(subject, 32)
    assert marker.value >= 0.92, marker
    assert arithmetic.value >= 0.7, arithmetic


def test_it_calls_the_calculator(subject: Subject) -> None:
    """One well-formed call, read back as JSON."""
    row, _ = skills.tools(subject, 24)
    assert row.value >= 0.85, row


@pytest.mark.parametrize("attribute", steer.POLES)
def test_a_fitted_direction_moves_its_attribute(subject: Subject, attribute: str) -> None:
    """From rare to common between minus and plus the recorded dose, while the text stays plausible."""
    layer, dose = shipped.recorded().steering[attribute]
    push = steer.directions(subject, attribute, 400)[layer]
    steps = steer.doses(subject, attribute, steer.asked(attribute, 32), layer, push, dose)
    assert steps[0].rate <= 0.3, steps
    assert steps[-1].rate >= TOP[attribute], steps
    assert steer.ratio(steps) <= 2.3, steps


def test_patching_the_planted_word_flips_the_answer_at_some_blocks_only(subject: Subject) -> None:
    """The word's position matters early and no longer late."""
    best, worst = patch.patching(subject, 12)
    assert best.value >= 0.75, best
    assert worst.value <= 0.25, worst
