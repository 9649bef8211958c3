"""Fine-tuning of tiny models: it learns, resumes, refuses what does not fit; transformers gives the same answers."""

import csv
import io
import json
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import spanish_tok as st  # noqa: E402
from spanish_tok import (  # noqa: E402
    FinetuneOptions,
    SpanishTokError,
    T5Config,
    Task,
    Vocabulary,
)
from spanish_tok.generation.beam_search import search  # noqa: E402
from spanish_tok.generation.sampling import GenerateOptions  # noqa: E402
from spanish_tok.progress import Bar  # noqa: E402
from spanish_tok.t5.model import T5  # noqa: E402
from spanish_tok.t5.safetensors import read_metadata  # noqa: E402
from spanish_tok.t5.torch_backend import TorchBackend  # noqa: E402
from spanish_tok.tasks.choices import candidate_spans  # noqa: E402
from spanish_tok.tasks.examples import RowReport, divide, read_examples  # noqa: E402
from spanish_tok.tasks.predictor import Predictor  # noqa: E402
from spanish_tok.text.table import spanish_table  # noqa: E402
from spanish_tok.tokenization.adapters import TokenizerAdapter  # noqa: E402
from spanish_tok.tokenization.tokenizer import Tokenizer  # noqa: E402
from spanish_tok.training.finetuning.step import FinetuneStep  # noqa: E402
from spanish_tok.training.log import read_log  # noqa: E402
from spanish_tok.training.loop import STATE  # noqa: E402


def finetune(
    model: Path, source: Path, task: Task, output: Path, options: FinetuneOptions, **others: Any
) -> st.Evaluation | None:
    """Fine-tune, and return the evaluation alone; `report` is filled as the result's."""
    report = others.pop("report", None)
    validation = others.pop("validation_source", None)
    result: st.FinetuneResult = st.finetune(
        source, output, task=task, model=model, options=options, validation=validation, **others
    )
    if report is not None:
        vars(report).update(vars(result.report))
    assert not isinstance(result.evaluation, st.AccentEvaluation)
    return result.evaluation


def evaluate(model: Path, source: Path, part: Any = "all", **others: Any) -> st.Evaluation:
    evaluation = st.evaluate(source, model=model, part=part, **others)
    assert isinstance(evaluation, st.Evaluation)
    return evaluation


def predict(model: Path | Predictor, source: Path) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = st.predict(files=source, model=model)
    return answers


NOUNS = [
    *("perro", "gato", "luna", "sol", "río", "monte", "cielo", "mar"),
    *("pan", "vino", "casa", "puerta", "mesa", "silla", "libro", "año"),
]
COLOURS = ["rojo", "verde", "azul"]
KINDS = ("summarization", "question-answering", "classification")


