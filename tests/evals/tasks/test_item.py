import pytest

from symposia.core.errors import InvalidInput
from symposia.evals.tasks.item import Item


def test_options_stand_below_the_question():
    """A choice is asked with its options under their letters; another question as it is."""
    item = Item(id="1", question="Which?", kind="choice", answer="B", options=("red", "blue"))
    assert item.asked == "Which?\nA) red\nB) blue"
    assert Item(id="2", question="How many?", kind="number", answer="3").asked == "How many?"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"kind": "choice", "answer": "A"}, "expected options"),
        ({"kind": "number", "answer": "3", "options": ("a", "b")}, "expected options"),
        ({"kind": "choice", "answer": "C", "options": ("a", "b")}, "A to B; got 'C'"),
        ({"kind": "choice", "answer": "AB", "options": ("a", "b")}, "A to B; got 'AB'"),
        ({"kind": "choice", "answer": "A", "options": ("a", "a")}, "different options"),
    ],
)
def test_what_contradicts_itself_is_refused(fields, named):
    """A choice without options, options without a choice, an answer that is none of them."""
    with pytest.raises(InvalidInput, match=named):
        Item(id="x", question="?", **fields)
