"""Each family against transformers' own classes and defaults."""

from pathlib import Path

import pytest
import torch
import transformers
from tests.support import tiny_decoders, tiny_encoders
from tests.support.tiny import ENCODER_FAMILIES, Checkpoints, config_of, pretrained
from tests.support.tiny import FAMILIES as TINY

from warmstart.checkpoint.rename import locate
from warmstart.composition.variants import published_config
from warmstart.errors import CheckpointError
from warmstart.families.catalogue import FAMILIES, family_of, refuse_encoder_decoder
from warmstart.families.family import Family
from warmstart.model.config import LearnedPositions
from warmstart.model.sequences import Sequences
from warmstart.model.stack import Stack
from warmstart.seq2seq import Seq2Seq

BY_NAME = {family.name: family for family in FAMILIES}


def test_the_tiny_checkpoints_are_of_every_family() -> None:
    tiny = (*TINY, *tiny_encoders.FAMILIES, *tiny_decoders.FAMILIES)
    assert {family_of({"model_type": name}, "A tiny one").name for name in tiny} == set(BY_NAME)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_classes_exist_in_transformers(family: Family) -> None:
    for name in (family.encoder_class, family.decoder_class):
        assert name is None or hasattr(transformers, name)
    # Those that transformers can have as encoder and as decoder are tested as both against it.
    assert (None not in (family.encoder_class, family.decoder_class)) == (
        family.name in (*ENCODER_FAMILIES, "electra", "ernie", "data2vec-text")
    )
    for model_type in family.model_types:
        assert model_type in transformers.CONFIG_MAPPING
    assert family.pretrained_as in ("encoder", "decoder")


@pytest.mark.parametrize("name", TINY)
def test_every_tensor_of_a_pretrained_model_has_a_place(name: str) -> None:
    """Names by rule and what is dropped on purpose, together, are what transformers has."""
    family, config = BY_NAME[name], config_of(name)
    named = pretrained(config).named_parameters(remove_duplicate=False)
    theirs = {family.strip(key) for key, _ in named}
    with torch.device("meta"):
        stack = Stack(family.stack(config.to_dict()))
    ours = [key for key, _ in stack.named_parameters()]
    rules = family.rules(stack.config)
    located = {piece for key in ours for piece in locate(key, rules).names}
    left = theirs - located
    assert located <= theirs
    assert all(key.startswith((family.head_prefix, "pooler.")) for key in left)


@pytest.mark.parametrize("name", TINY)
def test_spelling_and_stripping_are_inverse(name: str) -> None:
    family = BY_NAME[name]
    # A tied weight has one name among the parameters: GPT-2's head, the embedding's.
    for key, _ in pretrained(config_of(name)).named_parameters():
        assert family.spell(family.strip(key)) == key


@pytest.mark.parametrize("name", ["gpt2", "bert-generation"])
def test_what_a_config_leaves_out_is_transformers_default(name: str) -> None:
    family = BY_NAME[name]
    whole = transformers.AutoConfig.for_model(name).to_dict()
    assert family.stack({"model_type": name}) == family.stack(whole)
    assert family.head({"model_type": name}) == family.head(whole)


@pytest.mark.parametrize("name", ENCODER_FAMILIES[:4])
def test_a_config_with_sizes_alone_has_transformers_defaults(name: str) -> None:
    family = BY_NAME[name]
    sizes = (
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "vocab_size",
        "max_position_embeddings",
        "type_vocab_size",
    )
    whole = transformers.AutoConfig.for_model(name).to_dict()
    assert family.stack({key: whole[key] for key in sizes}) == family.stack(whole)
    assert family.head({}) == family.head(whole)


@pytest.mark.parametrize("name", ENCODER_FAMILIES[:4])
def test_sizes_cannot_be_left_out(name: str) -> None:
    whole = config_of(name).to_dict()
    for key in ("hidden_size", "num_hidden_layers", "vocab_size"):
        left = {other: value for other, value in whole.items() if other != key}
        with pytest.raises(CheckpointError, match=f"{name} checkpoint has no '{key}'"):
            BY_NAME[name].stack(left)


