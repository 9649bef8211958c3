"""One model for several tasks: their file, batches, metrics, resuming, and the choice of one of them later."""

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import spanish_tok as st  # noqa: E402
from spanish_tok import FinetuneOptions, MixedTask, Mixture, SpanishTokError, Task  # noqa: E402
from spanish_tok.t5.model import T5  # noqa: E402
from spanish_tok.tasks.bundle import TaskBundle  # noqa: E402
from spanish_tok.tasks.examples import Example, ExampleSplit, RowReport, read_examples  # noqa: E402
from spanish_tok.tokenization.adapters import TokenizerAdapter  # noqa: E402
from spanish_tok.training.finetuning.records import TaskRecords  # noqa: E402
from tests.training.test_finetune import KINDS, OPTIONS, Stop, record, write  # noqa: E402

PRESETS = [Task.load(kind) for kind in KINDS]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model with random weights."""
    folder = tmp_path_factory.mktemp("start")
    torch.manual_seed(0)
    config = st.T5Config.spanish_tiny(d_model=32, d_kv=8, d_ff=64, num_layers=1, num_decoder_layers=1)
    T5(config).save(folder, st.Vocabulary.load())
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "data.jsonl", [record(i) for i in range(24)])


def written(folder: Path, *entries: str, name: str = "varias") -> Path:
    """A mixture's file with these entries, one text of TOML each."""
    path = folder / "varias.toml"
    path.write_text(f'name = "{name}"\n' + "".join(f"[[tasks]]\n{entry}\n" for entry in entries))
    return path


def entry(task: str, data: Path | str, more: str = "") -> str:
    return f'task = "{task}"\ndata = "{data}"\n{more}'


