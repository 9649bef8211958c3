"""The table of docs/how-to/any-t5.md is that of the tests: its kinds, its verbs, one test a cell."""

import re

from tests.conftest import TOP
from tests.t5.foreign import test_transplant, test_trim, test_verbs

TESTS = {
    "shard": test_verbs.test_shard,
    "pretrain": test_verbs.test_pretrain,
    "finetune, predict, evaluate": test_verbs.test_finetune_predict_evaluate,
    "generate": test_verbs.test_generate,
    "export": test_verbs.test_export,
    "bench": test_verbs.test_bench,
    "verify": test_verbs.test_verify,
    "trim": test_trim.test_a_trimmed_model_is_the_same_for_transformers_and_here,
    "transplant": test_transplant.test_rows_are_carried_over,
}


def test_every_cell_is_a_test() -> None:
    page = (TOP / "docs/how-to/any-t5.md").read_text(encoding="utf-8")
    works = page.split("## What works")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in re.findall(r"^\|.*\|$", works, re.M)]
    assert rows[0][1:] == list(TESTS)
    kinds = [row[0] for row in rows[2:]]
    assert kinds == test_verbs.KINDS
    for column, (verb, test) in enumerate(TESTS.items(), 1):
        tried = {mark.args[0]: list(mark.args[1]) for mark in test.pytestmark}
        assert tried["kind"] == kinds
        for row in rows[2:]:
            works = ", ".join(tried.get("backend", ["yes"]))
            refused = verb == "pretrain" and row[0] in test_verbs.WITHOUT_SENTINELS
            assert row[column] == ("no sentinels" if refused else works), (row[0], verb)
