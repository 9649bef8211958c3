"""Metrics: golden cases in Spanish, equality with torchmetrics where it is right, its traps, trivial rules."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanish_tok.tasks.baselines import first_sentence, longest_name, majority
from spanish_tok.tasks.examples import Example
from spanish_tok.tasks.metrics import confusion, score_answer, score_answers, score_classes, score_summaries
from spanish_tok.tasks.scores import score
from spanish_tok.tasks.task import Task
from tests.conftest import TOP

CASES: dict[str, Any] = json.loads((TOP / "tests" / "cases" / "answers-spanish.json").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES["answers"], ids=lambda case: case["prediction"])
def test_answers_by_golden_cases(case: dict[str, Any]) -> None:
    assert score_answer(case["prediction"], case["reference"]) == pytest.approx((case["exact"], case["f1"]))


@pytest.mark.parametrize("case", CASES["summaries"], ids=lambda case: case["prediction"])
def test_summaries_by_golden_cases(case: dict[str, Any]) -> None:
    found = score_summaries([case["prediction"]], [case["reference"]])
    assert found == pytest.approx({name: case[name] for name in ("rouge1", "rouge2", "rougeL")})


# no articles of either language ("a" is one in English, a preposition in Spanish), no accents
PLAIN = st.lists(
    st.sampled_from(["rio", "Mar", "luna,", "1492", "sol.", "(pan)", "vino", "x-y", "$5"]),
    min_size=1,
    max_size=6,
).map(" ".join)


@settings(max_examples=100)
@given(st.lists(st.tuples(PLAIN, PLAIN), min_size=1, max_size=4))
def test_answers_equal_torchmetrics_without_articles_and_accents(pairs: list[tuple[str, str]]) -> None:
    from torchmetrics.functional.text import squad

    predictions = [{"prediction_text": prediction, "id": str(i)} for i, (prediction, _) in enumerate(pairs)]
    targets: list[Any] = [
        {"answers": {"answer_start": [0], "text": [reference]}, "id": str(i)}
        for i, (_, reference) in enumerate(pairs)
    ]
    theirs = squad(predictions, targets)
    ours = score_answers(*map(list, zip(*pairs, strict=True)))
    assert ours["exact_match"] * 100 == pytest.approx(theirs["exact_match"].item(), abs=1e-3)
    assert ours["f1"] * 100 == pytest.approx(theirs["f1"].item(), abs=1e-3)


def test_the_traps_of_torchmetrics_are_there_and_closed_here() -> None:
    from torchmetrics.functional.text import squad
    from torchmetrics.functional.text.rouge import rouge_score

    assert rouge_score("a o", "año", rouge_keys="rouge1")["rouge1_fmeasure"] == 1.0
    assert score_summaries(["a o"], ["año"])["rouge1"] == 0.0
    wrong = squad(
        {"prediction_text": "el río", "id": "1"},
        {"answers": {"answer_start": [0], "text": ["río"]}, "id": "1"},
    )
    assert wrong["exact_match"] == 0.0
    assert score_answer("el río", "río") == (1.0, 1.0)


def test_classes() -> None:
    found = score_classes(["a", "a", "a", "b"], ["a", "a", "b", "b"])
    assert found == pytest.approx({"accuracy": 0.75, "macro_f1": (0.8 + 2 / 3) / 2})
    assert confusion(["a", "a", "a", "b"], ["a", "a", "b", "b"], ["a", "b"]) == [[2, 0], [1, 1]]


def test_trivial_rules() -> None:
    assert first_sentence("Uno. dos. ¿Tres? Sí.") == "Uno. dos."
    assert first_sentence("sin final") == "sin final"
    assert first_sentence("") == ""
    assert longest_name("¿Dónde?", "todo en minúsculas") == ""
    assert longest_name("¿Qué mar?", "El Mar del Norte y Puerto Montt") == "Puerto Montt"
    assert majority({"b": 2, "a": 2}) == "a"


def test_labels_that_the_model_does_not_know_are_errors_and_are_named() -> None:
    task = Task("t", "{x}", "{y}", "accuracy")
    examples = [
        Example(i, {"x": "x", "y": y}, y, ((5, 1),), (6, 1)) for i, y in enumerate(["sí", "no", "quizá"])
    ]
    found = score(task, examples, ["sí", "no", "sí"], {"sí": 5, "no": 4})
    assert found.unseen == {"quizá": 1}
    assert found.model["accuracy"] == pytest.approx(2 / 3)
    assert found.baseline["accuracy"] == pytest.approx(1 / 3)
    assert found.confusion == [[1, 0, 0], [0, 1, 0], [1, 0, 0]]
    assert "'quizá' (1)" in str(found)
    assert json.loads(json.dumps(found.to_dict()))["records"] == 3
