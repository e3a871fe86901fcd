"""Tokenizers as their files define them, and no code that lies beside the files."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import tokenizers
import transformers
from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]
from tests.support.tiny import Checkpoints
from tokenizers import normalizers, pre_tokenizers

from warmstart.checkpoint.files import find_folder
from warmstart.errors import CheckpointError, WarmstartError
from warmstart.seq2seq import Seq2Seq
from warmstart.text.tokenizer_files import load_tokenizer
from warmstart.text.tokenizer_pair import TokenizerPair

TEXTS = (
    "Äpfel In 2023",
    "The  CAT, sat.",
    "  the cat é ﬁne ",
    "",
    "the\tcat\n1,234",
    "She is 12 years old; isn't she?",
)
# Code that shows when it is run, whatever of it is asked for.
CODE = """
from pathlib import Path
Path(__file__).with_name("ran").touch()
Path({ran!r}).touch()
class Own:
    @classmethod
    def from_pretrained(cls, *_, **__): return cls()
    def __getattr__(self, name): raise SystemExit("own code")
"""


def change(folder: Path, name: str, **values: Any) -> None:
    path = folder / name
    held = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({k: v for k, v in {**held, **values}.items() if v is not None}))


AUTO_MAP = {"AutoTokenizer": ["own.Own", "own.Own"], "AutoConfig": "own.Own",
            "AutoModel": "own.Own", "AutoModelForCausalLM": "own.Own"}  # fmt: skip
WITH_CODE: dict[str, Callable[[Path], None]] = {
    "tokenizer_config": lambda folder: change(
        folder, "tokenizer_config.json", auto_map=AUTO_MAP, tokenizer_class="Own"
    ),
    "a list": lambda folder: change(
        folder, "tokenizer_config.json", auto_map=["own.Own", None], tokenizer_class="OwnTokenizer"
    ),
    "another repository": lambda folder: change(
        folder, "tokenizer_config.json", tokenizer_class="Own",
        auto_map={"AutoTokenizer": [None, f"{folder}--own.Own"]},
    ),
    "without a class": lambda folder: change(
        folder, "tokenizer_config.json", auto_map=AUTO_MAP, tokenizer_class=None
    ),
    "a known class": lambda folder: change(folder, "tokenizer_config.json", auto_map=AUTO_MAP),
    "config": lambda folder: change(folder, "config.json", auto_map=AUTO_MAP),
    "an unknown type": lambda folder: change(
        folder, "config.json", auto_map=AUTO_MAP, model_type="own"
    ),
    **{
        name: lambda folder, name=name: change_both(folder, name)  # type: ignore[misc]
        for name in ("AutoTokenizer", "AutoModel", "AutoModelForCausalLM", "AutoConfig",
                     "AutoProcessor", "AutoFeatureExtractor", "pipeline", "own.Own")
    },
}  # fmt: skip


def change_both(folder: Path, name: str) -> None:
    """A class that loads what the folder asks for, or would like to."""
    change(folder, "config.json", auto_map=AUTO_MAP, model_type="own")
    change(folder, "tokenizer_config.json", auto_map=AUTO_MAP, tokenizer_class=name)


def with_code(folder: Path, kind: str, source: Path) -> Path:
    shutil.copytree(source, folder)
    (folder / "own.py").write_text(CODE.format(ran=str(folder / "ran")))
    WITH_CODE[kind](folder)
    return folder


@pytest.mark.parametrize("file", [True, False], ids=["with tokenizer.json", "without"])
@pytest.mark.parametrize("kind", WITH_CODE)
def test_no_code_of_a_folder_runs(
    kind: str, file: bool, checkpoints: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nobody is asked whether it may."""

    def asked(*_: object) -> str:
        raise AssertionError("a question on standard input")

    monkeypatch.setattr("builtins.input", asked)
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = with_code(tmp_path / "folder", kind, checkpoints("bert"))
    if not file:
        vocabulary = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
        (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)))
        (folder / "tokenizer.json").unlink()
    for load in (
        lambda: load_tokenizer(folder, "the tokenizer"),
        lambda: Seq2Seq.warm_start(encoder=folder, decoder=checkpoints("gpt2")),
        lambda: Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=folder),
        lambda: Seq2Seq.from_pretrained(folder),
    ):
        with suppress(WarmstartError):
            load()
    assert not (folder / "ran").exists()
    assert not list(tmp_path.rglob("ran"))
    if file:  # which is all that a tokenizer needs
        found = load_tokenizer(folder, "the tokenizer")
        expected = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        assert found("the cat")["input_ids"] == expected.encode("the cat").ids


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tokenizer_config", "AutoModel"])
def test_yes_on_standard_input_is_no_consent(
    kind: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    folder = with_code(tmp_path / "folder", kind, checkpoints("bert"))
    (folder / "tokenizer.json").rename(folder / "vocab.json")
    for command in (["compose", folder, folder, "-o", tmp_path / "out"], ["doctor", folder]):
        done = subprocess.run(
            [sys.executable, "-m", "warmstart", *map(str, command)],
            input=b"y\n" * 9,
            capture_output=True,
            check=False,
            env={**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules")},
        )
        assert done.returncode != 0
        assert b"Traceback" not in done.stderr
    assert not list(tmp_path.rglob("ran"))


def test_a_tokenizer_that_is_nothing_but_code_is_refused(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    folder = with_code(tmp_path / "folder", "tokenizer_config", checkpoints("bert"))
    (folder / "tokenizer.json").rename(folder / "vocab.json")
    with pytest.raises(
        CheckpointError, match=r"needs code of its own \(auto_map: own.Own.*not run"
    ):
        load_tokenizer(folder, "the tokenizer")


def test_no_code_is_fetched_from_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = ["config.json", "own.py", "decoder_tokenizer/own.py", "decoder_tokenizer/tokenizer.json",
            "model.safetensors", "a/b.pyc", "setup.cfg", "decoder_tokenizer/pytorch_model.bin",
            "native.so", "vocab.txt", "vocab.bpe", "bpe.codes", "own.tiktoken",
            "decoder_tokenizer/spiece.model", "run.sh"]  # fmt: skip
    fetched: list[str] = []

    def download(name: str, allow_patterns: list[str]) -> str:
        fetched.extend(filter_repo_objects(held, allow_patterns=allow_patterns))
        (tmp_path / "config.json").write_text("{}")
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    find_folder("somebody/tiny")
    assert sorted(fetched) == [
        "bpe.codes", "config.json", "decoder_tokenizer/spiece.model",
        "decoder_tokenizer/tokenizer.json", "model.safetensors", "own.tiktoken", "vocab.bpe",
        "vocab.txt",
    ]  # fmt: skip


def digits(tokenizer: tokenizers.Tokenizer) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), tokenizer.pre_tokenizer]
    )


