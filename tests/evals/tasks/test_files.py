import csv
import json

import pytest

from symposia.core.errors import InvalidInput, UnknownName
from symposia.evals.tasks.files import load
from symposia.evals.tasks.rows import FORMS
from symposia.evals.tasks.sets import lines, shipped

GPQA = {
    "Question": "Which is a metal?",
    "Correct Answer": "iron",
    "Incorrect Answer 1": "wood",
    "Incorrect Answer 2": "glass",
    "Incorrect Answer 3": "wool",
    "Explanation": "long",
}
GOOD = {
    "native": {"id": "a", "question": "2 + 2?", "kind": "number", "answer": "4", "options": [], "level": 1},
    "gsm8k": {"question": "How many?", "answer": "First 3.\nThen 4.\n#### 1,234"},
    "math500": {"problem": "$x^2 = 4$, x > 0?", "answer": "2", "level": 3, "subject": "Algebra"},
    "gpqa": GPQA,
    "truthfulqa": {
        "question": "What happens?",
        "mc1_targets": {"choices": ["Nothing", "Much", "Rain"], "labels": [1, 0, 0]},
    },
}


def written(tmp_path, rows, name="my.jsonl"):
    path = tmp_path / name
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("form", sorted(FORMS))
def test_every_form_is_read(tmp_path, form):
    """One row of each form becomes one item, with the answer where the form keeps it."""
    (item,) = load(written(tmp_path, [GOOD[form]]), form)
    right = {"native": "4", "gsm8k": "1234", "math500": "2", "gpqa": "iron", "truthfulqa": "Nothing"}[form]
    assert (item.options["ABCD".index(item.answer)] if item.options else item.answer) == right
    assert "#### " not in item.asked


@pytest.mark.parametrize("form", sorted(FORMS))
def test_a_bad_row_is_named_and_nothing_is_skipped(tmp_path, form):
    """A row without one of its keys: file, line, keys expected and keys found; no other row is given either."""
    key = FORMS[form].keys[-1]
    bad = {("misspelt" if k == key else k): v for k, v in GOOD[form].items()}
    path = written(tmp_path, [{**GOOD[form], "id": "b"} if form == "native" else GOOD[form], GOOD[form], bad])
    with pytest.raises(InvalidInput, match=rf"my\.jsonl:3: expected keys .*{key}.*; got .*misspelt"):
        load(path, form)


@pytest.mark.parametrize(
    ("form", "row", "said"),
    [
        ("gsm8k", {"question": "?", "answer": "it is 4"}, "#### n"),
        ("gsm8k", {"question": "?", "answer": 4}, "Expected `str`"),
        ("truthfulqa", {"question": "?", "mc1_targets": {"choices": ["a", "b"], "labels": [1, 1]}}, "one of them 1"),
        ("truthfulqa", {"question": "?", "mc1_targets": {"choices": ["a"], "labels": [1, 0]}}, "one label a choice"),
        ("gpqa", {**GPQA, "Incorrect Answer 1": "iron"}, "different options"),
        ("native", {"id": "a", "question": "?", "answer": "x", "lvl": 1}, "unknown field `lvl`"),
        ("native", {"id": "a", "question": "?", "answer": "C", "kind": "choice", "options": ["x", "y"]}, "A to B"),
        ("native", [1], "expected a JSON object"),
        ("native", "{broken\n", "expected a JSON object"),
        ("native", "\n", "expected a JSON object"),
    ],
)  # fmt: skip
def test_a_row_of_the_wrong_shape_is_refused(tmp_path, form, row, said):
    """Values are never mended: a row that does not say what its form promises names its line."""
    with pytest.raises(InvalidInput, match=said) as caught:
        load(written(tmp_path, [row]), form)
    assert "my.jsonl:1:" in str(caught.value)


def test_options_have_an_order_of_their_own_from_the_seed(tmp_path):
    """The right answer, first in the file, comes everywhere; the same seed gives the same order, file order aside."""
    rows = [{**GPQA, "Question": f"Which is number {i}?"} for i in range(40)]
    items = load(written(tmp_path, rows), "gpqa", seed=3)
    assert {item.answer for item in items} == set("ABCD")
    again = load(written(tmp_path, rows[::-1]), "gpqa", seed=3)
    assert {i.question: i.options for i in items} == {i.question: i.options for i in again}
    other = load(written(tmp_path, rows), "gpqa", seed=4)
    assert [i.options for i in items] != [i.options for i in other]


def test_a_table_is_read_too(tmp_path):
    """A CSV file with the same columns gives the same items; a short row is named by its line."""
    path = tmp_path / "my.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, GPQA)
        writer.writeheader()
        writer.writerow(GPQA)
    assert load(path, "gpqa") == load(written(tmp_path, [GPQA]), "gpqa")
    path.write_text(path.read_text() + "Which?,iron\n")
    with pytest.raises(
        InvalidInput, match=r"my\.csv:3: expected keys Question.*; got Question, Correct Answer"
    ):
        load(path, "gpqa")


def test_what_ships_is_native(tmp_path):
    """A shipped set written to a file is read back unchanged; an id that stands twice is refused, and so is nothing."""
    path = tmp_path / "set.jsonl"
    path.write_bytes(lines(shipped("ordering")))
    assert load(path) == shipped("ordering")
    path.write_bytes(lines(shipped("ordering")[:1]) * 2)
    with pytest.raises(InvalidInput, match=r"set\.jsonl:2: id 'ordering-001' stands in line 1"):
        load(path)
    path.write_bytes(b"")
    with pytest.raises(InvalidInput, match="at least one row"):
        load(path)


def test_unknown_forms_are_named(tmp_path):
    """A misspelt format: the nearest known one."""
    with pytest.raises(UnknownName, match="did you mean 'gsm8k'"):
        load(written(tmp_path, [GOOD["gsm8k"]]), "gsm8")
