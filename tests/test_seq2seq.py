"""What a user holds: composing, generating, saving, and every refusal in words."""

import errno
import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from tests.parity.reference import random_pairs, teach
from tests.support.tiny import FAMILIES, SENTENCES, Checkpoints

from warmstart.composition.variants import VARIANTS
from warmstart.errors import (
    CheckpointError,
    CompositionError,
    OutputError,
    UsageError,
    WarmstartError,
)
from warmstart.generation.generation_config import GenerationConfig
from warmstart.inference.convert import quantize
from warmstart.seq2seq import Seq2Seq, default_device
from warmstart.text.long_sources import tighter_limit

SOURCES = [source for source, _ in random_pairs(seed=1, count=9)]


@pytest.fixture(scope="module")
def taught(checkpoints: Checkpoints) -> Seq2Seq:
    """A model that writes something of varied length. Not to be changed."""
    model = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints("roberta"))
    teach(model, steps=25)
    return model


# Composing.


@pytest.mark.parametrize("name", [variant.name for variant in VARIANTS])
def test_every_variant_of_the_paper(name: str, checkpoints: Checkpoints, tmp_path: Path) -> None:
    kinds = {"bert": checkpoints("bert"), "roberta": checkpoints("roberta")}
    kinds["gpt2"] = checkpoints("gpt2")
    chosen = next(variant for variant in VARIANTS if variant.name == name)
    needed = {kind: kinds[kind] for kind in chosen.kinds()}
    model = Seq2Seq.from_variant(name, checkpoints=needed)
    assert model.composition.share == chosen.share
    assert model.composition.lm_head == "tied"
    assert model.model.head.weight is model.model.decoder.embedding.word.weight
    assert model.model.head.bias is None
    assert (model.model.encoder is None) == (name == "gpt")
    if chosen.share != "none":
        assert model.model.encoder is not None
        assert model.model.encoder.embedding is model.model.decoder.embedding
    assert model.provenance is not None
    leveraged = {entry.source for entry in model.provenance if entry.origin == "leveraged"}
    halves = (chosen.encoder, chosen.decoder)
    taken = {half for half in halves if half is not None and not half.startswith("random:")}
    assert leveraged == {str(kinds[half]) for half in taken}
    model.save_pretrained(tmp_path / "model")
    back = Seq2Seq.from_pretrained(tmp_path / "model", device="cpu")
    assert back.generate(SENTENCES, max_length=6) == model.generate(SENTENCES, max_length=6)


def test_a_variant_of_wrong_kinds(checkpoints: Checkpoints) -> None:
    with pytest.raises(UsageError, match="no checkpoint of the kind 'brt'; did you mean 'bert'"):
        Seq2Seq.from_variant("bertShare", checkpoints={"brt": checkpoints("bert")})
    with pytest.raises(UsageError, match="There is no variant 'bert2brt'; did you mean 'bert2"):
        Seq2Seq.from_variant("bert2brt")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"share": "embedding"}, "share is 'embedding'; did you mean 'embeddings'?"),
        ({"cross_attention": "rnd"}, "cross_attention is 'rnd'"),
        ({"lm_head": "tie"}, "lm_head is 'tie'; did you mean 'tied'?"),
    ],
)
def test_a_wrong_option_gets_the_nearest(
    option: dict[str, str], message: str, checkpoints: Checkpoints
) -> None:
    bert = checkpoints("bert")
    with pytest.raises(UsageError) as caught:
        Seq2Seq.warm_start(encoder=bert, decoder=bert, **option)  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


def test_checkpoints_that_cannot_be_a_half(
    checkpoints: Checkpoints, taught: Seq2Seq, tmp_path: Path
) -> None:
    bert = checkpoints("bert")
    taught.save_pretrained(tmp_path / "composed")
    for half, message in (
        (tmp_path / "none", "There is no folder"),
        (tmp_path / "composed", "is a composed model with two halves, not a checkpoint to compose"),
        ("nobody/has-this", "hf download nobody/has-this"),
    ):
        for halves in ({"encoder": half, "decoder": bert}, {"encoder": bert, "decoder": half}):
            with pytest.raises(CheckpointError) as caught:
                Seq2Seq.warm_start(**halves)  # type: ignore[arg-type]
            assert message in str(caught.value)
            assert "\n" not in str(caught.value)
            assert caught.value.exit_code == 1