def lower_case(tokenizer: tokenizers.Tokenizer) -> None:
    tokenizer.normalizer = normalizers.Lowercase()


def with_accents(tokenizer: tokenizers.Tokenizer) -> None:
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False)


def cased(tokenizer: tokenizers.Tokenizer) -> None:
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)


def unnormalized(tokenizer: tokenizers.Tokenizer) -> None:
    tokenizer.normalizer = None


def by_spaces(tokenizer: tokenizers.Tokenizer) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()


def unframed(tokenizer: tokenizers.Tokenizer) -> None:
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A", pair="$A $B", special_tokens=[]
    )


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "gpt2", "llama", "modernbert"])
@pytest.mark.parametrize(
    "changed",
    [digits, lower_case, with_accents, cased, unnormalized, by_spaces, unframed],
    ids=lambda function: function.__name__,
)
def test_tokenizer_json_is_what_counts(
    family: str, changed: Callable[[tokenizers.Tokenizer], None],
    checkpoints: Checkpoints, tmp_path: Path,
) -> None:  # fmt: skip
    """Not the class that a folder names."""
    folder = tmp_path / "folder"
    shutil.copytree(checkpoints(family), folder)
    file = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    changed(file)
    file.save(str(folder / "tokenizer.json"))
    change(folder, "tokenizer_config.json", do_lower_case=None, strip_accents=None)
    for named in (True, False):
        if not named:
            change(folder, "tokenizer_config.json", tokenizer_class=None)
        found = load_tokenizer(folder, "the tokenizer")
        pair = TokenizerPair.of(found, found, {})
        assert pair.encode_sources(TEXTS, None).rows == [
            file.encode(text).ids or pair.encode_sources([""], None).rows[0] for text in TEXTS
        ]
        # As the tokenizer that a folder of ours holds, for us and for transformers.
        pair.save(tmp_path / "saved")
        again = load_tokenizer(tmp_path / "saved", "the tokenizer")
        assert again(list(TEXTS))["input_ids"] == found(list(TEXTS))["input_ids"]
        assert again.special_tokens_map == found.special_tokens_map


@pytest.fixture(scope="module")
def corpus() -> list[str]:
    # Words with digits, capitals and accents, each often enough for pieces of its own.
    texts = ["The cat sat on the mat in 2023.", "She isn't 12 years old, is she?", "a cat, a dog"]
    return [text for text in texts for _ in range(40)] + ["Äpfel é naïve ﬁne \U0001f600"] * 3


SENTENCEPIECE = {
    "llama": {"model_type": "bpe", "byte_fallback": True, "vocab_size": 340,
              "normalization_rule_name": "identity", "remove_extra_whitespaces": False},
    "no prefix": {"model_type": "bpe", "byte_fallback": True, "vocab_size": 340,
                  "normalization_rule_name": "identity", "remove_extra_whitespaces": False,
                  "add_dummy_prefix": False},
    "bpe": {"model_type": "bpe", "vocab_size": 80},
    "unigram": {"model_type": "unigram", "vocab_size": 80, "hard_vocab_limit": False},
    "unigram bytes": {"model_type": "unigram", "vocab_size": 330, "byte_fallback": True,
                      "hard_vocab_limit": False},
}  # fmt: skip