def test_roberta_counts_positions_from_its_pad_token() -> None:
    """514 rows serve 512 tokens; one more would be an index error in transformers."""
    stack = BY_NAME["roberta"].stack(published_config("roberta-base"))
    assert stack.embedding.positions == LearnedPositions(rows=514, offset=2)
    assert stack.position_limit == 512
    assert BY_NAME["bert"].stack(published_config("bert-base-cased")).position_limit == 512
    assert BY_NAME["gpt2"].stack(published_config("gpt2")).position_limit == 1024


@pytest.mark.parametrize("name", TINY)
def test_the_longest_allowed_sequence_is_computed_as_by_transformers(
    name: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    model = Seq2Seq.warm_start(encoder=None, decoder=checkpoints(name))
    limit = model.model.config.decoder.position_limit
    assert limit == 64
    model.save_pretrained(tmp_path / "model")
    reference = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    rows = [[7] * 30, [8] * (limit - 30)]
    with torch.no_grad():
        ours = model.model.eval()(Sequences.of(rows[:1]), Sequences.of(rows[1:]))
        theirs = reference(torch.tensor([rows[0] + rows[1]])).logits[0, 30:]
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_an_unknown_family_gets_the_nearest_and_all_of_them() -> None:
    with pytest.raises(CheckpointError) as caught:
        family_of({"model_type": "xml-roberta"}, "some/checkpoint")
    message = str(caught.value)
    assert message.startswith("some/checkpoint is of the family 'xml-roberta'")
    assert "did you mean 'xlm-roberta'?" in message
    assert all(name in message for family in FAMILIES for name in family.model_types)


@pytest.mark.parametrize("model_type", ["codegen", "xglm", "megatron-bert", "stablelm"])
def test_another_architecture_is_no_typo(model_type: str) -> None:
    assert model_type in transformers.CONFIG_MAPPING
    with pytest.raises(CheckpointError) as caught:
        family_of({"model_type": model_type}, "some/checkpoint")
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize("model_type", ["mbart", "pegasus", "led", "m2m_100", "umt5", "whisper"])
@pytest.mark.parametrize("config", [{}, {"is_encoder_decoder": True}], ids=str)
def test_an_unsupported_encoder_decoder_is_named_as_one(
    model_type: str, config: dict[str, object]
) -> None:
    config = {**config, "model_type": model_type}
    message = f"is a pre-trained encoder-decoder of the family '{model_type}'.*: t5, mt5, bart"
    with pytest.raises(CheckpointError, match=message):
        family_of(config, "some/checkpoint")
    with pytest.raises(CheckpointError, match=message):
        refuse_encoder_decoder(config, "some/checkpoint")


def test_a_supported_encoder_decoder_passes() -> None:
    refuse_encoder_decoder({"model_type": "bart", "is_encoder_decoder": True}, "some/checkpoint")
    refuse_encoder_decoder({"model_type": "gpt2"}, "some/checkpoint")


@pytest.mark.parametrize("model_type", ["encoder-decoder", "encoder_decoder", "warmstart-llama"])
def test_a_composed_model_is_no_half(model_type: str) -> None:
    with pytest.raises(CheckpointError, match="is a composed model with two halves"):
        family_of({"model_type": model_type, "is_encoder_decoder": True}, "some/checkpoint")


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"model_type": "mixtral"}, "mixtures of experts"),
        ({"model_type": "a-new-one", "num_local_experts": 8}, "mixtures of experts"),
        ({"model_type": "mamba2"}, "recurrent"),
        ({"model_type": "qwen3_5_text"}, "recurrent"),
    ],
)
def test_unlike_layers_are_refused_with_the_reason(config: dict[str, object], reason: str) -> None:
    with pytest.raises(CheckpointError, match=f"cannot be composed: .*{reason}"):
        family_of(config, "some/checkpoint")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_tensorflows_names_of_norms_are_read_in_every_family(family: Family) -> None:
    assert family.modernize("layer.3.norm.gamma") == "layer.3.norm.weight"
    assert family.modernize("layer.3.norm.beta") == "layer.3.norm.bias"
