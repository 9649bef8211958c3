"""Accents restored: what changes, what may not, the forms, the folder, the training, the verbs."""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st_
from numpy.typing import NDArray

import spanish_tok as st
from spanish_tok.cli import main
from spanish_tok.files import read_json, shipped, write_json
from spanish_tok.tasks.accents.evaluation import evaluate_restorer
from spanish_tok.tasks.accents.forms import Forms
from spanish_tok.tasks.accents.pieces import SLOTS, WINDOW, PieceReader, Window
from spanish_tok.tasks.accents.restorer import Restorer
from spanish_tok.tasks.accents.words import all_words, with_forms, without_marks
from spanish_tok.vocab.counts.runs import count_runs

TEXT = "El niño comió piña; está aquí, en España. ¿Qué más quería él? Esta mañana se publicó el artículo público."


class Always:
    """Scores that are the same everywhere: high ones put a mark wherever one may stand."""

    def __init__(self, score: float) -> None:
        self.score = score

    def __call__(self, windows: Sequence[Window]) -> list[NDArray[np.float32]]:
        return [np.full((3, len(window.ids) * SLOTS), self.score, np.float32) for window in windows]


@pytest.fixture(scope="module")
def forms() -> Forms:
    return Forms.of_counts(count_runs([TEXT] * 3 + ["esta, el que esta", "publico"] * 2))


@pytest.fixture(scope="module")
def ruled(tokenizer: st.Tokenizer, forms: Forms) -> Restorer:
    """A restorer without opinions: known words get their most frequent form, others none."""
    return Restorer(tokenizer, forms, Always(0.0))


@pytest.fixture(scope="module")
def eager(tokenizer: st.Tokenizer, forms: Forms) -> Restorer:
    """A restorer that puts a mark wherever it may."""
    return Restorer(tokenizer, forms, Always(50.0))


@pytest.mark.parametrize(
    ("text", "restored"),
    [
        ("el nino comio pina", "el niño comió piña"),
        ("EL NINO COMIO Pina", "EL NIÑO COMIÓ Piña"),
        ("  el\tnino \r", "  el\tniño \r"),
        ("¿comio el nino?¡Si!", "¿comió el niño?¡Si!"),
        ("nino@correo.es y https://nino.es/pina", "nino@correo.es y https://nino.es/pina"),
        ("@nino www.nino.es pina.com", "@nino www.nino.es pina.com"),
        ("nino2 el_nino 3nino elNino", "nino2 el_nino 3nino elNino"),
        ("ninо comio", "ninо comió"),  # the o of the first is Cyrillic
        ("nin\u0303o comio\u0301 pina", "nin\u0303o comio\u0301 piña"),
        ("niñò ça", "niñò ça"),
        ("«nino»/pina, 'nino'-pina…nino😀pina", "«niño»/piña, 'niño'-piña…niño😀piña"),
        ("a o e y u", "a o e y u"),
        ("", ""),
    ],
)
def test_known_words_get_their_form_and_nothing_else_changes(
    ruled: Restorer, text: str, restored: str
) -> None:
    assert ruled.restore(text) == restored


def test_accents_that_are_there_stay_unless_redone(ruled: Restorer, eager: Restorer) -> None:
    assert ruled.restore("él ésta niño pinà") == "él ésta niño pinà"
    assert ruled.restore("niñó él", redo=True) == "niño el"
    assert ruled.restore("nin\u0303o\u0301", redo=True) == "nin\u0303o"
    assert ruled.restore("ESPAÑÁ", redo=True) == "ESPAÑA"
    assert eager.restore("compañia") == "compañia"  # unknown, with a mark: it stays


def test_marks_that_are_there_rule_out_other_forms(tokenizer: st.Tokenizer) -> None:
    forms = Forms.of_counts(count_runs(["la compañía"] * 9 + ["la campaña"] * 3))
    assert Restorer(tokenizer, forms, Always(0.0)).restore("compañia Campana") == "compañía Campaña"


def test_unknown_words_get_at_most_one_acute_accent(eager: Restorer) -> None:
    assert eager.restore("xolitran") == "xólitrañ"
    assert eager.restore("pinguin") == "píñgüiñ"


@given(st_.text(alphabet=st_.sampled_from("aenuiosáéñü ÁÑN\u0301\u0303\t\n\u00a01_@.:/-çо😀ªA"), max_size=60))
def test_only_marks_of_letters_change(text: str) -> None:
    forms = Forms.of_counts(count_runs(["ánú eñó noú siñ"] * 5))
    restorer = Restorer(st.Tokenizer.load(), forms, Always(50.0))
    for redo in (False, True):
        restored = restorer.restore(text, redo)
        assert bare(restored) == bare(text)
        if not redo:
            assert restorer.restore(restored) == restored
    assert with_forms(text, lambda word: word.composed) == text


