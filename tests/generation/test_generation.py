"""Generation: equal to transformers' and CTranslate2's, cached as recomputed, streamed, reproducible, in place."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra t5")

from spanish_tok import GenerateOptions, Generator, SpanishTokError, T5Config, Tokenizer, Vocabulary  # noqa: E402
from spanish_tok.files import shipped  # noqa: E402
from spanish_tok.generation.beam_search import search  # noqa: E402
from spanish_tok.generation.prompts import Prompt  # noqa: E402
from spanish_tok.generation.sampling import draw  # noqa: E402
from spanish_tok.t5.checkpoint import Checkpoint  # noqa: E402
from spanish_tok.t5.model import T5  # noqa: E402
from spanish_tok.t5.torch_backend import TorchBackend  # noqa: E402
from spanish_tok.tasks.choices import TargetTrie  # noqa: E402

Rows = list[list[int]]
SENTENCES = [
    "La capital de España es <extra_id_0> .",
    "El río <extra_id_0> al mar y la lluvia <extra_id_1> del cielo.",
    "ma<extra_id_0>na por la ma<extra_id_1>",
    "Buenos días",
]  # fmt: skip


def random_rows(count: int, ids: int, seed: int = 0) -> Rows:
    random = np.random.default_rng(seed)
    return [[*random.integers(3, ids, random.integers(1, 30)).tolist(), 1] for _ in range(count)]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model, trained until it has learned random answers of many lengths to random rows."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sizes = {"d_model": 48, "d_kv": 16, "d_ff": 64, "num_heads": 2, "num_layers": 2, "num_decoder_layers": 2}
    model = T5(T5Config(**sizes, dropout_rate=0.0))  # type: ignore[arg-type]
    inputs, mask = padded(random_rows(64, 4900))
    labels, real = padded(random_rows(64, 60, seed=1))
    labels[real == 0] = -100
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(80):
        loss = model.loss(inputs, labels, mask)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    folder = tmp_path_factory.mktemp("model") / "small"
    model.save(folder, Vocabulary.load())
    torch.set_num_threads(threads)
    return folder


@pytest.fixture(scope="module")
def generator(model_folder: Path) -> Generator:
    return Generator.load(model_folder, "torch")


@pytest.fixture(scope="module")
def theirs(model_folder: Path) -> Any:
    import transformers

    return transformers.AutoModelForSeq2SeqLM.from_pretrained(model_folder).eval()


def padded(rows: Rows) -> tuple[Any, Any]:
    """Rows of ids as a tensor with zeros behind, and the mask of what is real."""
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    return ids, torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])


def generated(model: Any, rows: Rows, **options: Any) -> tuple[Rows, Any]:
    """What transformers writes: ids without the start, what follows </s>, and it; the scores of beams."""
    ids, mask = padded(rows)
    found = model.generate(
        input_ids=ids,
        attention_mask=mask,
        do_sample=False,
        output_scores=True,
        return_dict_in_generate=True,
        **options,
    )
    texts = [row[1 : 1 + options["max_new_tokens"]] for row in found.sequences.tolist()]
    return [row[: row.index(1)] if 1 in row else row for row in texts], found


def test_greedy_ids_are_those_of_transformers(generator: Generator, theirs: Any) -> None:
    rows = random_rows(64, 4900) + random_rows(136, 4900, seed=5)
    found = generator.write_ids(rows, GenerateOptions(max_new_tokens=32))
    expected, _ = generated(theirs, rows, max_new_tokens=32)
    assert [list(one.ids) for one in found] == expected
    assert len({len(one.ids) for one in found}) > 5
    assert any(one.complete for one in found)


@pytest.mark.parametrize(("beams", "penalty"), [(4, 1.0), (3, 2.0), (2, 0.0), (5, -0.5)])
def test_beams_are_those_of_transformers(
    generator: Generator, theirs: Any, beams: int, penalty: float
) -> None:
    rows = random_rows(24, 4900) + random_rows(16, 4900, seed=7)
    options = GenerateOptions(max_new_tokens=20, num_beams=beams, length_penalty=penalty)
    found = generator.write_ids(rows, options)
    expected, output = generated(theirs, rows, max_new_tokens=20, num_beams=beams, length_penalty=penalty)
    for one, ids, score in zip(found, expected, output.sequences_scores.tolist(), strict=True):
        assert list(one.ids) == ids
        assert one.score is not None
        assert one.score / (len(one.ids) + one.complete) ** penalty == pytest.approx(
            score, rel=1e-3, abs=1e-4
        )


@pytest.mark.parametrize("backend", ["torch", "cpu"])
@pytest.mark.parametrize(
    "rules",
    [
        {"no_repeat_ngram_size": 1},
        {"no_repeat_ngram_size": 2, "min_new_tokens": 12},
        {"no_repeat_ngram_size": 4, "repetition_penalty": 0.5},
        {"repetition_penalty": 1.7},
        {"num_beams": 3, "no_repeat_ngram_size": 2, "repetition_penalty": 1.3},
        {"num_beams": 4, "min_new_tokens": 9, "num_return_sequences": 3},
    ],
)
def test_rules_are_those_of_transformers(
    model_folder: Path, theirs: Any, backend: Any, rules: dict[str, Any]
) -> None:
    rows = random_rows(40, 4900) + random_rows(60, 4900, seed=5)
    found = Generator.load(model_folder, backend).write_ids(rows, GenerateOptions(max_new_tokens=20, **rules))
    expected, _ = generated(theirs, rows, max_new_tokens=20, **rules)
    assert [list(one.ids) for one in found] == expected


def test_no_ngram_is_written_twice(generator: Generator) -> None:
    rows = random_rows(50, 4900, seed=3)
    options = GenerateOptions(max_new_tokens=64, min_new_tokens=64, no_repeat_ngram_size=3)
    for one in generator.write_ids(rows, options):
        ngrams = [one.ids[at : at + 3] for at in range(len(one.ids) - 2)]
        assert len(one.ids) == 64
        assert len(set(ngrams)) == len(ngrams)
    repeated = generator.write_ids(rows, replace(options, no_repeat_ngram_size=0))
    assert any(len({one.ids[at : at + 3] for at in range(62)}) < 62 for one in repeated)


def five_hundred(generator: Generator) -> Rows:
    """Real sentences that ship, each with a gap in another place."""
    lines = [line for line in shipped("corpus/bench-es.txt").read_text(encoding="utf-8").splitlines() if line]
    rows = []
    for number in range(500):
        words = lines[number % len(lines)].split()
        words[(number // len(lines) * 3 + 2) % len(words)] = "<extra_id_0>"
        rows.append(list(Prompt.parse(" ".join(words), generator.tokenizer).ids))
    return rows


@pytest.mark.slow
@pytest.mark.parametrize(
    "rules",
    [
        {"no_repeat_ngram_size": 4, "min_new_tokens": 24},
        {"no_repeat_ngram_size": 2, "repetition_penalty": 1.3},
        {"num_beams": 2, "no_repeat_ngram_size": 3, "num_return_sequences": 2},
    ],
)
def test_rules_on_500_inputs_of_the_shipped_model_are_those_of_transformers(
    rules: dict[str, Any], tmp_path: Path
) -> None:
    import transformers

    Checkpoint.load(shipped("models/es-tiny")).save(tmp_path / "model")
    generator = Generator.load(tmp_path / "model", "torch")
    theirs = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "model").eval()
    rows = five_hundred(generator)
    found = generator.write_ids(rows, GenerateOptions(max_new_tokens=32, **rules))
    expected = [
        ids
        for first in range(0, 500, 50)
        for ids in generated(theirs, rows[first : first + 50], max_new_tokens=32, **rules)[0]
    ]
    assert len(expected) == 500 * rules.get("num_return_sequences", 1)
    assert sum(list(one.ids) != ids for one, ids in zip(found, expected, strict=True)) <= 2  # ties


@pytest.mark.slow
def test_no_four_tokens_recur_in_500_continuations() -> None:
    generator = Generator.load()
    options = GenerateOptions(max_new_tokens=128, min_new_tokens=128, no_repeat_ngram_size=4)
    for one in generator.write_ids(five_hundred(generator), options):
        assert len(one.ids) == 128
        assert len({one.ids[at : at + 4] for at in range(125)}) == 125


@pytest.mark.parametrize("beams", [1, 2])
def test_what_is_allowed_wins_over_a_ban(generator: Generator, beams: int) -> None:
    options = GenerateOptions(
        max_new_tokens=6, num_beams=beams, no_repeat_ngram_size=1, min_new_tokens=5, repetition_penalty=2.0
    )
    (found,) = generator.write_ids([[50, 1]], options, allowed=lambda ids: [77] if len(ids) < 4 else [1])
    assert found.ids == (77, 77, 77, 77)
    assert found.complete


def test_several_draws_of_a_text_differ_and_the_first_is_the_single_one(generator: Generator) -> None:
    options = GenerateOptions(max_new_tokens=8, temperature=1.5, seed=4)
    several = generator.generate("Buenos días", options, num_return_sequences=3)
    single = generator.generate("Buenos días", options)
    pairs = generator.generate(["Buenos días", "El río"], options, num_return_sequences=3)
    assert isinstance(several, list)
    assert several[0] == single
    assert len(set(several)) == 3
    assert pairs[:3] == several
    assert len(pairs) == 6
    with pytest.raises(SpanishTokError, match="num_return_sequences is 2, of 1 beams"):
        generator.generate("El río", num_return_sequences=2)
    with pytest.raises(SpanishTokError, match="min_new_tokens is 9"):
        generator.generate("El río", min_new_tokens=9, max_new_tokens=8)


def test_greedy_ids_are_those_of_ctranslate2(
    generator: Generator, model_folder: Path, tmp_path: Path
) -> None:
    ctranslate2 = pytest.importorskip("ctranslate2", reason="needs the extra export")
    from spanish_tok.t5.export.libraries import export

    export(model_folder, tmp_path / "ct2", to="ctranslate2")
    assert Tokenizer.load(tmp_path / "ct2").vocab_size == 5000
    pieces = generator.tokenizer.vocabulary.pieces
    rows = random_rows(200, 4900, seed=5)
    translator = ctranslate2.Translator(str(tmp_path / "ct2"), intra_threads=1)
    tokens = [[pieces[number] for number in row] for row in rows]
    expected = translator.translate_batch(tokens, beam_size=1, max_decoding_length=32, min_decoding_length=0)
    found = generator.write_ids(rows, GenerateOptions(max_new_tokens=32))
    same = [
        [pieces[number] for number in one.ids] == two.hypotheses[0]
        for one, two in zip(found, expected, strict=True)
    ]
    assert all(same)


@pytest.mark.parametrize("options", [{}, {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}])
def test_cached_decoding_equals_full_recomputation(options: dict[str, Any]) -> None:
    torch.manual_seed(3)
    model = T5(T5Config.spanish_tiny(**options)).eval()
    for parameter in model.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.02)  # norms that are not 1
    rows = random_rows(3, 4900)
    ids, mask = padded(rows)
    decoder = torch.randint(3, 4900, (3, 150))
    decoder[:, 0] = 0
    with torch.no_grad():
        full = model(ids, attention_mask=mask, decoder_input_ids=decoder).numpy()
    state = TorchBackend(model).start(rows, 150)
    order = np.arange(3)
    for step in range(150):
        if step == 20:
            order = np.array([2, 2, 0, 1])
            state.reorder(order)
        if step == 90:
            state.reorder(np.array([0, 3]))
            order = order[[0, 3]]
        assert np.abs(state.step(decoder[order, step].numpy()) - full[order, step]).max() < 1e-4


def test_sampling_depends_on_seed_and_input_alone(generator: Generator) -> None:
    rows = random_rows(12, 4900, seed=9)
    options = GenerateOptions(max_new_tokens=16, temperature=1.2, top_k=40, top_p=0.9, seed=4)
    together = generator.write_ids(rows, options)
    assert together == [generator.write_ids([row], options)[0] for row in rows]
    assert together == generator.write_ids(rows[::-1], options, batch_size=5)[::-1]
    assert together != generator.write_ids(rows, GenerateOptions(max_new_tokens=16, temperature=1.2, seed=5))


def test_draws_follow_the_distribution() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], dtype=np.float32))
    uniform = (np.arange(10_000) + 0.5) / 10_000

    def shares(**options: Any) -> list[float]:
        drawn = [draw(logits, u, GenerateOptions(**options)) for u in uniform]
        return [round(float(share), 2) for share in np.bincount(drawn, minlength=4) / len(drawn)]

    assert shares(temperature=1.0) == [0.5, 0.3, 0.15, 0.05]
    assert shares(temperature=1.0, top_k=2) == [0.62, 0.38, 0, 0]
    assert shares(temperature=1.0, top_p=0.7) == [0.62, 0.38, 0, 0]
    assert shares(temperature=0.5)[0] > 0.6
    assert shares(temperature=1e-3) == [1, 0, 0, 0]


def test_scores_are_log_probabilities(generator: Generator) -> None:
    rows = random_rows(6, 4900)
    for one, row in zip(
        generator.write_ids(rows, GenerateOptions(max_new_tokens=16, scores=True)), rows, strict=True
    ):
        labels = torch.tensor([[*one.ids, *([1] if one.complete else [])]])
        with torch.no_grad():
            model = generator.backend._model  # type: ignore[attr-defined]
            expected = -float(model.loss(torch.tensor([row]), labels, reduction="sum"))
        assert one.score == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("beams", [1, 4])
def test_only_allowed_ids_are_written(generator: Generator, beams: int) -> None:
    def allowed(text: Sequence[int]) -> list[int]:
        return [20, 21] if len(text) < 3 else [1]

    rows = random_rows(5, 4900)
    found = generator.write_ids(rows, GenerateOptions(num_beams=beams), allowed=allowed)
    assert all(len(one.ids) == 3 and one.complete and set(one.ids) <= {20, 21} for one in found)
    with pytest.raises(SpanishTokError, match="allowed after"):
        generator.write_ids(rows, GenerateOptions(num_beams=beams), allowed=lambda _: [])


@pytest.mark.parametrize("beams", [1, 3])
def test_each_row_has_a_rule_of_its_own_and_scores_are_of_what_it_allows(
    generator: Generator, beams: int
) -> None:
    """Where only one id may follow, it costs nothing; the best of all texts that are allowed is found."""
    rows, ids = random_rows(4, 4900), [(20, 30), (21, 31), (20, 32)]
    choices = [TargetTrie(tuple((*one, 1) for one in ids[: place + 1])) for place in range(3)]
    rules = [*(one.allowed for one in choices), lambda _: None]
    options = GenerateOptions(6, num_beams=beams, scores=True, renormalize=True)
    found = search(generator.backend, rows, options, rules)
    assert found[0].ids == ids[0]
    assert found[0].score == pytest.approx(0, abs=1e-6)
    assert found[1].ids in ids[:2]
    assert found[2].ids in ids
    (free,) = search(generator.backend, rows[3:], replace(options, renormalize=False))
    assert found[3].ids == free.ids
    (alone,) = search(generator.backend, rows[2:3], options, choices[2].allowed)
    assert alone.ids == found[2].ids
    assert alone.score == pytest.approx(found[2].score, abs=1e-4)
    state = generator.backend.start(rows[1:2], 3)
    first = state.step(np.array([generator.backend.config.decoder_start_token_id]))[0, [20, 21]]
    expected = float(first.max() - np.logaddexp(*first))
    assert found[1].score == pytest.approx(expected, abs=1e-4)


def test_no_id_outside_the_vocabulary_is_written(folder: Path) -> None:
    torch.manual_seed(0)
    model = T5(T5Config(vocab_size=5120, d_model=32, d_ff=32, num_layers=1, num_decoder_layers=1))
    model.shared.weight.data[5000:] *= 5  # the rows without a piece would win
    generator = Generator(TorchBackend(model), Tokenizer.load(folder))
    options = [GenerateOptions(max_new_tokens=8), GenerateOptions(max_new_tokens=8, num_beams=3)]
    for chosen in (*options, GenerateOptions(max_new_tokens=8, temperature=5.0)):
        found = generator.write_ids(random_rows(20, 4900), chosen)
        assert max(number for one in found for number in one.ids) < 5000


@pytest.mark.parametrize(
    "options", [GenerateOptions(), GenerateOptions(temperature=1.0), GenerateOptions(num_beams=3)]
)
@pytest.mark.parametrize("text", SENTENCES)
def test_streams_add_up_to_the_text(generator: Generator, text: str, options: GenerateOptions) -> None:
    assert "".join(generator.stream(text, options)) == generator.generate([text], options)[0].text


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("España es <extra_id_0> .", ["▁españa", "▁es", "<extra_id_0>", "▁."]),
        ("España es <extra_id_0>.", ["▁españa", "▁es", "<extra_id_0>", "."]),
        ("ma<extra_id_0>na", ["▁ma", "<extra_id_0>", "na"]),
        ("x<extra_id_7>1.5", ["▁x", "<extra_id_7>", "1", ".", "5"]),
        ("<extra_id_0> sol", ["<extra_id_0>", "▁sol"]),
        ("<extra_id_0>\t<extra_id_1>", ["<extra_id_0>", "<extra_id_1>"]),
        ("", []),
    ],
)
def test_a_space_mark_follows_a_sentinel_only_where_a_space_does(
    tokenizer: Tokenizer, text: str, pieces: list[str]
) -> None:
    ids = Prompt.parse(text, tokenizer).ids
    assert [tokenizer.vocabulary.pieces[number] for number in ids] == [*pieces, "</s>"]


def test_prompts_are_what_span_corruption_makes(tokenizer: Tokenizer) -> None:
    """Masking pieces of a whole text gives the ids of the text with the sentinel typed in their place."""
    ids = tokenizer.encode("la mañana en el puerto empezó a las 7:30, con niebla.")
    pieces = [tokenizer.vocabulary.pieces[number] for number in ids]
    for begin in range(len(ids)):
        for end in range(begin + 1, min(begin + 4, len(ids) + 1)):
            before, after = ("".join(part).replace("▁", " ") for part in (pieces[:begin], pieces[end:]))
            prompt = Prompt.parse(f"{before}<extra_id_0>{after}", tokenizer)
            if tokenizer.encode(before) == ids[:begin] and tokenizer.encode(after) == ids[end:]:
                assert prompt.ids == [*ids[:begin], 4999, *ids[end:], 1]
            assert prompt.fill([4999, *ids[begin:end]]) == tokenizer.decode(ids)


def test_fills_go_to_their_places(tokenizer: Tokenizer) -> None:
    one, two = tokenizer.encode("uno"), tokenizer.encode("dos")
    prompt = Prompt.parse("a <extra_id_0> b <extra_id_1>.", tokenizer)
    assert prompt.fill([4999, *one, 4998, *two, 4997, *one]) == "a uno b dos."
    assert prompt.fill([4998, *two]) == "a b dos."
    assert prompt.fill([*one, 4998, *two, 4999, *one]) == "a b dos."
    assert prompt.fill([]) == "a b ."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<extra_id_100>", "no <extra_id_100>"),
        ("<extra_id_0> <extra_id_0>", "stands twice"),
        ("\ud800", "surrogate"),
    ],
)
def test_an_impossible_prompt_is_refused(generator: Generator, text: str, message: str) -> None:
    with pytest.raises(SpanishTokError, match=message):
        generator.fill(text)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": -1},
        {"top_p": 0},
        {"top_k": -1},
        {"num_beams": 0},
        {"max_new_tokens": 0},
        {"num_beams": 2, "temperature": 1},
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SpanishTokError):
        GenerateOptions(**options)


def test_empty_and_long_inputs(generator: Generator) -> None:
    assert generator.generate([]) == []
    assert len(generator.generate(["", "sol " * 2000], GenerateOptions(max_new_tokens=4))) == 2


def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "spanish_tok", *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True)


def test_the_verb_writes_a_line_for_a_line(model_folder: Path, generator: Generator) -> None:
    options = ["--model", str(model_folder), "--max-new-tokens", "6"]
    expected = [one.text for one in generator.generate(SENTENCES, GenerateOptions(max_new_tokens=6))]
    done = run("generate", *options, "--batch-size", "3", text="\n".join(SENTENCES) + "\n")
    assert done.stdout.splitlines() == expected, done.stderr
    assert run("generate", *options, "--stream", SENTENCES[1]).stdout == expected[1] + "\n"


def test_the_verb_names_what_is_wrong(model_folder: Path, tmp_path: Path) -> None:
    done = run("generate", "--model", str(tmp_path / "nada"), "hola")
    assert done.returncode == 2
    assert "nada is not a folder" in done.stderr
    done = run("export", str(model_folder), "--to", "transformers", "--output", str(model_folder))
    assert done.returncode == 2
    assert "not empty" in done.stderr


def test_the_exported_folder_loads_by_the_auto_classes(
    model_folder: Path, generator: Generator, tmp_path: Path
) -> None:
    import transformers

    done = run("export", str(model_folder), "--to", "transformers", "--output", str(tmp_path / "hf"))
    assert done.returncode == 0, done.stderr
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "hf").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert model.config.decoder_start_token_id == 0
    assert tokenizer(SENTENCES[0])["input_ids"] == Prompt.parse(SENTENCES[0], generator.tokenizer).ids
    row = Prompt.parse("Buenos días", generator.tokenizer).ids
    written = model.generate(torch.tensor([row]), max_new_tokens=12)[0].tolist()
    found = generator.write_ids([row], GenerateOptions(max_new_tokens=12))[0]
    assert written == [0, *found.ids, *([1] if found.complete else [])]