def test_random_needs_no_weights(checkpoints: Checkpoints, tmp_path: Path) -> None:
    folder = tmp_path / "architecture"
    shutil.copytree(checkpoints("bert"), folder)
    (folder / "model.safetensors").unlink()
    model = Seq2Seq.warm_start(encoder=f"random:{folder}", decoder=checkpoints("bert"))
    assert model.generate(SENTENCES[:1], max_length=3)
    with pytest.raises(CheckpointError, match=r"no model\.safetensors"):
        Seq2Seq.warm_start(encoder=folder, decoder=checkpoints("bert"))


# Generating.


def test_outputs_are_in_the_order_of_their_sources(taught: Seq2Seq) -> None:
    alone = [taught.generate([source], max_length=15)[0] for source in SOURCES]
    assert len(set(alone)) > 4
    for batch_size in (1, 2, 4, 32):
        assert taught.generate(SOURCES, batch_size=batch_size, max_length=15) == alone
    assert taught.generate(SOURCES[::-1], max_length=15) == alone[::-1]


def test_each_output_comes_once_the_longest_sources_first(taught: Seq2Seq) -> None:
    each = list(taught.generate_each(SOURCES, batch_size=2, max_length=15))
    assert sorted(index for index, _ in each) == list(range(len(SOURCES)))
    together = taught.generate(SOURCES, max_length=15)
    assert all([together[index]] == [output.text for output in found] for index, found in each)
    lengths = [len(SOURCES[index].split()) for index, _ in each]
    assert lengths == sorted(lengths, reverse=True)


def test_settings_of_the_model_of_the_call_and_single_ones(taught: Seq2Seq) -> None:
    def words(text: str) -> int:
        return len(text.split())

    short = GenerationConfig(max_length=3)
    assert max(map(words, taught.generate(SOURCES, config=short))) <= 2
    # A single setting changes the ones that the call gives.
    longer = taught.generate(SOURCES, config=short, max_length=12)
    assert max(map(words, longer)) > 2
    beams = taught.generate(SOURCES, num_beams=4, length_penalty=2.0)
    assert beams != taught.generate(SOURCES)
    assert taught.generation == GenerationConfig()


def test_settings_that_do_not_exist_or_are_not_allowed(taught: Seq2Seq) -> None:
    with pytest.raises(UsageError, match="generate has no option 'num_beam'; did you mean 'num_be"):
        taught.generate(SOURCES, num_beam=4)  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="num_beams is 0"):
        taught.generate(SOURCES, num_beams=0)
    with pytest.raises(UsageError, match="put it in brackets"):
        taught.generate("one text")
    for size in (0, -3):
        with pytest.raises(UsageError, match=f"batch_size is {size}; it must be 1 or more"):
            taught.generate(SOURCES, batch_size=size)


def test_nothing_to_do(taught: Seq2Seq) -> None:
    assert taught.generate([]) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_an_empty_text_gets_an_output_too(family: str, checkpoints: Checkpoints) -> None:
    encoder = family if family != "gpt2" else None
    model = Seq2Seq.warm_start(
        encoder=None if encoder is None else checkpoints(encoder), decoder=checkpoints(family)
    )
    outputs = model.generate(["", SENTENCES[0], ""], max_length=5)
    assert outputs[0] == outputs[2]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_source_longer_than_the_positions_is_cut_with_one_counted_warning(
    family: str, checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = None if family == "gpt2" else checkpoints(family)
    model = Seq2Seq.warm_start(encoder=encoder, decoder=checkpoints(family))
    limit = model.source_limit
    assert limit == (64 if encoder is not None else 32)
    long, asked = "cat dog " * 100, 500 + len(family)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            outputs = model.generate([long, SENTENCES[2], long], batch_size=1, max_length=asked)
    assert len(outputs) == 3
    warnings = [record.getMessage() for record in caplog.records if "warmstart" in record.name]
    cut = f"2 of 3 sources are longer than {limit} tokens and were truncated."
    assert warnings[1:] == [cut, cut]
    assert f"max_length is {asked}, but the model has positions for {limit} target" in warnings[0]


def test_a_maximum_beyond_the_positions_is_theirs(
    checkpoints: Checkpoints, taught: Seq2Seq
) -> None:
    assert taught.target_limit == 64
    outputs = taught.generate(SOURCES[:2], max_length=1000, min_length=900)
    assert len(outputs) == 2
    prefix = Seq2Seq.warm_start(encoder=None, decoder=checkpoints("gpt2"))
    assert (prefix.source_limit, prefix.target_limit) == (32, 32)
    assert len(prefix.generate(["cat dog " * 50], max_length=1000)) == 1


def test_half_precision_generates(
    checkpoints: Checkpoints, taught: Seq2Seq, tmp_path: Path
) -> None:
    taught.save_pretrained(tmp_path / "model")
    half = Seq2Seq.from_pretrained(tmp_path / "model", device="cpu", dtype=torch.bfloat16)
    assert {p.dtype for p in half.model.parameters()} == {torch.bfloat16}
    assert half.device == torch.device("cpu")
    for beams in (1, 3):
        assert len(half.generate(SOURCES, num_beams=beams, max_length=8)) == len(SOURCES)
    wide = Seq2Seq.warm_start(
        encoder=checkpoints("bert", hidden_size=48), decoder=checkpoints("gpt2")
    ).to("cpu", torch.bfloat16)
    assert len(wide.generate(SOURCES, max_length=5)) == len(SOURCES)


# Saving and loading.


def test_a_saved_folder_says_all_there_is(taught: Seq2Seq, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    taught.save_pretrained(folder)
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "model.safetensors", "generation_config.json"} <= names
    assert {"tokenizer.json", "decoder_tokenizer", "provenance.json", "README.md"} <= names
    assert not any(name.endswith((".bin", ".pt", ".pkl")) for name in names)
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == "encoder-decoder"
    assert (config["encoder"]["model_type"], config["decoder"]["model_type"]) == ("bert", "roberta")
    card = (folder / "README.md").read_text()
    assert card.startswith("---\n")
    assert str(taught.provenance) in card
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_settings_are_saved_with_the_model(checkpoints: Checkpoints, tmp_path: Path) -> None:
    model = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints("gpt2"))
    model.generation = GenerationConfig(num_beams=3, max_length=17, early_stopping="never")
    model.save_pretrained(tmp_path / "model")
    assert Seq2Seq.from_pretrained(tmp_path / "model").generation == model.generation


