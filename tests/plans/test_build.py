"""The verb build: steps that are done once, redone when they change, and go on after a kill."""

import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import spanish_tok as st
from spanish_tok import BuildResult, Plan, SpanishTokError, build
from spanish_tok.plans.estimates import BuildEstimate
from spanish_tok.plans.plan import STEPS
from tests.broken_off import digest_of
from tests.cli.test_cli import COMMAND, complaint, run
from tests.hub_server import REPOSITORY, REVISION, HubServer, hub_server

COLLECTION = "data/google/collections/spanish_collection.tsv"
SMALL = """
title = "Una prueba <pequeña>"
input = ["es.txt"]
[count]
[train]
size = 250
[verify]
"""
WHOLE = """
title = "Todo"
input = ["mmarco-part.toml"]
[sample]
size = {size}
[clean]
near_duplicate = 0
[count]
[train]
size = {ids}
[verify]
[shard]
[pretrain]
steps = {steps}
warmup = 2
batch_size = 2
input_length = 64
save_every = 3
validate_every = 1000
[bench]
megabytes = 0.2
"""
RECIPE = f"""
title = "a part of mMARCO"
licence = "none"
[source]
repository = "{REPOSITORY}"
revision = "{REVISION}"
files = ["{COLLECTION}"]
[read]
format = "tsv"
"""
WORDS = [
    "perro",
    "gata",
    "casa",
    "comía",
    "que",
    "y",
    "la",
    "el",
    "muy",
    "grande",
    "sol",
    "mañana",
    "canción",
    "niño",
]


def lines(number: int, seed: int = 1) -> list[str]:
    draw = random.Random(seed)
    return [f"El {' '.join(draw.choices(WORDS, k=12))} {n} de la casa." for n in range(number)]


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    (tmp_path / "es.txt").write_text("\n".join(lines(300)) + "\n", encoding="utf-8")
    path = tmp_path / "plan.toml"
    path.write_text(SMALL, encoding="utf-8")
    return path


def states(result: Any) -> dict[str, str]:
    assert isinstance(result, BuildResult)
    return {step.name: step.state for step in result.steps}


@pytest.mark.parametrize("name", ["mmarco-tiny", "files-tiny"])
def test_shipped_plans_have_all_steps_and_train_5000_ids(name: str) -> None:
    plan = Plan.load(name)
    assert list(plan.steps) == list(STEPS)
    assert (plan.options("sample").size, plan.options("train").size) == (2_000_000, 5000)


