"""Model folders: ours of every kind, those of older transformers, and what transformers refuses."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tests.parity.reference import examples, logits_of, reference_logits, save_for_reference
from tests.support.tiny import Checkpoints, config_of, perturb, tokenizer_of
from torch import Tensor
from transformers import EncoderDecoderModel

from warmstart.composition.composition_options import Share
from warmstart.errors import CheckpointError, CompositionError, ConversionError
from warmstart.seq2seq import Seq2Seq

SHARING: tuple[Share, ...] = ("none", "embeddings", "layers", "all")
WEIGHTS = "model.safetensors"


def read(folder: Path) -> tuple[dict[str, object], dict[str, Tensor]]:
    return json.loads((folder / "config.json").read_text()), load_file(folder / WEIGHTS)


def write(folder: Path, config: dict[str, object], tensors: dict[str, Tensor]) -> None:
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / WEIGHTS)


def assert_same_model(a: Seq2Seq, b: Seq2Seq) -> None:
    """The same parameters, shared in the same way, bit for bit."""
    assert a.model.config == b.model.config
    assert sharing(a) == sharing(b)
    expected = a.model.state_dict()
    for name, tensor in b.model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def sharing(model: Seq2Seq) -> set[frozenset[str]]:
    """Names of each parameter that has several."""
    groups: dict[int, set[str]] = {}
    for name, parameter in model.model.named_parameters(remove_duplicate=False):
        groups.setdefault(id(parameter), set()).add(name)
    return {frozenset(names) for names in groups.values() if len(names) > 1}


def compositions(checkpoints: Checkpoints) -> dict[str, Seq2Seq]:
    bert, gpt2, wide = checkpoints("bert"), checkpoints("gpt2"), checkpoints("bert", hidden_size=48)
    roberta, generation = checkpoints("roberta"), checkpoints("bert-generation")
    start = Seq2Seq.warm_start
    return {
        **{f"share {kind}": start(encoder=bert, decoder=bert, share=kind) for kind in SHARING},
        **{
            f"plain head, share {kind}": start(
                encoder=roberta, decoder=roberta, share=kind, lm_head="tied"
            )
            for kind in SHARING
        },
        "generation, share all": start(encoder=generation, decoder=generation, share="all"),
        "bridge": start(encoder=wide, decoder=gpt2),
        "adopted embedding": start(encoder=f"random:{bert}", decoder=gpt2, share="embeddings"),
        "prefix": start(encoder=None, decoder=gpt2),
        "prefix, plain head": start(encoder=None, decoder=bert, lm_head="tied"),
    }


NAMES = (
    *(f"share {kind}" for kind in SHARING),
    *(f"plain head, share {kind}" for kind in SHARING),
    "generation, share all",
    "bridge",
    "adopted embedding",
    "prefix",
    "prefix, plain head",
)


@pytest.fixture(scope="module")
def composed(checkpoints: Checkpoints) -> dict[str, Seq2Seq]:
    return compositions(checkpoints)


@pytest.mark.parametrize("name", NAMES)
def test_ours_comes_back_bit_for_bit(
    name: str, composed: dict[str, Seq2Seq], tmp_path: Path
) -> None:
    model = composed[name]
    perturb(model.model)
    model.save_pretrained(tmp_path / "model")
    back = Seq2Seq.from_pretrained(tmp_path / "model")
    assert_same_model(model, back)
    assert back.composition.options() == model.composition.options()
    assert back.tokenizers.special == model.tokenizers.special
    assert (back.tokenizers.source is back.tokenizers.target) == (
        model.tokenizers.source is model.tokenizers.target
    )
    back.save_pretrained(tmp_path / "again")
    for file in ("config.json", WEIGHTS, "generation_config.json", "provenance.json"):
        first, second = (tmp_path / folder / file for folder in ("model", "again"))
        assert first.read_bytes() == second.read_bytes(), file


@pytest.mark.parametrize("name", NAMES)
def test_each_parameter_is_stored_once(
    name: str, composed: dict[str, Seq2Seq], tmp_path: Path
) -> None:
    model = composed[name]
    model.save_pretrained(tmp_path / "model")
    config, tensors = read(tmp_path / "model")
    stored = sum(tensor.numel() for tensor in tensors.values())
    expected = sum(parameter.numel() for parameter in model.model.parameters())
    if name in ("share all", "generation, share all"):  # transformers could load the decoder alone
        assert model.model.encoder is not None
        expected += sum(parameter.numel() for parameter in model.model.encoder.parameters())
    assert stored == expected
    if model.composition.encoder is not None:
        assert config["tie_encoder_decoder"] == (model.composition.share == "all")


@pytest.mark.parametrize("name", NAMES)
def test_transformers_loads_equal_logits_or_refuses(
    name: str, composed: dict[str, Seq2Seq], tmp_path: Path
) -> None:
    """Whatever is shared: never a model with random weights."""
    model = composed[name]
    model.save_pretrained(tmp_path / "model")
    kind = EncoderDecoderModel
    if model.composition.encoder is None:
        kind = transformers.AutoModelForCausalLM
    if "warmstart-" in json.dumps(read(tmp_path / "model")[0]):
        with pytest.raises((ValueError, KeyError), match="warmstart-"):
            kind.from_pretrained(tmp_path / "model")
        return
    reference, report = kind.from_pretrained(tmp_path / "model", output_loading_info=True)
    missing = [name for name in report["missing_keys"] if "pooler" not in name]
    assert not missing
    if model.composition.encoder is None:
        return
    sources, targets = examples(model)
    ours = logits_of(model.model, sources, targets)
    theirs = reference_logits(reference.eval(), model, sources, targets)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", SHARING)
def test_written_twice_it_loads_in_transformers(
    kind: Share, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    bert = checkpoints("bert")
    model = Seq2Seq.warm_start(encoder=bert, decoder=bert, share=kind)
    model.save_pretrained(tmp_path / "model", duplicate_shared=True)
    reference = EncoderDecoderModel.from_pretrained(tmp_path / "model").eval()
    assert not reference.config.tie_encoder_decoder
    sources, targets = examples(model)
    ours = logits_of(model.model, sources, targets)
    theirs = reference_logits(reference, model, sources, targets)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    back = Seq2Seq.from_pretrained(tmp_path / "model")
    assert back.composition.share == "none"
    assert torch.equal(logits_of(back.model, sources, targets), ours)


REFUSED = (
    "share embeddings",
    "share layers",
    *(f"plain head, share {kind}" for kind in SHARING),
    "adopted embedding",
)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize(
    "load",
    [
        transformers.EncoderDecoderModel.from_pretrained,
        transformers.AutoModelForSeq2SeqLM.from_pretrained,
        transformers.AutoConfig.from_pretrained,
    ],
)
def test_transformers_refuses_in_words_what_it_cannot_represent(
    name: str, load: Callable[[Path], object], composed: dict[str, Seq2Seq], tmp_path: Path
) -> None:
    composed[name].save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match=r"warmstart-(bert|roberta|gpt2)"):
        load(tmp_path / "model")


def test_transformers_refuses_a_prefix_decoder_with_another_head(
    composed: dict[str, Seq2Seq], tmp_path: Path
) -> None:
    composed["prefix, plain head"].save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match="warmstart-bert"):
        transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model")


# Folders as older versions of transformers wrote them.


def tied_reference(checkpoints: Checkpoints, family: str, folder: Path) -> EncoderDecoderModel:
    """Both halves equal, with both stored, as transformers saves it."""
    checkpoint = checkpoints(family)
    model = Seq2Seq.warm_start(encoder=checkpoint, decoder=checkpoint, share="all")
    model.save_pretrained(folder, duplicate_shared=True)
    reference: EncoderDecoderModel = EncoderDecoderModel.from_pretrained(folder)
    reference.save_pretrained(folder)
    config, tensors = read(folder)
    config.pop("warmstart", None)
    write(folder, {**config, "tie_encoder_decoder": True}, tensors)
    return reference.eval()


def assert_loads_shared(folder: Path, reference: EncoderDecoderModel) -> None:
    model = Seq2Seq.from_pretrained(folder)
    assert model.composition.share == "all"
    assert any(len(names) > 1 for names in sharing(model))
    sources, targets = examples(model)
    ours = logits_of(model.model, sources, targets)
    theirs = reference_logits(reference, model, sources, targets)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "roberta", "bert-generation"])
@pytest.mark.parametrize("kept", ["both", "decoder", "encoder"])
def test_tied_halves_with_one_or_both_stored(
    family: str, kept: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    reference = tied_reference(checkpoints, family, folder)
    config, tensors = read(folder)
    twins = {name.removeprefix("encoder.") for name in tensors if name.startswith("encoder.")}
    base = "roberta" if family == "roberta" else "bert"
    if kept == "decoder":
        tensors = {
            name: tensor
            for name, tensor in tensors.items()
            if not name.startswith("encoder.") or ".pooler." in name  # the decoder has none
        }
    elif kept == "encoder":
        tensors = {
            name: tensor
            for name, tensor in tensors.items()
            if name.removeprefix(f"decoder.{base}.") not in twins
        }
    write(folder, config, tensors)
    assert_loads_shared(folder, reference)


def test_a_tied_embedding_that_is_stored_as_the_head_alone(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    """Tools that store each tensor once keep the first of its names in the alphabet."""
    folder = tmp_path / "model"
    reference = tied_reference(checkpoints, "roberta", folder)
    config, tensors = read(folder)
    tensors = {name: tensor for name, tensor in tensors.items() if name.startswith("decoder.")}
    word = tensors.pop("decoder.roberta.embeddings.word_embeddings.weight")
    tensors["decoder.lm_head.decoder.weight"] = word
    write(folder, config, tensors)
    assert_loads_shared(folder, reference)


@pytest.mark.parametrize("place", ["first layer", "last layer", "embedding"])
@pytest.mark.parametrize("ours", [False, True])
def test_halves_that_are_tied_in_name_only_are_kept_apart(
    ours: bool,
    place: str,
    checkpoints: Checkpoints,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """transformers 5 writes `tie_encoder_decoder: true` and shares nothing."""
    folder = tmp_path / "model"
    reference = tied_reference(checkpoints, "bert", folder)
    changed = {
        "first layer": reference.decoder.bert.encoder.layer[0].output.dense.weight,
        "last layer": reference.decoder.bert.encoder.layer[1].attention.self.key.bias,
        "embedding": reference.decoder.bert.embeddings.position_embeddings.weight,
    }[place]
    with torch.no_grad():
        changed += 0.5
    reference.save_pretrained(folder)
    config, tensors = read(folder)
    if not ours:
        config.pop("warmstart")
    else:
        assert isinstance(config["warmstart"], dict)
        config["warmstart"]["composition"]["share"] = "all"
    write(folder, {**config, "tie_encoder_decoder": True}, tensors)
    with caplog.at_level(logging.WARNING):
        model = Seq2Seq.from_pretrained(folder)
    assert "its halves differ; they are loaded unshared" in caplog.text
    assert model.composition.share == "none"
    sources, targets = examples(model)
    ours = logits_of(model.model, sources, targets)
    theirs = reference_logits(reference, model, sources, targets)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_the_other_spelling_old_norm_names_and_buffers(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    folder, bert = tmp_path / "model", checkpoints("bert")
    original = Seq2Seq.warm_start(encoder=bert, decoder=bert)
    reference = save_for_reference(original, folder)
    config, tensors = read(folder)
    config.pop("warmstart")
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in tensors.items()
    }
    old["encoder.embeddings.position_ids"] = torch.arange(64)[None]
    old["decoder.bert.embeddings.position_ids"] = torch.arange(64)[None]
    old["encoder.pooler.dense.weight"] = torch.ones(32, 32)
    old["encoder.pooler.dense.bias"] = torch.ones(32)
    write(folder, {**config, "model_type": "encoder_decoder"}, old)
    model = Seq2Seq.from_pretrained(folder)
    assert_same_model(original, model)
    sources, targets = examples(model)
    torch.testing.assert_close(
        logits_of(model.model, sources, targets),
        reference_logits(reference, model, sources, targets),
        rtol=0,
        atol=1e-5,
    )


def test_gpt2_buffers_of_old_versions(checkpoints: Checkpoints, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    original = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints("gpt2"))
    original.save_pretrained(folder)
    config, tensors = read(folder)
    for layer in range(2):
        for attention in ("attn", "crossattention"):
            block = f"decoder.transformer.h.{layer}.{attention}"
            tensors[f"{block}.bias"] = torch.ones(1, 1, 64, 64, dtype=torch.bool).tril()
            tensors[f"{block}.masked_bias"] = torch.tensor(-1e4)
    tensors["decoder.lm_head.weight"] = tensors["decoder.transformer.wte.weight"].clone()
    write(folder, config, tensors)
    assert_same_model(original, Seq2Seq.from_pretrained(folder))


def test_bert_generation_halves_that_leave_defaults_out(tmp_path: Path) -> None:
    """As in the checkpoints that came with the paper: transformers' defaults go without saying."""
    torch.manual_seed(0)
    said = {"hidden_size": 32, "num_hidden_layers": 1}
    halves = {
        half: transformers.BertGenerationConfig(
            **said, is_decoder=half == "decoder", add_cross_attention=half == "decoder"
        )
        for half in ("encoder", "decoder")
    }
    config = transformers.EncoderDecoderConfig(
        encoder=halves["encoder"].to_dict(), decoder=halves["decoder"].to_dict()
    )
    reference = EncoderDecoderModel(config).eval()
    perturb(reference, 0.05)
    folder = tmp_path / "model"
    reference.save_pretrained(folder)
    tokenizer_of("bert-generation").save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    saved, tensors = read(folder)
    for half in ("encoder", "decoder"):
        saved[half] = {"model_type": "bert-generation", **said}
    saved.update(decoder_start_token_id=2, eos_token_id=1, pad_token_id=0)
    write(folder, saved, tensors)
    model = Seq2Seq.from_pretrained(folder)
    assert model.model.config.decoder.embedding.vocabulary == 50_358
    assert model.model.config.decoder.attention.heads == 16
    sources, targets = examples(model)
    torch.testing.assert_close(
        logits_of(model.model, sources, targets),
        reference_logits(reference, model, sources, targets),
        rtol=0,
        atol=1e-5,
    )