def test_one_tokenizer_is_saved_once(checkpoints: Checkpoints, tmp_path: Path) -> None:
    bert = checkpoints("bert")
    model = Seq2Seq.warm_start(encoder=bert, decoder=bert)
    assert model.tokenizers.source is model.tokenizers.target
    model.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model" / "decoder_tokenizer").exists()


def test_a_folder_of_something_else_is_left_alone(taught: Seq2Seq, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(OutputError, match="holds something that is not a model"):
        taught.save_pretrained(tmp_path / "thesis")
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.txt"]


@pytest.mark.parametrize(
    "place",
    [
        "warmstart.composition.saved_model.huggingface_hub.save_torch_state_dict",
        "warmstart.seq2seq.write_card",
    ],
)
@pytest.mark.parametrize("existed", [False, True])
def test_a_full_disk_leaves_no_files(
    place: str, existed: bool, taught: Seq2Seq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    folder = tmp_path / "model"
    if existed:
        taught.save_pretrained(folder)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setattr(place, full)
    with pytest.raises(OutputError, match="the disk is full"):
        taught.save_pretrained(folder)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(list(tmp_path.iterdir())) == existed


def test_a_missing_tokenizer_is_an_error(checkpoints: Checkpoints, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(checkpoints("bert"), bare)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (bare / file).unlink()
    roberta = checkpoints("roberta")
    with pytest.raises(CheckpointError, match=rf"The source tokenizer of {bare} is missing"):
        Seq2Seq.warm_start(encoder=bare, decoder=roberta)
    with pytest.raises(CheckpointError, match=rf"The target tokenizer of {bare} is missing"):
        Seq2Seq.warm_start(encoder=roberta, decoder=bare)


@pytest.mark.parametrize("ours", [True, False])
def test_a_missing_target_tokenizer_is_an_error(
    ours: bool, taught: Seq2Seq, tmp_path: Path
) -> None:
    """It must not be taken from the root: that is the source's."""
    folder = tmp_path / "model"
    taught.save_pretrained(folder)
    if not ours:  # as transformers would have written it: nothing says that there are two
        config = json.loads((folder / "config.json").read_text())
        del config["warmstart"]
        (folder / "config.json").write_text(json.dumps(config))
    shutil.rmtree(folder / "decoder_tokenizer")
    with pytest.raises(
        CheckpointError, match=r"The target tokenizer of .* is missing: .*decoder_to"
    ):
        Seq2Seq.from_pretrained(folder)


def test_a_missing_source_tokenizer_of_a_folder(taught: Seq2Seq, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    taught.save_pretrained(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"The source tokenizer of .* is missing"):
        Seq2Seq.from_pretrained(folder)


@pytest.mark.parametrize("half", ["source", "target"])
def test_a_tokenizer_with_more_tokens_than_rows(
    half: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    mixed, bert = tmp_path / "mixed", checkpoints("bert")
    shutil.copytree(bert, mixed)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(checkpoints("bert", extra_words=4) / file, mixed / file)
    halves = {"encoder": mixed, "decoder": bert} if half == "source" else {}
    halves = halves or {"encoder": bert, "decoder": mixed}
    with pytest.raises(
        CompositionError, match=rf"The {half} tokenizer has 46 tokens, but the {half} embedding"
    ):
        Seq2Seq.warm_start(**halves)


@pytest.mark.parametrize("file", ["config.json", "generation_config.json", "provenance.json"])
def test_broken_json_in_a_folder(file: str, taught: Seq2Seq, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    taught.save_pretrained(folder)
    (folder / file).write_text('{"a": ')
    with pytest.raises(CheckpointError, match=f"{file} is not valid JSON"):
        Seq2Seq.from_pretrained(folder)


def test_a_truncated_model(taught: Seq2Seq, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    taught.save_pretrained(folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(WarmstartError, match="is truncated or not a safetensors file"):
        Seq2Seq.from_pretrained(folder)


def test_limits() -> None:
    assert (
        tighter_limit(3, 5)
        == tighter_limit(5, 3)
        == tighter_limit(3, None)
        == tighter_limit(None, 3)
        == 3
    )
    assert tighter_limit(None, None) is None
    assert default_device() == ("cuda" if torch.cuda.is_available() else "cpu")


def test_special_tokens_without_a_vector(checkpoints: Checkpoints, tmp_path: Path) -> None:
    """As the image token of Gemma 3's text models: harmless until a text names it."""
    shutil.copytree(checkpoints("gpt2"), tmp_path / "gpt2")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "gpt2")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tokenizer.save_pretrained(tmp_path / "gpt2")
    model = Seq2Seq.warm_start(encoder=tmp_path / "gpt2", decoder=tmp_path / "gpt2")
    assert len(model.tokenizers.target) == model.model.config.decoder.embedding.vocabulary + 1
    assert len(model.generate(["the cat"], max_length=3)) == 1
    with pytest.raises(UsageError, match="Text 2 holds the token <image>, for which the model"):
        model.generate(["the cat", "an <image> of it"])
    with pytest.raises(UsageError, match="Text 1 holds the token <image>"):
        model.encode_targets(["<image>"])
    tokenizer.add_tokens(["ordinary"])
    tokenizer.save_pretrained(tmp_path / "gpt2")
    with pytest.raises(CompositionError, match="the tokenizer belongs to another checkpoint"):
        Seq2Seq.warm_start(encoder=tmp_path / "gpt2", decoder=tmp_path / "gpt2")


@pytest.mark.parametrize("dtype", ["float16", "int8"])
@pytest.mark.parametrize("decoder", ["bert", "gpt2", "llama"])
def test_weights_rounded_as_they_are_read_are_those_of_the_whole_model(
    decoder: str, dtype: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    whole = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints(decoder))
    whole.save_pretrained(tmp_path / "model")
    read = Seq2Seq.from_pretrained(tmp_path / "model", device="cpu", dtype=dtype)
    whole.model = quantize(whole.model, dtype)
    settings = GenerationConfig(max_length=8, min_length=8)
    (one,), (other,) = (
        model.generate_detailed(["the cat sat"], config=settings) for model in (read, whole)
    )
    assert one[0].tokens == other[0].tokens
    assert one[0].token_scores == other[0].token_scores


def test_rounded_weights_decode_and_do_nothing_else(taught: Seq2Seq, tmp_path: Path) -> None:
    taught.save_pretrained(tmp_path / "model")
    exact = taught.generate(SOURCES)
    for dtype, alike in (("float16", 8), ("int8", 5)):
        model = Seq2Seq.from_pretrained(tmp_path / "model", device="cpu", dtype=dtype)
        outputs = model.generate(SOURCES)
        assert sum(a == b for a, b in zip(outputs, exact, strict=True)) >= alike
        with pytest.raises(UsageError, match="cannot be saved"):
            model.save_pretrained(tmp_path / "again")
        with pytest.raises(UsageError, match="cannot be moved"):
            model.to("cpu", torch.bfloat16)
    with pytest.raises(UsageError, match="no dtype 'int4'; did you mean 'int8'"):
        Seq2Seq.from_pretrained(tmp_path / "model", dtype="int4")