def test_a_second_call_skips_and_a_change_redoes_what_follows(plan: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = build(plan, out)
    assert states(first) == {"count": "done", "train": "done", "verify": "done"}
    assert len(st.Vocabulary.load(out / "vocab")) == 250
    counted = (out / "counts.parquet").stat().st_mtime_ns
    assert set(states(build(plan, out)).values()) == {"skipped"}
    changed = build(plan, out, train={"size": 300})
    assert states(changed) == {"count": "skipped", "train": "done", "verify": "done"}
    assert (out / "counts.parquet").stat().st_mtime_ns == counted
    assert len(st.Vocabulary.load(out / "vocab")) == 300
    (out / "verification.json").unlink()
    assert states(build(plan, out, train={"size": 300}))["verify"] == "done"
    with open(tmp_path / "es.txt", "a", encoding="utf-8") as file:
        file.write("otra línea\n")
    assert set(states(build(plan, out, train={"size": 300})).values()) == {"done"}


def test_until_leaves_the_rest(plan: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert states(build(plan, out, until="count")) == {"count": "done"}
    assert sorted(path.name for path in out.iterdir()) == ["build.json", "counts.parquet", "index.html"]
    assert states(build(plan, out)) == {"count": "skipped", "train": "done", "verify": "done"}


def test_the_page_shows_every_step_and_escapes(plan: Path, tmp_path: Path) -> None:
    build(plan, tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "Una prueba &lt;pequeña&gt;" in page
    assert "Una prueba <pequeña>" not in page
    for step in ("count", "train", "verify"):
        assert f">{step}<" in page
    assert "distinct runs" in page
    record = json.loads((tmp_path / "out" / "build.json").read_text(encoding="utf-8"))
    assert record["steps"]["train"]["figures"]["ids"] == 250


def test_steps_without_records_before_them_read_the_input(plan: Path, tmp_path: Path) -> None:
    plan.write_text('input = ["es.txt"]\n[shard]\n[bench]\nmegabytes = 1\n', encoding="utf-8")
    result = build(plan, tmp_path / "out")
    assert states(result) == {"shard": "done", "bench": "done"}
    assert isinstance(result, BuildResult)
    assert result.steps[0].figures["records"] == 300
    assert result.steps[1].figures["failed round trips"] == 0


def test_another_alphabet_is_counted_trained_and_not_cleaned_as_spanish(plan: Path, tmp_path: Path) -> None:
    (tmp_path / "es.txt").write_text(
        "uma canção não é só pão, você não acha que é bom\n" * 99, encoding="utf-8"
    )
    steps = '[clean]\nduplicate = 0\nnear_duplicate = 0\n[count]\n[train]\nsize = 200\nalphabet = "pt"\n[verify]\n'
    plan.write_text(f'input = ["es.txt"]\n{steps}', encoding="utf-8")
    result = build(plan, tmp_path / "out")
    assert isinstance(result, BuildResult)
    assert result.steps[0].figures["records"] == 99
    assert "ã" in st.Vocabulary.load(tmp_path / "out" / "vocab").pieces


def test_a_dry_run_writes_nothing_and_tells_all_steps(plan: Path, tmp_path: Path) -> None:
    estimate = build(plan, tmp_path / "out", dry_run=True)
    assert isinstance(estimate, BuildEstimate)
    assert [(step.name, step.state) for step in estimate.steps] == [
        ("count", "to do"), ("train", "to do"), ("verify", "to do"),
    ]  # fmt: skip
    assert all(step.seconds and step.seconds > 0 for step in estimate.steps)
    assert not (tmp_path / "out").exists()
    build(plan, tmp_path / "out", until="train")
    estimate = build(plan, tmp_path / "out", dry_run=True)
    assert [step.state for step in estimate.steps] == ["done", "done", "to do"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[count]\n[train]\nsise = 5\n", r"plan.toml: \[train\] TrainStep has no 'sise'"),
        ("[trian]\n", "There is an entry 'trian'"),
        ("[train]\n", r"\[train\] needs \[count\]"),
        ("[pretrain]\nsteps = 5\n", r"\[pretrain\] needs \[shard\]"),
        ("[count]\n[train]\nsize = 'x'\n", "is not a whole number"),
        ("[sample]\nsize = 0\n", "Give at least 1"),
        ("[sample]\nclean = true\n", r"Write \[clean\]"),
        ("count = 5\n", "count is no table"),
        ("input = 7\n[count]\n", "input is no list"),
        ("[read]\nformat = 7\n[count]\n", "format = 7"),
        ("title = 'x'\n", "There is no step"),
        ("[count\n", "is not valid TOML"),
    ],
)
def test_wrong_plans_are_named(plan: Path, text: str, message: str) -> None:
    plan.write_text(text if "input" in text or text.startswith("[count\n") else f'input = ["es.txt"]\n{text}')
    with pytest.raises(SpanishTokError, match=message):
        build(plan, plan.parent / "out")
    assert not (plan.parent / "out").exists()


def test_wrong_calls_are_refused_before_any_work(plan: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(SpanishTokError, match=r"no plan 'mmarco-tni'. Did you mean mmarco-tiny\?"):
        build("mmarco-tni", out)
    with pytest.raises(SpanishTokError, match="names no input"):
        build("files-tiny", out)
    with pytest.raises(SpanishTokError, match="no step 'bensch'"):
        build(plan, out, until="bensch")
    with pytest.raises(SpanishTokError, match="no step 'pretrain'"):
        build(plan, out, pretrain={"steps": 5})
    with pytest.raises(SpanishTokError, match="holds no entries"):
        build(plan, out, train=5000)  # type: ignore[arg-type]
    with pytest.raises(SpanishTokError, match="does not exist"):
        build(plan, out, input=[tmp_path / "nada.txt"])
    with pytest.raises(SpanishTokError, match="only once"):
        build(plan, out, input="-", reading=st.ReadOptions(format="text"))
    assert not out.exists()
    out.mkdir()
    (out / "mio.txt").write_text("hola\n")
    with pytest.raises(SpanishTokError, match="holds other files"):
        build(plan, out)
    with pytest.raises(SpanishTokError, match="lies in the output"):
        build(plan, tmp_path)
    assert (out / "mio.txt").read_text() == "hola\n"


def test_the_command_shows_figures_and_takes_files(plan: Path, tmp_path: Path) -> None:
    other = tmp_path / "otro.txt"
    other.write_text("\n".join(lines(200, 5)) + "\n", encoding="utf-8")
    done = run("build", plan, other, "--output", tmp_path / "out", "--set", "train.size=240")
    assert "fingerprint" in done.stdout
    assert "index.html shows all of this" in done.stdout
    assert "train ..." in done.stderr
    again = run("build", plan, other, "--output", tmp_path / "out", "--set", "train.size=240")
    assert again.stderr.count("done before") == 3
    assert "Write --set STEP.NAME=VALUE" in complaint(
        "build", plan, "--output", tmp_path / "x", "--set", "size=3"
    )
    assert "train" in run("build", plan, "--output", tmp_path / "y", "--dry-run").stdout


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    (tmp_path / "mmarco-part.toml").write_text(RECIPE, encoding="utf-8")
    rows = "".join(f"{n}\t{line}\n" for n, line in enumerate(lines(20_000)))
    with hub_server({COLLECTION: rows.encode()}) as server:
        yield server


def command(hub: HubServer, home: Path, plan: Path, output: Path) -> dict[str, Any]:
    """Return the program that builds, in whose world the Hub is the server."""
    environment = {
        **os.environ, "HF_ENDPOINT": hub.address, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    return {
        "args": [*COMMAND, "build", str(plan), "--output", str(output), "--threads", "1"],
        "env": environment, "text": True,
    }  # fmt: skip


def test_from_the_hub_to_a_measured_model(hub: HubServer, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs spanish-tok[t5]")
    plan, out = tmp_path / "todo.toml", tmp_path / "out"
    plan.write_text(WHOLE.format(size=1500, ids=400, steps=6), encoding="utf-8")
    done = subprocess.run(**command(hub, tmp_path / "home", plan, out), capture_output=True)
    assert done.returncode == 0, done.stderr
    record = json.loads((out / "build.json").read_text(encoding="utf-8"))
    figures = {step: entry["figures"] for step, entry in record["steps"].items()}
    assert list(figures) == list(STEPS)
    assert figures["sample"] == {"records": 1500, "rows of the input": 20_000}
    assert figures["shard"]["records"] == figures["clean"]["records"] == figures["count"]["records"]
    assert figures["train"]["ids"] == 400
    assert figures["pretrain"]["steps"] == 6
    assert figures["bench"]["failed round trips"] == 0
    assert st.Generator.load(out / "model").generate(["hola"])
    asked = len(hub.requests)
    again = subprocess.run(**command(hub, tmp_path / "home", plan, out), capture_output=True)
    assert again.stderr.count("done before") == len(STEPS)
    assert len(hub.requests) - asked <= 3  # the size of the file, not its content


@pytest.mark.slow
def test_twenty_kills_at_random_moments_leave_the_same_bytes(hub: HubServer, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs spanish-tok[t5]")
    plan, out = tmp_path / "todo.toml", tmp_path / "out"
    plan.write_text(WHOLE.format(size=20_000, ids=1000, steps=40), encoding="utf-8")
    whole = subprocess.run(**command(hub, tmp_path / "home", plan, out), capture_output=True)
    assert whole.returncode == 0, whole.stderr
    out.rename(tmp_path / "whole")  # manifests name what was read by its path: both are made at one place
    draw, kills = random.Random(0), 0
    while kills < 20:
        call = command(hub, tmp_path / "home", plan, out)
        with subprocess.Popen(**call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                process.wait(timeout=draw.uniform(1, 12))
                shutil.rmtree(out)  # it came to its end: from the beginning
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
    last = subprocess.run(**command(hub, tmp_path / "home", plan, out), capture_output=True)
    assert last.returncode == 0, last.stderr
    for name in ("sample", "clean", "counts.parquet", "vocab", "verification.json", "shards", "model"):
        assert digest_of(out / name) == digest_of(tmp_path / "whole" / name), name