def record(i: int) -> dict[str, str]:
    """A record that every preset can read."""
    one, two = NOUNS[i % 16], NOUNS[(i * 7 + i // 16) % 16]
    return {
        "id": f"r{i}",
        "text": f"El {one} número {i} y la {two} grande. Nada más.",
        "summary": f"{two}, {one}",
        "question": f"¿Qué hay en {i}?",
        "context": f"Primero el {one}; al lado está {two} {i}.",
        "answer": f"{two} {i}",
        "label": COLOURS[(i * 5 + i // 3) % 3],
    }


def write(path: Path, records: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    return path


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model with random weights."""
    folder = tmp_path_factory.mktemp("start")
    torch.manual_seed(0)
    config = T5Config.spanish_tiny(d_model=32, d_kv=8, d_ff=64, num_layers=1, num_decoder_layers=1)
    T5(config).save(folder, Vocabulary.load())
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "data.jsonl", [record(i) for i in range(24)])


OPTIONS = FinetuneOptions(
    epochs=2, batch_size=4, held_out=0.25, validation=0.25, dropout=0.0, learning_rate=0.01
)


@pytest.fixture(scope="module")
def tuned(start: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model of each kind, hardly trained."""
    folder = tmp_path_factory.mktemp("tuned")
    for kind in KINDS:
        assert finetune(start, data, Task.load(kind), folder / kind, OPTIONS)
    return {kind: folder / kind for kind in KINDS}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_64_records_of_each_kind_are_memorized(kind: str, tmp_path: Path) -> None:
    """100 % exact match on the training records, in our loop and in transformers: the whole path is right."""
    torch.manual_seed(0)
    config = T5Config.spanish_tiny(d_model=64, d_kv=16, d_ff=128, num_layers=2, num_decoder_layers=2)
    T5(config).save(tmp_path / "start", Vocabulary.load())
    data = write(tmp_path / "data.jsonl", [record(i) for i in range(64)])
    metric = "accuracy" if kind == "classification" else "exact_match"
    task = replace(Task.load(kind), metric=metric, target_tokens=16)
    options = FinetuneOptions(epochs=80, validation=0, dropout=0.0, learning_rate=0.01, patience=15)
    found = finetune(tmp_path / "start", data, task, tmp_path / "tuned", options, validation_source=data)
    assert found is not None
    assert found.value == 1.0
    if kind != "classification":
        assert theirs(tmp_path / "tuned", kind, 64, **rule_of(kind, tmp_path / "tuned")) == [
            told["prediction"] for told in predict(tmp_path / "tuned", data)
        ]


def theirs(folder: Path, kind: str, count: int, **options: Any) -> list[str]:
    """What transformers answers to the first records, given the task's inputs as text."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSeq2SeqLM.from_pretrained(folder)
    task = Task.load(kind)
    texts = [task.render(record(i)) for i in range(count)]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    written = model.generate(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        max_new_tokens=task.target_tokens,
        do_sample=False,
        num_beams=1,
        **options,
    )
    return [
        tokenizer.decode(row, skip_special_tokens=True, clean_up_tokenization_spaces=False).strip()
        for row in written
    ]


def rule_of(kind: str, folder: Path) -> dict[str, Any]:
    """What transformers has to be told so that it, too, answers with a span of the record's text."""
    if kind != "question-answering":
        return {}
    codec, longest = TokenizerAdapter.of(Tokenizer.load(folder)), Task.load(kind).target_tokens

    def allowed(place: int, ids: Any) -> tuple[int, ...]:
        return candidate_spans(record(place)["context"], codec, 1, longest).allowed(ids.tolist()[1:])

    return {"prefix_allowed_tokens_fn": allowed}


@pytest.mark.parametrize("kind", ["summarization", "question-answering"])
def test_transformers_gives_the_same_answers(kind: str, tuned: dict[str, Path], data: Path) -> None:
    ours = [told["prediction"] for told in predict(tuned[kind], data)][:8]
    assert theirs(tuned[kind], kind, 8, **rule_of(kind, tuned[kind])) == ours


def test_answers_are_spans_also_where_nothing_was_learnt(tuned: dict[str, Path], tmp_path: Path) -> None:
    rows = [
        {"question": "¿Qué?", "context": text} for text in ("Lima, 1535.", "«Ñandú»", "…", "a " * 900 + "fin")
    ]
    told = list(predict(tuned["question-answering"], write(tmp_path / "rows.jsonl", rows)))
    assert told[0]["prediction"] in ("lima", "1535", "lima, 1535")
    assert [one["prediction"] for one in told[1:3]] == ["ñandú", ""]
    assert set(told[3]["prediction"].split()) <= {"a", "fin"}
    assert all(one["score"] <= 0 for one in told)


def test_a_target_that_is_no_span_is_noted_and_learnt_as_it_is(start: Path, tmp_path: Path) -> None:
    report = RowReport()
    rows = [record(i) for i in range(8)] + [{**record(8), "answer": "otra cosa"}]
    strange = write(tmp_path / "strange.jsonl", rows)
    options = replace(OPTIONS, epochs=1, held_out=0.0, validation=0.0)
    finetune(start, strange, Task.load("question-answering"), tmp_path / "out", options, report=report)
    assert report.noted == {"targets that are no part of context": 1}
    assert not report.dropped


def test_a_class_is_always_a_label_and_has_a_probability(tuned: dict[str, Path], data: Path) -> None:
    folder = tuned["classification"]
    predictor = Predictor.load(folder)
    told = list(predict(predictor, data))
    for one in told:
        assert one["prediction"] == next(iter(one["probabilities"]))
        assert set(one["probabilities"]) == set(COLOURS)
        assert sum(one["probabilities"].values()) == pytest.approx(1.0, abs=1e-5)
    labels = predictor.labels
    assert labels is not None
    inputs = [(*predictor.codec.encode(predictor.task.render(record(i))), 1) for i in range(8)]
    # all labels begin with ids of their own: the greedy choice among legal ids is then the most probable label
    assert len({ids[0] for ids in labels.ids}) == len(COLOURS)
    found = search(TorchBackend(predictor.model), inputs, GenerateOptions(16), labels.allowed)
    constrained = [predictor.codec.decode(one.ids) for one in found]
    assert constrained == [one["prediction"] for one in told[:8]]
    in_transformers = theirs(
        folder, "classification", 8, prefix_allowed_tokens_fn=lambda _, ids: labels.allowed(ids.tolist()[1:])
    )
    assert in_transformers == constrained


def test_probabilities_are_the_softmax_over_what_may_follow(start: Path) -> None:
    """The classifier against a slow twin: one label, one id at a time."""
    from spanish_tok.tasks.choices import Labels
    from spanish_tok.tasks.classifier import Classifier

    labels = Labels.build(["decreto", "decreto_ley", "ley"], TokenizerAdapter.of(Tokenizer.load()), 1, 16)
    model = T5.load(start)
    ids = torch.tensor([[50, 60, 70, 1], [80, 90, 1, 0]])
    mask = (ids != 0).long()
    found = Classifier(model, labels).log_probabilities(ids, mask)
    for row in range(2):
        for place, label in enumerate(labels.ids):
            expected = 0.0
            for at, number in enumerate(label):
                written = torch.tensor([[0, *label[:at]]])
                with torch.no_grad():
                    logits = model(ids[row : row + 1], None, mask[row : row + 1], written)[0, -1]
                legal = logits[list(labels.allowed(label[:at]))]
                expected += float(logits[number] - legal.logsumexp(0))
            assert found[row, place].item() == pytest.approx(expected, abs=1e-4)


class Stop(Bar):
    """Fails at a step, as a crash would."""

    def __init__(self, at: int, error: type[BaseException]) -> None:
        self.left, self.error = at, error

    def advance(self, amount: float = 1) -> None:
        self.left -= int(amount)
        if self.left == 0:
            raise self.error


def losses(folder: Path) -> list[tuple[str, str, str]]:
    rows = csv.DictReader(io.StringIO((folder / "log.csv").read_text()))
    return [(row["step"], row["loss"], row["metric"]) for row in rows]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_fine_tuning_goes_on_as_if_nothing_had_happened(
    error: type[BaseException], start: Path, data: Path, tmp_path: Path
) -> None:
    options = replace(OPTIONS, dropout=0.1, save_every=2)
    task = Task.load("classification")
    finetune(start, data, task, tmp_path / "whole", options)
    with pytest.raises(error):
        finetune(start, data, task, tmp_path / "halved", options, progress=Stop(5, error))
    finetune(start, data, task, tmp_path / "halved", options)
    assert losses(tmp_path / "halved") == losses(tmp_path / "whole")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "halved")]
    assert weights[0] == weights[1]
    assert (tmp_path / "whole" / "loss.svg").exists()


def test_another_fine_tuning_in_the_same_folder_is_refused(
    tuned: dict[str, Path], start: Path, data: Path
) -> None:
    with pytest.raises(SpanishTokError, match="holds another training: it differs in options"):
        finetune(
            start, data, Task.load("classification"), tuned["classification"], replace(OPTIONS, dropout=0.5)
        )
    with pytest.raises(SpanishTokError, match="differs in data, task"):
        finetune(start, data, Task.load("summarization"), tuned["classification"], OPTIONS)


def test_early_stopping_keeps_the_best(start: Path, data: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, epochs=9, patience=2, learning_rate=1e-9)
    finetune(start, data, Task.load("classification"), tmp_path / "out", options)
    assert len({step for step, _, _ in losses(tmp_path / "out")}) == 3 * 3
    assert json.loads((tmp_path / "out" / "task.json").read_text())["notes"]["epoch"] == 1


def test_evaluation_of_the_held_out_part_is_that_of_the_fine_tuning(
    tuned: dict[str, Path], data: Path
) -> None:
    for folder in tuned.values():
        report = RowReport()
        found = evaluate(folder, data, "held-out", report=report)
        assert found.to_dict() == json.loads((folder / "evaluation.json").read_text())
        assert found.records == 6
        assert report.rows == 24


def test_trainings_with_several_seeds_share_the_parts_of_a_split_seed(
    start: Path, data: Path, tmp_path: Path
) -> None:
    targets = {}
    for seed, split in ((0, None), (1, 0), (2, 0), (1, None)):
        folder = tmp_path / f"{seed}-{split}"
        options = replace(OPTIONS, epochs=1, seed=seed, split_seed=split)
        finetune(start, data, Task.load("summarization"), folder, options)
        assert evaluate(folder, data, "held-out").to_dict() == json.loads(
            (folder / "evaluation.json").read_text()
        )
        predictor = Predictor.load(folder)
        examples = read_examples(data, predictor.task, predictor.codec, predictor.end, RowReport())
        parts = divide(examples, predictor.task, **predictor.bundle.division)
        targets[seed, split] = [[example.row for example in part] for part in parts]
    assert targets[0, None] == targets[1, 0] == targets[2, 0] != targets[1, None]
    weights = {(tmp_path / name / "model.safetensors").read_bytes() for name in ("0-None", "1-0", "2-0")}
    assert len(weights) == 3


def test_a_split_seed_is_part_of_a_run_where_it_is_not_the_seed(
    tuned: dict[str, Path], start: Path, data: Path
) -> None:
    folder, task = tuned["classification"], Task.load("classification")
    reached = json.loads(read_metadata(folder / STATE)["notes"])
    assert "split_seed" not in reached["options"]  # as in what was begun before there was one
    assert finetune(start, data, task, folder, replace(OPTIONS, split_seed=0))
    with pytest.raises(SpanishTokError, match="it differs in data, options"):
        finetune(start, data, task, folder, replace(OPTIONS, split_seed=1))
    with pytest.raises(SpanishTokError, match="The seed is -1"):
        replace(OPTIONS, split_seed=-1)


def test_validation_is_a_share_too(start: Path, data: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, epochs=1, validation=0.3)
    for name, how in (("share", {"validation": 0.3}), ("options", {"options": options})):
        changes = {**asdict(replace(OPTIONS, epochs=1)), **how} if name == "share" else how
        st.finetune(data, tmp_path / name, task="classification", model=start, **changes)
    results = [(tmp_path / name / "evaluation.json").read_bytes() for name in ("share", "options")]
    assert results[0] == results[1]
    with pytest.raises(SpanishTokError, match=r"validation is 1\.5"):
        st.finetune(data, tmp_path / "none", task="classification", model=start, validation=1.5)


def test_labels_never_seen_are_counted(tuned: dict[str, Path], tmp_path: Path) -> None:
    rows = [record(1), {**record(2), "label": "violeta"}]
    found = evaluate(tuned["classification"], write(tmp_path / "d.jsonl", rows))
    assert found.unseen == {"violeta": 1}
    assert found.model["accuracy"] <= 0.5


def test_labels_and_data_that_do_not_fit_are_refused(start: Path, data: Path, tmp_path: Path) -> None:
    task = Task.load("classification")
    with pytest.raises(SpanishTokError, match=r"Row \d+ has the label '\w+', which the task does not list"):
        finetune(start, data, replace(task, labels=("rojo", "negro")), tmp_path / "out", OPTIONS)
    faces = write(
        tmp_path / "faces.jsonl", [{"text": f"frase {i}", "label": "😀😡"[i % 2]} for i in range(8)]
    )
    with pytest.raises(SpanishTokError, match="label '😀' becomes ''"):
        finetune(start, faces, task, tmp_path / "out", OPTIONS)
    twins = write(
        tmp_path / "twins.jsonl", [{"text": f"frase {i}", "label": ("sí", "SÍ")[i % 2]} for i in range(8)]
    )
    with pytest.raises(SpanishTokError, match="are the same to the model: 'sí'"):
        finetune(start, twins, task, tmp_path / "out", OPTIONS)
    assert not (tmp_path / "out").exists()


def test_models_that_do_not_fit_are_refused(
    tuned: dict[str, Path], start: Path, data: Path, tmp_path: Path
) -> None:
    task = Task.load("classification")
    with pytest.raises(SpanishTokError, match="is not a folder"):
        finetune(tmp_path / "nothing", data, task, tmp_path / "out", OPTIONS)
    with pytest.raises(SpanishTokError, match="is not a fine-tuned model"):
        Predictor.load(start)
    other = shutil.copytree(tuned["classification"], tmp_path / "other")
    (other / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes()[:-100])
    with pytest.raises(SpanishTokError, match=r"model\.safetensors is not as it was written"):
        Predictor.load(other)
    few = {"▁": -2.0, **dict.fromkeys([c for c in sorted(spanish_table().alphabet) if c != " "], -4.0)}
    another = shutil.copytree(start, tmp_path / "another")
    Vocabulary.build(few, 20, spanish_table()).write_into(another)
    with pytest.raises(SpanishTokError, match="is not the one that the model was trained with"):
        finetune(another, data, task, tmp_path / "out", OPTIONS)
    many = {**few, **{f"▁{number}": -9.0 for number in range(10, 5010)}}
    Vocabulary.build(many, 20, spanish_table()).write_into(another)
    with pytest.raises(SpanishTokError, match=r"the vocabulary has 5,\d+ ids, the model 5,000 rows"):
        finetune(another, data, task, tmp_path / "out", OPTIONS)


def foreign(folder: Path) -> Path:
    """A T5 of another size and vocabulary, as transformers writes it: words as ids, the others unknown."""
    import tokenizers
    from transformers import T5Config as TheirConfig
    from transformers import T5ForConditionalGeneration

    words = ["<pad>", "</s>", "<unk>", "clasificar", ":", "resumir", ".", *NOUNS, *COLOURS, "El", "la", "y"]
    model = tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>")
    engine = tokenizers.Tokenizer(model)
    engine.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    engine.add_special_tokens(["<pad>", "</s>", "<unk>"])
    engine.post_processor = tokenizers.processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    folder.mkdir()
    engine.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "pad_token": "<pad>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "unk_token": "<unk>"}))
    torch.manual_seed(0)
    config = TheirConfig(
        vocab_size=64, d_model=24, d_kv=12, d_ff=48, num_layers=2, num_heads=2, decoder_start_token_id=0
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)
    return folder


def test_a_folder_of_transformers_with_another_vocabulary(data: Path, tmp_path: Path) -> None:
    start = foreign(tmp_path / "foreign")
    report = RowReport()
    rows = [record(i) for i in range(24)] + [{**record(30), "summary": "otras palabras"}]
    mixed = write(tmp_path / "mixed.jsonl", rows)
    finetune(start, mixed, Task.load("summarization"), tmp_path / "s", OPTIONS, report=report)
    assert report.dropped == {"target of unknown characters only": 1}
    assert (
        theirs(tmp_path / "s", "summarization", 8)
        == [t["prediction"] for t in predict(tmp_path / "s", data)][:8]
    )
    options = replace(OPTIONS, epochs=30, patience=30, held_out=0.0)
    found = finetune(
        start, data, Task.load("classification"), tmp_path / "c", options, validation_source=data
    )
    assert found is not None
    assert found.value > found.baseline["macro_f1"]
    config = json.loads((tmp_path / "c" / "config.json").read_text())
    assert (config["vocab_size"], config["d_model"], config["num_decoder_layers"]) == (64, 24, 2)


def test_windows_are_answered_by_the_surest_one(tuned: dict[str, Path]) -> None:
    predictor = Predictor.load(tuned["question-answering"])
    windows = ((60, 70, 80, 1), (61, 71, 1), (62, 1))
    from spanish_tok.tasks.examples import Example

    (together,) = predictor.predict_examples([Example(1, {}, "", windows, ())])
    alone = predictor.predict_examples(
        [Example(i, {}, "", (window,), ()) for i, window in enumerate(windows)]
    )
    best = max(alone, key=lambda prediction: prediction.score)
    assert together.text == best.text
    assert together.score == pytest.approx(best.score, abs=1e-4)


def test_the_verbs(start: Path, data: Path, tmp_path: Path) -> None:
    def run(*arguments: object, given: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "spanish_tok", *map(str, arguments)]
        return subprocess.run(command, input=given, capture_output=True, text=True)

    (tmp_path / "task.toml").write_text(
        'name = "color"\ninput = "color: {texto}"\ntarget = "{color}"\nmetric = "accuracy"\n'
    )
    arguments = ["--task", tmp_path / "task.toml", "--column", "texto=text", "--column", "color=label"]
    done = run("finetune", data, "--model", start, *arguments, "--epochs", 1, "--output", tmp_path / "m")
    assert done.returncode == 0, done.stderr
    assert "24 rows, 24 used" in done.stdout
    assert "majority class" in done.stdout
    given = '{"text": "El sol.", "id": "a"}\n{"text": ""}\n[1\n{"text": "La luna."}\n'
    done = run("predict", tmp_path / "m", given=given)
    assert done.returncode == 1, done.stderr  # two records could not be used
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [set(one) for one in told] == [
        {"row", "id", "prediction", "score", "probabilities"},
        {"row", "error"},
        {"row", "error"},
        {"row", "prediction", "score", "probabilities"},
    ]
    assert "empty input (texto)" in told[1]["error"]
    assert done.stderr == "2 predicted, 2 errors\n"
    done = run("evaluate", tmp_path / "m", data, "--part", "validation", "--output", tmp_path / "e.json")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "e.json").read_text())["records"] == 2
    done = run("evaluate", tmp_path / "m", tmp_path / "nothing.jsonl")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_accumulated_gradients_are_those_of_the_whole_batch(start: Path, data: Path, tmp_path: Path) -> None:
    losses = []
    for parts in (1, 3):
        options = replace(OPTIONS, epochs=1, accumulation=parts, batch_size=5, precision="fp32")
        finetune(start, data, Task.load("question-answering"), tmp_path / str(parts), options)
        losses.append([row.loss for row in read_log(tmp_path / str(parts) / "log.csv", FinetuneStep)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_label_smoothing_is_torchs_and_stays_among_what_is_allowed(start: Path) -> None:
    model = T5.load(start)
    inputs, labels = torch.tensor([[20, 21, 1]]), torch.tensor([[30, 1]])
    plain, smooth = (model.loss(inputs, labels, smoothing=share) for share in (0.0, 0.1))
    everything = torch.ones((2, 5000), dtype=torch.bool)
    assert smooth.item() != pytest.approx(plain.item())
    assert model.loss(inputs, labels, allowed=everything, smoothing=0.1).item() == pytest.approx(
        smooth.item()
    )
    few = torch.zeros((2, 5000), dtype=torch.bool)
    few[0, [30, 40]] = few[1, 1] = True
    nats = model.loss(inputs, labels, allowed=few, smoothing=0.2, reduction="none")
    right = model.loss(inputs, labels, allowed=few, reduction="none")
    other = model.loss(inputs, torch.tensor([[40, 1]]), allowed=few, reduction="none")
    assert nats[0].item() == pytest.approx(0.9 * right[0].item() + 0.1 * other[0].item())
    assert nats[1].item() == pytest.approx(0.0, abs=1e-6)
