"""The systems that `generation.py` compares, each in a process of its own.

    python benchmarks/generation_systems.py SYSTEM-DTYPE FOLDER

FOLDER holds `warmstart`, `transformers`, `ctranslate2` and `onnxruntime`, see `prepare`. A request
is a line of JSON on standard input, the reply one on standard output: seconds of the call, output
tokens, and the most memory that the process has held so far.
"""

import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

__all__ = ["prepare"]

# Sources, beams, and the number of tokens after the start token; None: up to the end token.
Decode = Callable[[list[list[int]], int, int | None], list[list[int]]]
THREADS = 2
LIMIT = 128  # most tokens, for outputs up to the end token


def prepare(model: str, folder: Path) -> None:
    """Writes the same model for each system; for CTranslate2 a random one of the same shape."""
    import onnx_runtime

    from warmstart import Seq2Seq

    loaded = Seq2Seq.from_pretrained(model, device="cpu")
    loaded.save_pretrained(folder / "warmstart")
    loaded.save_pretrained(folder / "transformers", duplicate_shared=True)
    onnx_runtime.write(loaded, folder / "onnxruntime")
    decoder = loaded.model.config.decoder
    _write_ctranslate2(
        folder / "ctranslate2",
        layers=decoder.layers,
        heads=decoder.attention.heads,
        width=decoder.hidden_size,
        inner=decoder.feed_forward.size,
        words=decoder.embedding.vocabulary,
    )


def _write_ctranslate2(
    folder: Path, *, layers: int, heads: int, width: int, inner: int, words: int
) -> None:
    """A BART with random weights, without the head's transform, a product of width²."""
    from ctranslate2.specs import Activation, TransformerSpec

    generator = np.random.default_rng(0)

    def random(*shape: int) -> np.ndarray:
        return generator.normal(0, 0.05, shape).astype(np.float32)

    def linear(spec: Any, outputs: int, inputs: int) -> None:
        spec.weight, spec.bias = random(outputs, inputs), np.zeros(outputs, np.float32)

    def normed(spec: Any) -> None:
        spec.gamma, spec.beta = np.ones(width, np.float32), np.zeros(width, np.float32)

    spec = TransformerSpec.from_config(
        (layers, layers),
        heads,
        pre_norm=False,
        activation=Activation.GELU,
        layernorm_embedding=True,
    )
    embedding = random(words, width)
    linear(spec.decoder.projection, words, width)
    spec.decoder.projection.weight = embedding
    spec.encoder.embeddings[0].weight = spec.decoder.embeddings.weight = embedding
    for stack in (spec.encoder, spec.decoder):
        stack.scale_embeddings = False
        stack.position_encodings.encodings = random(512, width)
        normed(stack.layernorm_embedding)
        for layer in stack.layer:
            linear(layer.self_attention.linear[0], 3 * width, width)
            linear(layer.self_attention.linear[1], width, width)
            normed(layer.self_attention.layer_norm)
            if stack is spec.decoder:
                linear(layer.attention.linear[0], width, width)
                linear(layer.attention.linear[1], 2 * width, width)
                linear(layer.attention.linear[2], width, width)
                normed(layer.attention.layer_norm)
            linear(layer.ffn.linear_0, inner, width)
            linear(layer.ffn.linear_1, width, inner)
            normed(layer.ffn.layer_norm)
    names = ["<blank>", "<s>", "</s>", "<unk>", *(f"w{number}" for number in range(4, words))]
    spec.register_source_vocabulary(names)
    spec.register_target_vocabulary(names)
    spec.config.decoder_start_token = "<s>"
    spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = "<s>", "</s>", "<unk>"
    spec.validate()
    spec.optimize()
    folder.mkdir()
    spec.save(str(folder))


def warmstart(
    folder: Path, dtype: str, *, drafts: bool = False, compile: Literal["no", "wait"] = "no"
) -> Decode:
    """Loads warmstart."""
    import torch

    from warmstart import GenerationConfig, Seq2Seq
    from warmstart.generation.row_inputs import RowInputs
    from warmstart.generation.run_search import run_search
    from warmstart.generation.search import Search
    from warmstart.model.sequences import Sequences

    torch.set_num_threads(THREADS)
    model = Seq2Seq.from_pretrained(
        folder / "warmstart", device="cpu", dtype=dtype, compile=compile
    )

    def decode(sources: list[list[int]], beams: int, tokens: int | None) -> list[list[int]]:
        length = LIMIT if tokens is None else tokens + 1
        search = Search(
            model=model.model,
            special=model.tokenizers.special,
            config=GenerationConfig(
                num_beams=beams, max_length=length, min_length=0 if tokens is None else length
            ),
            constraints=model.constraints,
        )
        inputs = RowInputs(draft_rows=sources if drafts else ())
        outputs = run_search(search, Sequences.of(sources), inputs)
        return [of_source[0].tokens for of_source in outputs]

    return decode


