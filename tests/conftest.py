"""What several tests share: the shipped vocabulary, four normalizers, the real data where it lies, a cluster."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings

from spanish_tok import Tokenizer, Vocabulary, normalize, normalize_column
from spanish_tok.files import shipped
from spanish_tok.progress import Progress
from spanish_tok.text.table import spanish_table
from tests.chromium import browser as browser

settings.register_profile("spanish-tok", deadline=None)  # the first example compiles
settings.load_profile("spanish-tok")

# Whether code is compiled depends on the machine; what programs say in tests does not.
os.environ["SPANISH_TOK_QUIET"] = "1"

# A suite started in the background of a shell ignores Ctrl-C, and so would the programs that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

Normalizer = Callable[[list[str]], list[str]]
TOP = Path(__file__).parent.parent
NODE = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}  # of a Ray cluster


class Told(Progress):
    """What a verb tells, in `messages`."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def tell(self, message: str) -> None:
        self.messages.append(message)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real Spanish data, beside the checkout or where SPANISH_TOK_SHARED says."""
    folder = Path(os.environ.get("SPANISH_TOK_SHARED", TOP.parent / "shared"))
    if not (folder / "corpus").is_dir():
        pytest.skip(f"needs the real data of {folder}, which is not here")
    return folder


@pytest.fixture(scope="session")
def corpus(shared: Path) -> pa.ChunkedArray:
    """The text of all records of the real corpus."""
    files = sorted((shared / "corpus").glob("*.parquet"))
    return pa.concat_tables([pq.read_table(file, columns=["text"]) for file in files])["text"]


@pytest.fixture(scope="session")
def shadowed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped vocabulary with a piece, "▁os", that no text can reach: its parts together are more probable."""
    one = Vocabulary.load()
    scores = dict(zip(one.pieces[3:-100], one.scores[3:-100], strict=True)) | {"▁os": -30.0}
    folder = tmp_path_factory.mktemp("shadowed") / "vocabulary"
    Vocabulary.build(scores, 100, spanish_table(), one.notes).save(folder)
    return folder


@pytest.fixture(scope="session")
def folder() -> Path:
    """The shipped vocabulary's folder."""
    return shipped("vocab/es-5000")


@pytest.fixture(scope="session")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.load(folder)


@pytest.fixture(scope="session")
def normalizers(folder: Path) -> dict[str, Normalizer]:
    """The same normalization in four engines, each over a list of texts."""
    import sentencepiece
    import tokenizers
    from sentencepiece import sentencepiece_model_pb2 as proto

    spec = proto.ModelProto.FromString((folder / "spiece.model").read_bytes()).normalizer_spec
    spec.add_dummy_prefix = spec.escape_whitespaces = False
    bare = sentencepiece.SentencePieceNormalizer(normalizer_spec=spec.SerializeToString())
    pipeline = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")).normalizer
    return {
        "python": lambda texts: list(map(normalize, texts)),
        "sentencepiece": lambda texts: list(bare.normalize([text.replace("\0", "\1") for text in texts])),
        "tokenizers": lambda texts: list(map(pipeline.normalize_str, texts)),
        "kernel": lambda texts: list(normalize_column(texts).to_pylist()),
    }


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster whose first node has one core; tests add nodes and take them away again."""
    ray = pytest.importorskip("ray", reason="needs Ray: pip install 'spanish-tok[ray]'")
    from ray.cluster_utils import Cluster

    from spanish_tok.parallel.ray_engine import SETTINGS

    before = {name: os.environ.get(name) for name in (*SETTINGS, "RAY_health_check_period_ms")}
    os.environ.update(SETTINGS | {"RAY_health_check_period_ms": "500"})  # when a node is taken for dead
    cluster = Cluster(initialize_head=True, connect=False, head_node_args=NODE)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    yield cluster
    ray.shutdown()
    cluster.shutdown()
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture
def nodes(cluster: Any) -> Iterator[Callable[[int], list[Any]]]:
    """Bring the cluster to a number of nodes; those that were added go when the test ends."""
    added: list[Any] = []

    def bring_to(number: int) -> list[Any]:
        added.extend(cluster.add_node(**NODE) for _ in range(number - 1))
        cluster.wait_for_nodes()
        return added

    yield bring_to
    for node in added:
        if node in cluster.worker_nodes:
            cluster.remove_node(node)