@pytest.fixture(scope="module")
def tuned(start: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of all three kinds, hardly trained."""
    folder = tmp_path_factory.mktemp("tuned")
    file = written(folder, *(entry(kind, data) for kind in KINDS))
    st.finetune(file, folder / "model", model=start, options=OPTIONS)
    return folder / "model"


@pytest.mark.slow
def test_64_records_of_three_tasks_are_memorized_by_one_model(tmp_path: Path) -> None:
    """Answers as spans, a class, a summary: each prediction is the target."""
    torch.manual_seed(0)
    config = st.T5Config.spanish_tiny(d_model=64, d_kv=16, d_ff=128, num_layers=2, num_decoder_layers=2)
    T5(config).save(tmp_path / "start", st.Vocabulary.load())
    data = write(tmp_path / "data.jsonl", [record(i) for i in range(64)])
    metrics = {
        "summarization": "exact_match",
        "question-answering": "exact_match",
        "classification": "accuracy",
    }
    tasks = [replace(Task.load(kind), metric=metric, target_tokens=16) for kind, metric in metrics.items()]
    mixture = Mixture("todas", tuple(MixedTask(task, data, validation_data=data) for task in tasks))
    options = FinetuneOptions(epochs=80, validation=0, dropout=0.0, learning_rate=0.01, patience=15)
    result = st.finetune(mixture, tmp_path / "tuned", model=tmp_path / "start", options=options)
    for name, target in zip(metrics, ("summary", "answer", "label"), strict=True):
        assert result.tasks[name].evaluation.value == 1.0
        told = st.predict(files=data, model=tmp_path / "tuned", task=name)
        assert [one["prediction"] for one in told] == [record(i)[target] for i in range(64)]


def test_the_entries_of_a_file_are_read_beside_it(data: Path, tmp_path: Path) -> None:
    (tmp_path / "color.toml").write_text(
        'name = "color"\ninput = "color: {texto}"\ntarget = "{color}"\nmetric = "accuracy"\n'
    )
    path = written(
        tmp_path,
        entry("color.toml", "datos/*.jsonl", 'weight = 2\ncolumns = {texto = "text", color = "label"}'),
        entry("summarization", "owner/name:train", 'weight = 0.5\nvalidation_data = "otros.csv"'),
        entry("question-answering", data),
    )
    mixture = Mixture.load(path)
    assert mixture.name == "varias"
    assert [one.task.name for one in mixture.tasks] == ["color", "summarization", "question-answering"]
    assert [one.data for one in mixture.tasks] == [
        str(tmp_path / "datos/*.jsonl"),
        "owner/name:train",
        str(data),
    ]
    assert [one.weight for one in mixture.tasks] == [2, 0.5, 1]
    assert mixture.tasks[0].task.columns == {"texto": "text", "color": "label"}
    assert mixture.tasks[1].validation_data == str(tmp_path / "otros.csv")


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ([], "it has no 'tasks'"),
        (["task = 'classification'"], r"tasks\[0\] has no 'data'"),
        ([entry("classification", "a.jsonl", "weigth = 2")], r"no entry tasks\[0\].weigth, only task, data"),
        ([entry("classification", "a.jsonl", "weight = true")], r"tasks\[0\].weight is True, not a number"),
        ([entry("classification", "a.jsonl", "weight = 0")], "The weight of classification is 0"),
        ([entry("classification", "a.jsonl", "weight = -1")], "weight of classification is -1"),
        ([entry("classification", "a.jsonl", "weight = nan")], "weight of classification is nan"),
        ([entry("classification", "a.jsonl", "weight = 1e9")], "number above 0, up to 100"),
        ([entry("clasificar", "a.jsonl")], "There is no task"),
        ([entry("nada.toml", "a.jsonl")], r"nada\.toml: It does not exist"),
        ([entry("accents", "a.txt")], "The task accents makes a model of another kind"),
        ([entry("classification", "a.jsonl"), entry("classification", "b.jsonl")], "Two tasks have the name"),
        ([entry("classification", "a.jsonl", 'columns = {x = "y"}')], "has no field 'x'"),
    ],
)
def test_a_wrong_mixture_is_refused_in_one_line(entries: list[str], problem: str, tmp_path: Path) -> None:
    with pytest.raises(SpanishTokError, match=problem) as told:
        st.finetune(written(tmp_path, *entries), tmp_path / "out")
    assert "varias.toml" in str(told.value)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "out").exists()


def test_tasks_that_a_model_cannot_tell_apart_are_refused() -> None:
    first = Task("rango", "Clasificar: {title}", "{rank}", "accuracy")
    with pytest.raises(SpanishTokError, match="rango and classification both begin with 'clasificar:'"):
        Mixture("leyes", (MixedTask(first, []), MixedTask(PRESETS[2], [])))
    with pytest.raises(SpanishTokError, match="has no task"):
        Mixture("ninguna", ())


def test_what_belongs_into_a_mixture_is_not_taken_beside_it(data: Path, tmp_path: Path) -> None:
    path = written(tmp_path, entry("classification", data))
    for more in ({"task": "summarization"}, {"columns": {"text": "x"}}, {"validation": data}):
        with pytest.raises(SpanishTokError, match=r"is a mixture of tasks, and names .* itself"):
            st.finetune(path, tmp_path / "out", **more)
    (tmp_path / "tarea.toml").write_text("name = 'x'\ninput = '{a}'\n")
    with pytest.raises(SpanishTokError, match="One task alone is given by --task"):
        st.finetune(tmp_path / "tarea.toml", tmp_path / "out")


@pytest.mark.parametrize(("weight", "epochs"), [(1, 2), (0.5, 4), (0.3, 10), (2, 1), (1.5, 2), (0.001, 10)])
def test_a_weight_shows_all_records_equally_often(weight: float, epochs: int) -> None:
    examples = [Example(row, {}, "", ((row, 1),), ()) for row in range(10)]
    one = TaskRecords(TaskBundle(PRESETS[0]), ExampleSplit(examples, [], []), weight, RowReport())
    shown = [example.row for epoch in range(epochs) for example in one.shown(epoch)]
    assert len(one.shown(0)) == max(1, round(weight * 10))
    assert {shown.count(row) for row in range(10)} == {max(1, round(weight * 10)) * epochs // 10}


def test_the_loss_of_a_batch_of_all_tasks_is_the_mean_of_their_labels(
    start: Path, data: Path, tmp_path: Path
) -> None:
    """Also of the answers, whose labels share the probability among spans: as each task by itself."""
    options = FinetuneOptions(epochs=1, batch_size=99, validation=0, dropout=0, precision="fp32", seed=1)

    def first_loss(name: str, tasks: list[Task], **changes: Any) -> float:
        mixture = Mixture(name, tuple(MixedTask(task, data) for task in tasks))
        st.finetune(mixture, tmp_path / name, model=start, options=replace(options, **changes))
        return float(rows(tmp_path / name)[0]["loss"])

    codec = TokenizerAdapter.of(st.Tokenizer.load())
    labels = [
        sum(len(example.labels) for example in read_examples(data, task, codec, 1, RowReport()))
        for task in PRESETS
    ]
    for smoothing in (0.0, 0.1):
        changes = {"label_smoothing": smoothing}
        alone = [first_loss(f"{kind} {smoothing}", [Task.load(kind)], **changes) for kind in KINDS]
        mean = sum(loss * count for loss, count in zip(alone, labels, strict=True)) / sum(labels)
        assert first_loss(f"all {smoothing}", PRESETS, **changes) == pytest.approx(mean, rel=1e-5)
        parts = first_loss(f"parts {smoothing}", PRESETS, accumulation=5, **changes)
        assert parts == pytest.approx(mean, rel=1e-5)


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "log.csv").read_text())))


# in the second epoch of 9 steps; at the end of the first one
@pytest.mark.parametrize(("error", "at"), [(RuntimeError, 14), (KeyboardInterrupt, 9)])
def test_an_interrupted_mixture_goes_on_as_if_nothing_had_happened(
    error: type[BaseException], at: int, start: Path, data: Path, tmp_path: Path
) -> None:
    options = replace(OPTIONS, dropout=0.1, save_every=2, label_smoothing=0.1, accumulation=2)
    weights = zip(PRESETS, (1, 0.5, 1.5), strict=True)
    mixture = Mixture("todas", tuple(MixedTask(task, data, weight) for task, weight in weights))
    st.finetune(mixture, tmp_path / "whole", model=start, options=options)
    with pytest.raises(error):
        st.finetune(mixture, tmp_path / "halved", model=start, options=options, progress=Stop(at, error))
    st.finetune(mixture, tmp_path / "halved", model=start, options=options)
    timed = ("cpu_seconds", "tokens_per_second")
    found = [
        [{name: cell for name, cell in row.items() if name not in timed} for row in rows(tmp_path / name)]
        for name in ("whole", "halved")
    ]
    assert found[0] == found[1]
    assert len(found[0]) == 2 * 9
    for name in ("model.safetensors", "task.json", "evaluation.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "halved" / name).read_bytes()
    changed = replace(mixture, tasks=(replace(mixture.tasks[0], weight=2), *mixture.tasks[1:]))
    with pytest.raises(SpanishTokError, match="holds another training: it differs in weights"):
        st.finetune(changed, tmp_path / "whole", model=start, options=options)


def test_the_best_epoch_has_the_highest_mean_of_the_metrics(tuned: Path) -> None:
    validated = [row for row in rows(tuned) if row["metric"]]
    columns = ["rougeL of summarization", "f1 of question-answering", "macro_f1 of classification"]
    assert list(validated[0])[-4:] == ["metric", *columns]
    means = [float(row["metric"]) for row in validated]
    assert means == pytest.approx([sum(float(row[name]) for name in columns) / 3 for row in validated])
    best = means.index(max(means))
    bundles = json.loads((tuned / "task.json").read_text())["tasks"]
    assert [one["notes"]["epoch"] for one in bundles] == [best + 1] * 3
    assert [one["notes"]["validation_metric"] for one in bundles] == [
        float(validated[best][name]) for name in columns
    ]
    assert (tuned / "loss.svg").exists()


def test_progress_shows_the_metric_of_each_task(start: Path, data: Path, tmp_path: Path) -> None:
    class Notes(st.Bar):
        told: list[str] = []  # noqa: RUF012

        def advance(self, amount: float = 1) -> None:
            pass

        def note(self, text: str) -> None:
            self.told.append(text)

    mixture = Mixture("dos", tuple(MixedTask(task, data) for task in PRESETS[::2]))
    st.finetune(mixture, tmp_path / "out", model=start, options=OPTIONS, progress=Notes())
    last = rows(tmp_path / "out")[-1]
    shown = [
        f"{name} {float(last[column]):.3f}" for name, column in zip(KINDS[::2], list(last)[-2:], strict=True)
    ]
    assert f", {', '.join(shown)}, best mean 0." in Notes.told[-1]


def test_a_task_of_a_folder_is_chosen_by_its_name(tuned: Path, data: Path) -> None:
    written_down = json.loads((tuned / "evaluation.json").read_text())
    for kind in KINDS:
        found = st.evaluate(data, model=tuned, part="held-out", task=kind)
        assert found.to_dict() == written_down[kind]
        assert isinstance(found, st.Evaluation)
        assert found.task == kind
        told = st.predict(files=data, model=tuned, task=kind)
        assert len(told) == 24
        assert ("probabilities" in told[0]) == (kind == "classification")
    for call in (st.evaluate, st.predict):
        with pytest.raises(SpanishTokError, match="several tasks: summarization, question-answering, class"):
            call(data, model=tuned)
        with pytest.raises(SpanishTokError, match=r"holds no task 'resumir'\. Choose from summarization, "):
            call(data, model=tuned, task="resumir")
    predictor = st.Predictor.load(tuned, task="classification")
    with pytest.raises(SpanishTokError, match="predictor's task is classification, not summarization"):
        st.predict("El sol.", model=predictor, task="summarization")


def test_a_mixture_of_one_task_is_that_task(start: Path, data: Path, tmp_path: Path) -> None:
    mixture = Mixture("una", (MixedTask(PRESETS[0], data),))
    result = st.finetune(mixture, tmp_path / "mixture", model=start, options=OPTIONS)
    assert list(result.tasks) == ["summarization"]
    st.finetune(data, tmp_path / "task", task="summarization", model=start, options=OPTIONS)
    for name in ("model.safetensors", "task.json", "evaluation.json"):
        assert (tmp_path / "mixture" / name).read_bytes() == (tmp_path / "task" / name).read_bytes()
    assert st.evaluate(data, model=tmp_path / "task", task="summarization")
    with pytest.raises(SpanishTokError, match="holds no task 'classification'"):
        st.predict("El sol.", model=tmp_path / "task", task="classification")


def test_what_is_wrong_with_one_task_is_told_with_its_name(start: Path, data: Path, tmp_path: Path) -> None:
    good = MixedTask(PRESETS[0], data)
    empty = write(tmp_path / "empty.jsonl", [{**record(1), "label": ""}])
    cases: list[tuple[MixedTask, dict[str, Any], str]] = [
        (MixedTask(PRESETS[2], empty), {}, r"classification: .*empty\.jsonl leaves no record to train on"),
        (MixedTask(PRESETS[2], tmp_path / "no.jsonl"), {}, r"classification: .*no\.jsonl"),
        (MixedTask(PRESETS[2], [record(i) for i in range(3)]), {"validation": 0.05, "held_out": 0.0},
         "The task classification has no record to validate on, though others have some"),
        (MixedTask(replace(PRESETS[2], labels=("a", "b")), data), {}, "classification: Row .* has the label"),
    ]  # fmt: skip
    for wrong, changes, problem in cases:
        with pytest.raises(SpanishTokError, match=problem):
            st.finetune(
                Mixture("dos", (good, wrong)),
                tmp_path / "out",
                model=start,
                options=replace(OPTIONS, **changes),
            )
        assert not (tmp_path / "out").exists()


def test_records_and_seeds_hold_for_each_task(start: Path, data: Path, tmp_path: Path) -> None:
    mixture = Mixture("todas", tuple(MixedTask(task, data) for task in PRESETS))
    options = replace(OPTIONS, records=5, epochs=1, seed=7, split_seed=0, batch_size=5)
    result = st.finetune(mixture, tmp_path / "out", model=start, options=options)
    assert len(rows(tmp_path / "out")) == 3
    for name, one in result.tasks.items():
        bundle = TaskBundle.load(tmp_path / "out", name)
        assert bundle.division == {"validation": 0.25, "held_out": 0.25, "seed": 0}
        assert one.evaluation.records == 6
        assert one.report.rows == 24


def test_other_verbs_take_the_folder_as_any_model(tuned: Path, tmp_path: Path) -> None:
    assert st.generate("resumir: el sol", model=tuned, max_new_tokens=4)
    st.export(tuned, tmp_path / "out", to="int8")
    assert (tmp_path / "out" / "model-int8.safetensors").exists()


def test_the_verbs(start: Path, data: Path, tmp_path: Path) -> None:
    def run(*arguments: object, given: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "spanish_tok", *map(str, arguments)]
        return subprocess.run(command, input=given, capture_output=True, text=True)

    file = written(tmp_path, entry("classification", data), entry("summarization", data, "weight = 0.5"))
    folder = tmp_path / "m"
    done = run("finetune", file, "--model", start, "--epochs", 1, "--held-out", 0.2, "--output", folder)
    assert done.returncode == 0, done.stderr
    assert "classification: 24 rows, 24 used" in done.stdout
    assert "summarization: 24 rows, 24 used" in done.stdout
    assert "majority class" in done.stdout
    assert "first sentence" in done.stdout
    assert done.stdout.endswith(f"the best model is in {folder}\n")
    done = run("predict", folder, "--task", "classification", given='{"text": "El sol."}\n')
    assert json.loads(done.stdout)["prediction"], done.stderr
    done = run("evaluate", folder, data, "--part", "held-out", "--task", "summarization")
    assert "summarization: 5 records" in done.stdout, done.stderr
    for wrong in (
        ("predict", folder, data),
        ("evaluate", folder, data),
        ("finetune", data, "--output", tmp_path / "n"),
        ("finetune", file, "--task", "classification", "--output", tmp_path / "n"),
        ("finetune", file, "--input-tokens", "9", "--output", tmp_path / "n"),
    ):
        done = run(*wrong)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "--task" in done.stderr or "is a mixture of tasks" in done.stderr