def transformers(folder: Path, dtype: str) -> Decode:
    """Its EncoderDecoderModel, with the same weights."""
    import torch
    from transformers import EncoderDecoderModel, GenerationConfig

    torch.set_num_threads(THREADS)
    model = EncoderDecoderModel.from_pretrained(
        folder / "transformers", dtype=getattr(torch, dtype)
    ).eval()
    saved = model.generation_config

    def decode(sources: list[list[int]], beams: int, tokens: int | None) -> list[list[int]]:
        length = LIMIT if tokens is None else tokens + 1
        longest = max(map(len, sources))
        ids = [row + [saved.pad_token_id] * (longest - len(row)) for row in sources]
        mask = [[1] * len(row) + [0] * (longest - len(row)) for row in sources]
        config = GenerationConfig(
            num_beams=beams,
            max_length=length,
            min_length=0 if tokens is None else length,
            decoder_start_token_id=saved.decoder_start_token_id,
            eos_token_id=saved.eos_token_id,
            pad_token_id=saved.pad_token_id,
        )
        with torch.inference_mode():
            outputs = model.generate(
                torch.tensor(ids), attention_mask=torch.tensor(mask), generation_config=config
            )
        rows = [row[1:] for row in outputs.tolist()]
        end = saved.eos_token_id
        return [row[: row.index(end) + 1] if end in row else row for row in rows]

    return decode


def ctranslate2(folder: Path, dtype: str) -> Decode:
    """Its Transformer of the same shape, which never writes the end token."""
    from ctranslate2 import Translator

    translator = Translator(
        str(folder / "ctranslate2"), compute_type=dtype, inter_threads=1, intra_threads=THREADS
    )

    def decode(sources: list[list[int]], beams: int, tokens: int | None) -> list[list[int]]:
        assert tokens is not None
        results = translator.translate_batch(
            [[f"w{token}" for token in row] for row in sources],
            beam_size=beams,
            max_decoding_length=tokens,
            min_decoding_length=tokens,
        )
        return [[0] * len(result.hypotheses[0]) for result in results]

    return decode


def onnxruntime(folder: Path, dtype: str) -> Decode:
    """Graphs of the same weights, with a loop over them in Python."""
    import onnx_runtime

    settings = json.loads((folder / "warmstart" / "config.json").read_text(encoding="utf-8"))
    return onnx_runtime.decoder(
        folder / "onnxruntime",
        dtype,
        threads=THREADS,
        start=settings["decoder_start_token_id"],
        end=settings["eos_token_id"],
        limit=LIMIT - 1,
    )


def main() -> None:
    """Answers requests until there are no more."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    os.environ["CT2_USE_MKL"] = "0"  # on AMD it is slower with it
    replies, sys.stdout = sys.stdout, sys.stderr
    name, _, dtype = sys.argv[1].rpartition("-")
    make = {
        "warmstart": warmstart,
        "warmstart-drafts": partial(warmstart, drafts=True),
        "warmstart-compiled": partial(warmstart, compile="wait"),
        "warmstart-drafts-compiled": partial(warmstart, drafts=True, compile="wait"),
        "transformers": transformers,
        "ctranslate2": ctranslate2,
        "onnxruntime": onnxruntime,
    }[name]
    decode = make(Path(sys.argv[2]), dtype)
    for line in sys.stdin:
        request = json.loads(line)
        started = time.perf_counter()
        outputs = decode(request["sources"], request["beams"], request["tokens"])
        reply = {
            "seconds": time.perf_counter() - started,
            "lengths": [len(row) for row in outputs],
            "peak_mb": _peak_mb(),
        }
        if request.get("outputs"):
            reply["outputs"] = outputs
        print(json.dumps(reply), file=replies, flush=True)


def _peak_mb() -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
