"""Metrics of generated text, with Spanish in mind.

ROUGE, exact match and F1 of answers, classes.

ROUGE is torchmetrics', accuracy and macro F1 are scikit-learn's. torchmetrics by itself would split "año" into
"a o" and strip English articles only: hence the normalizer and tokenizer passed in, and `answer_words`.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import Any, TypeAlias

from spanish_tok.text.table import normalize

ARTICLES = frozenset({"el", "la", "los", "las", "un", "una", "unos", "unas"})
References: TypeAlias = str | Sequence[str]  # of one record: a text, or several that are right
WORD = re.compile(r"[a-záéíóúüñºª0-9]+")


def words(text: str) -> list[str]:
    """Return the words of a text for ROUGE: normalized, without punctuation.

    >>> words("¿El AÑO «2024»? Sí.")
    ['el', 'año', '2024', 'sí']
    """
    return WORD.findall(normalize(text))


def answer_words(text: str) -> list[str]:
    """Return the words of an answer that count.

    Lower case, no punctuation («», ¿ included), no Spanish articles.

    The rule of SQuAD (Rajpurkar et al. 2016), with articles and punctuation as in MLQA (Lewis et al. 2020).

    >>> answer_words("¿La «Niña»?"), answer_words("1.500 años")
    (['niña'], ['1500', 'años'])
    """
    kept = "".join(character for character in normalize(text) if not _is_punctuation(character))
    return [word for word in kept.split() if word not in ARTICLES]


def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character).startswith("P")


def score_answer(prediction: str, reference: str) -> tuple[float, float]:
    """(exact match, F1 over words) of one answer, each from 0 to 1.

    >>> score_answer("el río Duero", "Río Duero")
    (1.0, 1.0)
    >>> score_answer("en 1492", "1492")
    (0.0, 0.6666666666666666)
    """
    predicted, expected = answer_words(prediction), answer_words(reference)
    exact = float(predicted == expected)
    common = (Counter(predicted) & Counter(expected)).total()
    return exact, 2 * common / (len(predicted) + len(expected)) if common else exact


def score_answers(predictions: Sequence[str], references: Sequence[References]) -> dict[str, float]:
    """Exact match and F1, averages over the records, from 0 to 1.

    Of several references of a record the best counts, for each metric.

    >>> score_answers(["la luna", "no"], ["Luna", ["sí", "no, nunca", "no sé"]])
    {'exact_match': 0.5, 'f1': 0.8333333333333333}
    """
    best = [
        [
            max(figures)
            for figures in zip(*(score_answer(answer, right) for right in several(rights)), strict=True)
        ]
        for answer, rights in zip(predictions, references, strict=True)
    ]
    return {"exact_match": fmean(exact for exact, _ in best), "f1": fmean(f1 for _, f1 in best)}


def several(references: References) -> Sequence[str]:
    """Return the references of a record, one or several, as a list."""
    return [references] if isinstance(references, str) else references


def score_summaries(predictions: Sequence[str], references: Sequence[References]) -> dict[str, float]:
    """Return ROUGE-1, 2 and L: F1 measures, averaged over the records, 0 to 1.

    Lin 2004. Of several references of a record the best counts, for each metric.

    >>> score_summaries(["el año nuevo"], ["¡El AÑO nuevo!"])
    {'rouge1': 1.0, 'rouge2': 1.0, 'rougeL': 1.0}
    """
    from torchmetrics.functional.text.rouge import rouge_score

    keys = ("rouge1", "rouge2", "rougeL")
    scores: dict[str, Any] = rouge_score(
        list(predictions),
        [list(several(rights)) for rights in references],
        accumulate="best",
        rouge_keys=keys,
        normalizer=normalize,
        tokenizer=WORD.findall,
    )
    return {key: float(scores[f"{key}_fmeasure"]) for key in keys}


def score_classes(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Return accuracy, and F1 averaged over the classes.

    The classes are those of the references or the predictions.

    >>> score_classes(["sí", "sí"], ["sí", "no"])
    {'accuracy': 0.5, 'macro_f1': 0.3333333333333333}
    """
    from sklearn.metrics import accuracy_score, f1_score

    return {
        "accuracy": float(accuracy_score(references, predictions)),
        "macro_f1": float(f1_score(references, predictions, average="macro", zero_division=0)),
    }


def confusion(
    predictions: Sequence[str], references: Sequence[str], labels: Sequence[str]
) -> list[list[int]]:
    """Return how often each label (row) was taken for each (column).

    In the order of `labels`.
    """
    from sklearn.metrics import confusion_matrix

    return [[int(n) for n in row] for row in confusion_matrix(references, predictions, labels=list(labels))]


SCORES = {"summaries": score_summaries, "answers": score_answers, "classes": score_classes}