ANY = tuple(SENTENCEPIECE)


@pytest.mark.parametrize(
    ("model_type", "name", "file", "model"),
    [
        *(("llama", "LlamaTokenizer", "tokenizer.model", model) for model in ANY),
        *(("llama", None, "tokenizer.model", model) for model in ANY),
        *(("mistral", "LlamaTokenizer", "tokenizer.model", model) for model in ANY),
        *(("mistral", None, "tokenizer.model", model) for model in ANY),
        *(("phi3", "LlamaTokenizer", "tokenizer.model", model) for model in ANY),
        *(("gemma", None, "tokenizer.model", model) for model in ANY),
        *(("gemma2", "GemmaTokenizer", "tokenizer.model", model) for model in ANY),
        *(("t5", None, "spiece.model", model) for model in ANY),
        ("xlm-roberta", None, "sentencepiece.bpe.model", "unigram"),
        ("camembert", None, "sentencepiece.bpe.model", "unigram"),
        ("bert-generation", None, "spiece.model", "bpe"),
        ("bert-generation", None, "spiece.model", "unigram"),
    ],
)
def test_a_sentencepiece_model_alone_cuts_as_sentencepiece_does(
    model_type: str, name: str | None, file: str, model: str, corpus: list[str], tmp_path: Path
) -> None:
    sentencepiece.SentencePieceTrainer.train(  # type: ignore[attr-defined]
        sentence_iterator=iter(corpus), model_prefix=str(tmp_path / "m"), minloglevel=2,
        character_coverage=0.98, **SENTENCEPIECE[model],
    )  # fmt: skip
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(tmp_path / "m.model", folder / file)
    change(folder, "config.json", model_type=model_type)
    change(folder, "tokenizer_config.json", tokenizer_class=name)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "m.model"))
    found = load_tokenizer(folder, "the tokenizer")
    found.save_pretrained(tmp_path / "saved")
    for tokenizer in (found, load_tokenizer(tmp_path / "saved", "the tokenizer")):
        for text in TEXTS:
            tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
            ours = [tokenizer.convert_ids_to_tokens(token) for token in tokens]
            unknown = processor.unk_id()
            theirs = [
                tokenizer.unk_token if token == unknown else processor.id_to_piece(token)
                for token in processor.encode(text)
            ]
            assert ours == theirs
            if unknown not in processor.encode(text):
                written = tokenizer.decode(tokens, skip_special_tokens=True)
                assert written.strip() == processor.decode(processor.encode(text)).strip()


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2"])
def test_a_tokenizer_that_is_its_file_keeps_its_class(
    family: str, checkpoints: Checkpoints
) -> None:
    theirs = transformers.AutoTokenizer.from_pretrained(checkpoints(family))
    found = load_tokenizer(checkpoints(family), "the tokenizer")
    assert type(found) is type(theirs)
    assert found.backend_tokenizer.to_str() == theirs.backend_tokenizer.to_str()


def test_a_model_without_a_known_tokenizer_is_reported(
    corpus: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """XLM-R's ids are shifted, and its pieces are of a unigram model."""
    sentencepiece.SentencePieceTrainer.train(  # type: ignore[attr-defined]
        sentence_iterator=iter(corpus), model_prefix=str(tmp_path / "m"), minloglevel=2,
        character_coverage=0.98, **SENTENCEPIECE["bpe"],
    )  # fmt: skip
    (tmp_path / "m.model").rename(tmp_path / "sentencepiece.bpe.model")
    change(tmp_path, "config.json", model_type="xlm-roberta")
    load_tokenizer(tmp_path, "the tokenizer")
    assert (
        "does not cut texts as its SentencePiece model sentencepiece.bpe.model does" in caplog.text
    )


def test_a_vocabulary_alone_under_the_other_spelling_of_a_composed_model(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    """`encoder_decoder`, which transformers does not know as a model_type."""
    expected = transformers.AutoTokenizer.from_pretrained(checkpoints("bert"))
    vocabulary = expected.get_vocab()
    (tmp_path / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)))
    config = {"model_type": "encoder_decoder", "encoder": {"model_type": "bert"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    tokenizer = load_tokenizer(tmp_path, "the tokenizer")
    text = "the cat sat"
    assert tokenizer(text)["input_ids"] == expected(text)["input_ids"]


def test_a_tokenizer_of_bytes_has_no_files(tmp_path: Path) -> None:
    settings = {"tokenizer_class": "ByT5Tokenizer", "extra_ids": 125}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = load_tokenizer(tmp_path, "the tokenizer")
    assert tokenizer("für")["input_ids"] == [byte + 3 for byte in "für".encode()] + [1]
    tokenizer.save_pretrained(tmp_path / "again")
    again = load_tokenizer(tmp_path / "again", "the tokenizer")
    assert again("für")["input_ids"] == tokenizer("für")["input_ids"]
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    with pytest.raises(CheckpointError, match="is missing"):
        load_tokenizer(tmp_path, "the tokenizer")