def test_decoding_settings_in_the_config_of_old_folders(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    """Before generation_config.json, and below it where both are there."""
    folder, bert = tmp_path / "model", checkpoints("bert")
    Seq2Seq.warm_start(encoder=bert, decoder=bert).save_pretrained(folder)
    config, tensors = read(folder)
    (folder / "generation_config.json").unlink()
    config.update(
        decoder_start_token_id=4, eos_token_id=3, num_beams=3, max_length=30, min_length=7
    )
    write(folder, config, tensors)
    model = Seq2Seq.from_pretrained(folder)
    assert (model.tokenizers.special.start, model.tokenizers.special.end) == (4, 3)
    assert (model.generation.num_beams, model.generation.max_length) == (3, 30)
    assert model.generation.min_length == 7
    (folder / "generation_config.json").write_text('{"num_beams": 2, "eos_token_id": [5, 6]}')
    model = Seq2Seq.from_pretrained(folder)
    assert (model.generation.num_beams, model.generation.max_length) == (2, 30)
    assert (model.tokenizers.special.start, model.tokenizers.special.end) == (4, 5)


# Folders that cannot be loaded.


@pytest.fixture
def saved(checkpoints: Checkpoints, tmp_path: Path) -> Path:
    folder, bert = tmp_path / "model", checkpoints("bert")
    Seq2Seq.warm_start(encoder=bert, decoder=bert).save_pretrained(folder)
    return folder


def test_missing_unexpected_and_misshapen_tensors(saved: Path) -> None:
    config, tensors = read(saved)
    bias = "decoder.bert.encoder.layer.1.crossattention.self.query.bias"
    tensors[bias.replace("query", "queri")] = tensors.pop(bias)
    tensors["encoder.extra.weight"] = torch.zeros(1)
    tensors["encoder.embeddings.LayerNorm.weight"] = torch.zeros(3)
    write(saved, config, tensors)
    with pytest.raises(ConversionError) as caught:
        Seq2Seq.from_pretrained(saved)
    message = str(caught.value)
    assert f"1 missing ({bias}, nearest {bias.replace('query', 'queri')})" in message
    assert "2 unexpected" in message
    assert "1 misshapen (encoder.embeddings.LayerNorm.weight is [3]" in message


@pytest.mark.parametrize("half", ["encoder", "decoder"])
def test_a_half_without_config(half: str, saved: Path) -> None:
    config, tensors = read(saved)
    del config[half]
    write(saved, config, tensors)
    with pytest.raises(CheckpointError, match=f"lacks the config of its {half}"):
        Seq2Seq.from_pretrained(saved)


def test_a_half_of_an_unknown_family(saved: Path) -> None:
    config, tensors = read(saved)
    write(saved, {**config, "decoder": {"model_type": "robert"}}, tensors)
    with pytest.raises(CheckpointError, match=r"decoder of .* 'robert'.*did you mean 'roberta'"):
        Seq2Seq.from_pretrained(saved)


def test_options_of_a_later_version(saved: Path) -> None:
    config, tensors = read(saved)
    ours = config["warmstart"]
    assert isinstance(ours, dict)
    ours["composition"]["gate"] = "zero"
    write(saved, config, tensors)
    with pytest.raises(CheckpointError, match="does not know: gate"):
        Seq2Seq.from_pretrained(saved)


def test_a_single_checkpoint_is_not_a_model(checkpoints: Checkpoints) -> None:
    with pytest.raises(CheckpointError, match="Compose it first: warmstart compose"):
        Seq2Seq.from_pretrained(checkpoints("bert"))


def test_special_tokens_beyond_the_vocabulary(saved: Path) -> None:
    (saved / "generation_config.json").write_text('{"eos_token_id": 4242}')
    with pytest.raises(CompositionError, match="end token is 4242, but the target embedding has"):
        Seq2Seq.from_pretrained(saved)


def test_old_folders_can_be_in_shards(checkpoints: Checkpoints, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    reference = tied_reference(checkpoints, "bert", folder)
    _, tensors = read(folder)
    weight_map = {}
    for number, name in enumerate(tensors):
        file = f"model-{number % 3}.safetensors"
        weight_map[name] = file
    for file in set(weight_map.values()):
        held = {name: tensors[name] for name in tensors if weight_map[name] == file}
        save_file(held, folder / file)
    (folder / WEIGHTS).unlink()
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert_loads_shared(folder, reference)


def test_sentencepiece_alone_is_a_tokenizer(checkpoints: Checkpoints, tmp_path: Path) -> None:
    """The folders that came with the paper have spiece.model and no tokenizer.json."""
    import sentencepiece

    folder, generation = tmp_path / "model", checkpoints("bert-generation")
    model = Seq2Seq.warm_start(encoder=generation, decoder=generation)
    text = tmp_path / "text.txt"
    text.write_text("\n".join(f"the old house number {n} by the river" for n in range(200)))
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(tmp_path / "spiece"),
        vocab_size=41,
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        minloglevel=2,
    )
    config = config_of("bert-generation")
    assert config.vocab_size >= 41
    model.save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (folder / file).unlink()
    shutil.copy(tmp_path / "spiece.model", folder / "spiece.model")
    back = Seq2Seq.from_pretrained(folder)
    (row,) = back.encode_targets(["the old house"])
    assert row[-1] == back.tokenizers.special.end == 1
    assert back.tokenizers.decode([row]) == ["the old house"]
