"""The score of a trivial rule, shown beside a model's.

So that no one takes noise for skill.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from spanish_tok.tasks.examples import Example
from spanish_tok.tasks.task import Task
from spanish_tok.text.table import normalize

SENTENCE_END = re.compile(r"(?<=[.!?…])[\"»”)]*\s+(?=[\"«“(¿¡]*[A-ZÁÉÍÓÚÜÑ0-9])")
# capitalised words and numbers, joined by the small words of Spanish names: "Martín Fierro", "Mar del Plata"
NAME = r"(?:[A-ZÁÉÍÓÚÜÑ][\w'’-]*|\d[\d.,]*\d|\d)"
NAMES = re.compile(rf"{NAME}(?: (?:(?:de|del|la|las|los) ){{0,2}}{NAME})*")


def first_sentence(text: str) -> str:
    """Return the first sentence of a text, as a summary.

    >>> first_sentence("Llueve en Jujuy, dijo el Sr. alcalde. Mañana no.")
    'Llueve en Jujuy, dijo el Sr. alcalde.'
    """
    return SENTENCE_END.split(text.strip(), maxsplit=1)[0]


def longest_name(question: str, context: str) -> str:
    """Return the longest name in the context that the question does not hold.

    A name is a run of capitalised words and numbers.

    >>> longest_name("¿Quién fundó Lima?", "En Lima, que Francisco Pizarro fundó en 1535, llovía.")
    'Francisco Pizarro'
    """
    asked = set(re.findall(r"\w+", normalize(question)))
    spans = [span for span in NAMES.findall(context) if not asked & set(re.findall(r"\w+", normalize(span)))]
    return max(spans, key=len, default="")


def majority(labels: Mapping[str, int] | Iterable[str]) -> str:
    """Return the most frequent label.

    Of equally frequent ones the first in the alphabet.

    >>> majority(["ley", "decreto", "ley"])
    'ley'
    """
    counts = Counter(labels)
    return min(counts, key=lambda label: (-counts[label], label))


# what the rule of each family of metrics is called in a table
RULES = {"summaries": "first sentence", "answers": "longest name or number", "classes": "majority class"}


def baseline(task: Task, examples: Sequence[Example], labels: Mapping[str, int]) -> list[str]:
    """Return what the trivial rule of a task's family answers to each example.

    `labels` are those of the training data.
    """
    shown = task.shortened
    if task.classifies:
        return [majority(labels)] * len(examples)
    if task.family == "summaries":
        return [first_sentence(example.fields[shown]) for example in examples]
    others = [name for name in task.input_fields if name != shown]
    return [
        longest_name(" ".join(example.fields[name] for name in others), example.fields[shown])
        for example in examples
    ]