def bare(text: str) -> str:
    """Return a text without the three marks, however they are written."""
    return re.sub("[\u0301\u0303\u0308]", "", unicodedata.normalize("NFD", text))


def test_words_of_many_kinds_of_text_are_found() -> None:
    words = [word.base for word in all_words("Él (según «Núñez») dijo: l'Àngel, O'Neill, x2, CamelCase, SÍ")]
    assert words == ["el", "segun", "nunez", "dijo", "neill", "si"]


def test_letters_lie_in_the_pieces_that_the_encoder_sees(tokenizer: st.Tokenizer) -> None:
    reader = PieceReader(tokenizer)
    text = "¡Pingüinos…! 😀Dijo: «electroencefalografía»½ y más " * 40
    for window in reader.windows(text):
        assert len(window.ids) <= WINDOW
        pieces = [tokenizer.vocabulary.pieces[number] for number in window.ids]
        for word, places in window.words:
            letters = [pieces[place // SLOTS][place % SLOTS] for place in places]
            assert "".join(letters) == word.base


def test_long_texts_are_read_in_windows(ruled: Restorer) -> None:
    text = "el nino comio pina, " * 500
    assert ruled.restore(text) == "el niño comió piña, " * 500
    assert ruled.restore("pina" + "!" * 3000 + " pina").endswith("! piña")


def test_forms_are_saved_and_loaded(forms: Forms, tmp_path: Path) -> None:
    forms.save(tmp_path / "forms.parquet")
    assert Forms.load(tmp_path / "forms.parquet") == forms
    assert forms.usual("comio") == "comió"
    assert forms.of("el") == (("el", 8), ("él", 3))


def test_the_rule_is_evaluated_beside_the_model(ruled: Restorer) -> None:
    evaluation = evaluate_restorer(ruled, [TEXT, "NIÑO. Sólo éste, esta mañana."])
    assert evaluation.wrong == evaluation.rule_wrong == 3  # está, él, público
    assert (evaluation.free, evaluation.shouted) == (2, 1)
    assert evaluation.ambiguous["el"] == (3, 1, 1)
    assert "most frequent form" in str(evaluation)
    with pytest.raises(st.SpanishTokError, match="no word"):
        evaluate_restorer(ruled, ["123"])


def test_without_marks_knows_both_ways_of_writing() -> None:
    assert without_marks("Niño nin\u0303o, ü Ñ ç") == "Nino nino, u N ç"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a restorer that a small model was trained to in a few steps."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("accents")
    config = st.T5Config(d_model=32, d_kv=8, d_ff=32, num_heads=2, num_layers=1, num_decoder_layers=1)
    st.T5(config).save(folder / "model", st.Vocabulary.load())
    texts = ["Él está en casa.", "Esta casa es de él.", "El que está aquí es él.", "¿Qué es esta piña?"] * 40
    options = st.FinetuneOptions(
        epochs=8, batch_size=8, learning_rate=0.02, warmup=5, dropout=0.0, save_every=1000
    )
    result = st.finetune(
        texts=[f"{text} {number}" for number, text in enumerate(texts)],
        output=folder / "out", task="accents", model=folder / "model", options=options,
    )  # fmt: skip
    assert isinstance(result.evaluation, st.AccentEvaluation)
    assert result.evaluation.wrong < result.evaluation.rule_wrong / 2
    return Path(result.folder)


def test_a_trained_encoder_tells_forms_apart(trained: Path) -> None:
    restorer = Restorer.load(trained)
    assert restorer.restore("El que esta aqui es el. 7") == "El que está aquí es él. 7"
    assert restorer.restore("ESTA CASA es de el. 7") == "ESTA CASA es de él. 7"
    evaluation = st.evaluate(texts=["Él está en casa."], model=trained)
    assert isinstance(evaluation, st.AccentEvaluation)
    assert evaluation.words == 4
    with pytest.raises(st.SpanishTokError, match="keeps no part 'held-out'"):
        st.evaluate(texts=["Él está en casa."], model=trained, part="held-out")


def test_a_training_that_is_given_again_resumes(trained: Path) -> None:
    log = (trained / "log.csv").read_bytes()
    with pytest.raises(st.SpanishTokError, match="another training"):
        st.finetune(texts=["Él está."] * 30, output=trained, task="accents", model=trained.parent / "model")
    assert (trained / "log.csv").read_bytes() == log


@pytest.mark.parametrize(
    "changes",
    [{"held_out": 0.1}, {"patience": 1}, {"label_smoothing": 0.1}, {"accumulation": 2}, {"split_seed": 1}],
)
def test_options_without_a_part_in_it_are_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(
        st.SpanishTokError, match=f"{next(iter(changes))} has no part in a training on accents"
    ):
        st.finetune(texts=[TEXT] * 30, output=tmp_path / "out", task="accents", **changes)


def test_lengths_and_records_to_validate_on_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(f"{TEXT}\n" * 30, encoding="utf-8")
    call = ["finetune", str(text), "--task", "accents", "--output", str(tmp_path / "out")]
    for more in (["--input-tokens", "9"], ["--validation-data", str(text)]):
        done = CliRunner().invoke(main, [*call, *more])
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.stderr


def test_text_in_another_encoding_is_trained_on(trained: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(f"{TEXT}\n" * 30, encoding="cp1252")
    how: dict[str, Any] = {
        "task": "accents",
        "model": trained.parent / "model",
        "epochs": 1,
        "validation": 0.0,
    }
    with pytest.raises(st.SpanishTokError, match="no text in UTF-8"):
        st.finetune(text, tmp_path / "a", **how)
    result = st.finetune(text, tmp_path / "b", reading=st.ReadOptions(encoding="cp1252"), **how)
    assert result.report.rows == 30
    assert (tmp_path / "b" / "restorer.json").exists()


def test_other_verbs_refuse_the_folder_by_name(trained: Path, tmp_path: Path) -> None:
    for verb in (
        lambda: st.generate("hola", model=trained),
        lambda: st.predict(texts=[{"text": "hola"}], model=trained),
        lambda: st.export(trained, tmp_path / "int8", to="int8"),
    ):
        with pytest.raises(st.SpanishTokError, match=r"restorer\.json"):
            verb()
    with pytest.raises(st.SpanishTokError, match=r"no restorer\.json"):
        Restorer.load(tmp_path)


def test_a_damaged_folder_is_refused(trained: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(trained, tmp_path / "copy"))
    (copy / "forms.parquet").write_bytes(b"")
    with pytest.raises(st.SpanishTokError, match=r"forms\.parquet"):
        Restorer.load(copy)
    manifest = read_json(trained / "restorer.json")
    wrong = {**manifest, "config": {**manifest["config"], "d_model": 40}, "files": {}}
    write_json(copy / "restorer.json", wrong)
    with pytest.raises(st.SpanishTokError, match=r"restorer\.safetensors: encoder\.block\.0"):
        Restorer.load(copy)
    write_json(copy / "restorer.json", {"format": 1})
    with pytest.raises(st.SpanishTokError, match="no 'config'"):
        Restorer.load(copy)


def test_a_folder_without_a_vocabulary_has_the_released_one_or_is_refused(
    trained: Path, tmp_path: Path
) -> None:
    import shutil

    released = Path(shutil.copytree(shipped("models/es-accents"), tmp_path / "released"))
    assert not (released / "spiece.model").exists()
    assert Restorer.load(released).restore("manana") == "mañana"
    other = Path(shutil.copytree(trained, tmp_path / "other"))
    (other / "spiece.model").unlink()
    manifest = read_json(other / "restorer.json")
    manifest["files"]["spiece.model"] = "0" * 64
    write_json(other / "restorer.json", manifest)
    with pytest.raises(st.SpanishTokError, match=r"spiece\.model is missing"):
        Restorer.load(other)


def test_the_verb_writes_lines_with_the_ends_that_they_have(trained: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "plano.txt", tmp_path / "con.txt"
    source.write_bytes(b"la pina\r\n\n  otra pina")
    result = CliRunner().invoke(main, ["restore", str(source), "--model", str(trained), "--output", str(out)])
    assert result.exit_code == 0, result.output
    assert out.read_bytes() == "la piña\r\n\n  otra piña".encode()
    assert st.restore(files=source, model=trained) == ["la piña\r", "", "  otra piña"]
    assert st.restore(["la pina"], model=trained) == ["la piña"]


def test_lines_that_are_not_utf8_are_told(trained: Path) -> None:
    call = ["restore", "--model", str(trained)]
    result = CliRunner().invoke(main, call, input=b"hola\nla pina a\xf1eja\n")
    assert (result.exit_code, result.stdout) == (0, "hola\nla piña añeja\n")
    assert "standard input: 1 of 2 rows repaired" in result.stderr
    result = CliRunner().invoke(main, [*call, "--invalid-utf8", "reject"], input=b"hola\nla pina a\xf1eja\n")
    assert (result.exit_code, result.stdout) == (0, "hola\n")
    result = CliRunner().invoke(main, [*call, "--invalid-utf8", "error"], input=b"hola\nla pina a\xf1eja")
    assert result.exit_code == 2
    assert "row 2 is not valid UTF-8" in result.stderr
    assert (
        "has more than 5 bytes"
        in CliRunner().invoke(main, [*call, "--max-row-bytes", "5"], input="otra pina").stderr
    )


def test_a_long_text_is_restored_in_parts(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    restorer = Restorer.load(trained)
    texts = ["la pina " * 40, "x" * 700, "la pina", "", "la  pina\t"]
    expected = [text.replace("pina", "piña") for text in texts]
    assert list(restorer.restore_all(texts)) == expected
    monkeypatch.setattr("spanish_tok.tasks.accents.restorer.LONG", 100)
    assert list(restorer.restore_all(texts)) == expected
