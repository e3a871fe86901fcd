"""Every encoder-only family computes what transformers computes, as an encoder and as a decoder."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tests.parity.reference import (
    examples,
    logits_of,
    rectangle,
    reference_logits,
    save_for_reference,
)
from tests.support import tiny, tiny_encoders
from tests.support.tiny import SENTENCES, Checkpoints
from torch import Tensor
from transformers import PreTrainedModel

from warmstart.composition.composition_options import CrossAttentionStart
from warmstart.families.catalogue import family_of
from warmstart.families.family import Family
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.sequences import Sequences
from warmstart.model.stack import Stack
from warmstart.seq2seq import Seq2Seq

FAMILIES = tuple(tiny_encoders.FAMILIES)
TOLERANCE = 1e-5
VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("electra", {"hidden_act": "relu"}),  # the head's stays
    ("electra", {"embedding_size": 32}),  # the width of the stack
    ("distilbert", {"activation": "relu", "sinusoidal_pos_embds": True}),
    ("modernbert", {"norm_bias": True, "attention_bias": True, "mlp_bias": True}),
    ("modernbert", {"classifier_bias": True, "hidden_activation": "silu"}),
    ("modernbert", {"decoder_bias": False, "classifier_activation": "relu"}),
    (
        "modernbert",
        {"layer_types": ["sliding_attention", "full_attention"], "local_attention": 9},
    ),
    ("mpnet", {"hidden_act": "relu", "layer_norm_eps": 1e-3}),  # the head's stays
    ("nomic_bert", {"head_dim": 12, "hidden_act": "gelu", "type_vocab_size": 1}),
    ("eurobert", {"head_dim": 12, "attention_bias": True, "tie_word_embeddings": True}),
    (
        "eurobert",
        {
            "mlp_bias": True,
            "tie_word_embeddings": True,
            "rope_parameters": {"rope_type": "linear", "rope_theta": 100.0, "factor": 4.0},
        },
    ),
)

Rows = list[list[int]]


@pytest.mark.parametrize("family", FAMILIES)
def test_states_of_sequences_one_by_one(family: str, checkpoints: Checkpoints) -> None:
    folder = checkpoints(family, layers=4)
    encoder, rows = encoder_of(folder, checkpoints)
    reference = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        ours = encoder(Sequences.of(rows))
        theirs = [reference(torch.tensor([row])).last_hidden_state[0] for row in rows]
    assert torch.cat(theirs).std() > 0.1, "the reference must say something"
    torch.testing.assert_close(ours, torch.cat(theirs), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("family", FAMILIES)
def test_states_of_a_padded_batch(family: str, checkpoints: Checkpoints) -> None:
    folder = checkpoints(family, layers=4)
    encoder, rows = encoder_of(folder, checkpoints)
    reference = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        ours = encoder(Sequences.of(rows))
    torch.testing.assert_close(ours, padded_states(reference, rows), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_error_is_at_most_three_times_that_of_transformers(
    family: str, checkpoints: Checkpoints
) -> None:
    folder = checkpoints(family, layers=4)
    encoder, rows = encoder_of(folder, checkpoints)
    reference = transformers.AutoModel.from_pretrained(folder).eval()
    exact = padded_states(reference, rows)
    theirs = padded_states(reference.to(torch.bfloat16), rows)
    with torch.no_grad():
        ours = encoder.to(torch.bfloat16)(Sequences.of(rows))
    assert ours.dtype == theirs.dtype == torch.bfloat16
    our_error, their_error = (ours - exact).abs(), (theirs - exact).abs()
    assert 0 < our_error.mean() <= 3 * their_error.mean()
    assert our_error.max() <= 3 * their_error.max()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_decoder_is_the_pretrained_head_over_a_causal_mask(
    family: str, checkpoints: Checkpoints
) -> None:
    folder = checkpoints(family, layers=4)
    model, rows = decoder_of(folder)
    reference = pretrained(family, folder)
    with torch.no_grad():
        ours = model.head(model.decoder(Sequences.of(rows)))
        theirs = [causal_logits(reference, model.decoder, row) for row in rows]
    assert torch.cat(theirs).std() > 0.1, "the reference must say something"
    torch.testing.assert_close(ours, torch.cat(theirs), rtol=0, atol=3e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_decoder_step_by_step_is_the_decoder_at_once(
    family: str, checkpoints: Checkpoints
) -> None:
    """Prefixes of different lengths, then one token at a time, then several."""
    model, rows = decoder_of(checkpoints(family, layers=4))
    longest = max(map(len, rows))
    rows = [row + rows[0][: longest - len(row)] for row in rows]
    prefixes = (5, 2, 7, 3)
    with torch.no_grad():
        at_once = model.head(model.decoder(Sequences.of(rows))).unflatten(0, (len(rows), -1))
        cache = model.decoder.start_cache(len(rows), longest)
        prefix = torch.tensor([row[: max(prefixes)] for row in rows])
        model.decoder.step(prefix, cache, prefixes)
        at = list(prefixes)
        for count in (1, 1, 3, 1):
            new = torch.tensor([row[i : i + count] for row, i in zip(rows, at, strict=True)])
            steps = model.head(model.decoder.step(new, cache))
            expected = [logits[i : i + count] for logits, i in zip(at_once, at, strict=True)]
            torch.testing.assert_close(steps, torch.stack(expected), rtol=0, atol=TOLERANCE)
            at = [i + count for i in at]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_goes_through_a_decoder_bit_for_bit(
    family: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    folder = checkpoints(family)
    model = Seq2Seq.warm_start(encoder=None, decoder=folder)
    assert not [entry for entry in model.provenance if entry.origin == "random"]
    model.save_pretrained(tmp_path / "model")
    # Of two prefixes in use, NomicBERT's is stored as its authors spell it.
    strip = family_named(family).strip
    ours, theirs = (
        {strip(name): tensor for name, tensor in load_file(path / "model.safetensors").items()}
        for path in (tmp_path / "model", folder)
    )
    assert_same(ours, theirs)
    back = Seq2Seq.from_pretrained(tmp_path / "model")
    assert back.model.config == model.model.config
    assert_same(back.model.state_dict(), model.model.state_dict())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_without_a_head_goes_through_an_encoder_bit_for_bit(
    family: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    headless, folder = tmp_path / "headless", checkpoints(family)
    transformers.AutoModel.from_pretrained(folder).save_pretrained(headless)
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(headless)
    model = Seq2Seq.warm_start(encoder=headless, decoder=checkpoints("bert"))
    model.save_pretrained(tmp_path / "model")
    stored = load_file(tmp_path / "model" / "model.safetensors")
    ours = {
        name.removeprefix("encoder."): tensor
        for name, tensor in stored.items()
        if name.startswith("encoder.")
    }
    theirs = load_file(headless / "model.safetensors")
    # A pooler is of no use to a sequence-to-sequence model, and we drop it.
    assert_same(
        ours, {name: tensor for name, tensor in theirs.items() if not name.startswith("pooler.")}
    )


@pytest.mark.parametrize("start", get_args(CrossAttentionStart))
@pytest.mark.parametrize("family", FAMILIES)
def test_a_composition_learns_writes_and_comes_back(
    family: str, start: CrossAttentionStart, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    """As encoder and as decoder, of different widths."""
    model = Seq2Seq.warm_start(
        encoder=checkpoints(family, hidden_size=48),
        decoder=checkpoints(family, seed=1),
        cross_attention=start,
    )
    sources, targets = examples(model)
    loss = model.model(Sequences.of(sources), Sequences.of(targets), Sequences.of(targets).tokens)
    loss.backward()
    assert not [name for name, value in model.model.named_parameters() if value.grad is None]
    before = logits_of(model.model, sources, targets)
    torch.optim.AdamW(model.model.parameters(), lr=1e-2).step()
    learnt = logits_of(model.model, sources, targets)
    assert not torch.equal(before, learnt)
    written = model.generate(SENTENCES[:2], num_beams=2, max_length=5)
    model.save_pretrained(tmp_path / "model")
    back = Seq2Seq.from_pretrained(tmp_path / "model")
    assert torch.equal(logits_of(back.model, sources, targets), learnt)
    assert back.generate(SENTENCES[:2], num_beams=2, max_length=5) == written


@pytest.mark.parametrize("family", FAMILIES)
def test_a_gated_decoder_starts_as_the_pretrained_head_over_a_causal_mask(
    family: str, checkpoints: Checkpoints
) -> None:
    folder = checkpoints(family)
    model = Seq2Seq.warm_start(
        encoder=checkpoints("bert"), decoder=folder, cross_attention="gated"
    ).model.eval()
    reference, rows = pretrained(family, folder), decoder_of(folder)[1]
    with torch.no_grad():
        ours = model(Sequences.of([[5, 6, 7]] * len(rows)), Sequences.of(rows))
        theirs = [causal_logits(reference, model.decoder, row) for row in rows]
    torch.testing.assert_close(ours, torch.cat(theirs), rtol=0, atol=3e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_both_halves_share_everything(
    family: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    folder = checkpoints(family)
    model = Seq2Seq.warm_start(encoder=folder, decoder=folder, share="all")
    assert model.model.encoder is not None
    own = {
        name.removeprefix("decoder.")
        for name, _ in model.model.named_parameters()
        if name.startswith("decoder.")
    }
    assert all(".cross_attention." in name for name in own)
    sources, targets = examples(model)
    logits = logits_of(model.model, sources, targets)
    model.save_pretrained(tmp_path / "model")
    back = Seq2Seq.from_pretrained(tmp_path / "model")
    assert back.composition.share == "all"
    assert torch.equal(logits_of(back.model, sources, targets), logits)


@pytest.mark.parametrize("decoder", ["bert", "gpt2"])
@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_holds_it_as_encoder(
    family: str, decoder: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    model = Seq2Seq.warm_start(encoder=checkpoints(family), decoder=checkpoints(decoder, seed=1))
    reference = save_for_reference(model, tmp_path / "model")
    assert type(reference.encoder).__name__ == family_named(family).encoder_class
    sources, targets = examples(model)
    torch.testing.assert_close(
        logits_of(model.model, sources, targets),
        reference_logits(reference, model, sources, targets),
        rtol=0,
        atol=TOLERANCE,
    )
    reference.save_pretrained(tmp_path / "theirs")
    model.tokenizers.save(tmp_path / "theirs")
    back = Seq2Seq.from_pretrained(tmp_path / "theirs")
    assert back.model.config == model.model.config
    assert_same(back.model.state_dict(), model.model.state_dict())


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [
        *((encoder, "electra") for encoder in ("bert", "electra", "distilbert", "modernbert")),
        ("ernie", "ernie"),
        ("bert", "data2vec-text"),
    ],
)
def test_transformers_holds_it_as_decoder(
    encoder: str, decoder: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    model = Seq2Seq.warm_start(encoder=checkpoints(encoder), decoder=checkpoints(decoder, seed=1))
    reference = save_for_reference(model, tmp_path / "model")
    assert type(reference.decoder).__name__ == family_named(decoder).decoder_class
    sources, targets = examples(model)
    torch.testing.assert_close(
        logits_of(model.model, sources, targets),
        reference_logits(reference, model, sources, targets),
        rtol=0,
        atol=TOLERANCE,
    )
    reference.save_pretrained(tmp_path / "theirs")
    model.tokenizers.save(tmp_path / "theirs")
    back = Seq2Seq.from_pretrained(tmp_path / "theirs")
    assert_same(back.model.state_dict(), model.model.state_dict())


def test_an_electra_discriminator_lends_all_but_its_discriminating_head(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    config = transformers.AutoConfig.from_pretrained(checkpoints("electra"))
    torch.manual_seed(0)
    transformers.ElectraForPreTraining(config).save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(checkpoints("electra")).save_pretrained(tmp_path)
    model = Seq2Seq.warm_start(encoder=tmp_path, decoder=tmp_path)
    origins = {entry.name: entry.origin for entry in model.provenance}
    dropped = {name for name, origin in origins.items() if origin == "unused"}
    assert dropped == {
        f"discriminator_predictions.{layer}.{kind}"
        for layer in ("dense", "dense_prediction")
        for kind in ("weight", "bias")
    }
    # A discriminator has no head that names words: that of the generator starts random.
    new = {name for name, origin in origins.items() if origin == "random"}
    assert new == {name for name in origins if ".cross_attention." in name or "head." in name} - {
        "head.weight"
    }


@pytest.mark.parametrize(("family", "options"), VARIANTS, ids=str)
def test_values_that_the_tiny_checkpoints_do_not_have(
    family: str, options: dict[str, Any], checkpoints: Checkpoints, tmp_path: Path
) -> None:
    base = transformers.AutoConfig.from_pretrained(checkpoints(family)).to_dict()
    config = transformers.AutoConfig.for_model(**{**base, **options})
    save(config, checkpoints(family), tmp_path)
    encoder, rows = encoder_of(tmp_path, checkpoints)
    reference = transformers.AutoModel.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        ours = encoder(Sequences.of(rows))
    torch.testing.assert_close(ours, padded_states(reference, rows), rtol=0, atol=TOLERANCE)
    model, rows = decoder_of(tmp_path)
    whole = pretrained(family, tmp_path)
    with torch.no_grad():
        logits = model.head(model.decoder(Sequences.of(rows)))
        theirs = [causal_logits(whole, model.decoder, row) for row in rows]
    torch.testing.assert_close(logits, torch.cat(theirs), rtol=0, atol=3e-5)


def test_a_nomicbert_as_its_authors_saved_it(checkpoints: Checkpoints, tmp_path: Path) -> None:
    """GPT-2's keys, BERT's prefix, and a head without biases."""
    reference = pretrained("nomic_bert", checkpoints("nomic_bert"))
    biases = ("cls.predictions.transform.dense.bias", "cls.predictions.bias")
    with torch.no_grad():
        for name in biases:
            reference.get_parameter(name).zero_()
    tensors = {
        name.replace("nomic_bert.", "bert."): tensor
        for name, tensor in load_file(checkpoints("nomic_bert") / "model.safetensors").items()
        if name not in biases
    }
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    config = {
        "activation_function": "swiglu",
        "max_trained_positions": 64,
        "mlp_fc1_bias": False,
        "model_type": "nomic_bert",
        "n_embd": 32,
        "n_head": 4,
        "n_inner": 64,
        "n_layer": 2,
        "rotary_emb_base": 1000,
        "vocab_size": reference.config.vocab_size,
    }
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    transformers.AutoTokenizer.from_pretrained(checkpoints("nomic_bert")).save_pretrained(tmp_path)
    model, rows = decoder_of(tmp_path)
    with torch.no_grad():
        ours = model.head(model.decoder(Sequences.of(rows)))
        theirs = [causal_logits(reference, model.decoder, row) for row in rows]
    torch.testing.assert_close(ours, torch.cat(theirs), rtol=0, atol=3e-5)


def encoder_of(folder: Path, checkpoints: Checkpoints) -> tuple[Stack, Rows]:
    """A checkpoint as encoder, and sentences in its tokens."""
    model = Seq2Seq.warm_start(encoder=folder, decoder=checkpoints("bert"))
    assert model.model.encoder is not None
    return model.model.encoder.eval(), model.encode_sources(SENTENCES)


def decoder_of(folder: Path) -> tuple[EncoderDecoder, Rows]:
    """A checkpoint as a decoder without cross-attention, and sentences in its tokens."""
    model = Seq2Seq.warm_start(encoder=None, decoder=folder)
    return model.model.eval(), model.encode_targets(SENTENCES)


def pretrained(family: str, folder: Path) -> PreTrainedModel:
    """The reference with the head that it was pre-trained with."""
    model = tiny_encoders.FAMILIES[family].model.from_pretrained(folder)
    loaded: PreTrainedModel = model.eval()
    return loaded


def padded_states(reference: PreTrainedModel, rows: Rows) -> Tensor:
    """Their states of a padded batch, laid out as ours. Shape: [T, H]"""
    ids, mask = rectangle(rows, reference.config.pad_token_id or 0)
    with torch.no_grad():
        states: Tensor = reference(input_ids=ids, attention_mask=mask).last_hidden_state
    return states[mask.bool()]


def causal_logits(reference: PreTrainedModel, decoder: Stack, row: list[int]) -> Tensor:
    """Their logits where a token sees itself and those before, in a window where there is one.

    Shape: [T, V]
    """
    distance = torch.arange(len(row))[:, None] - torch.arange(len(row))

    def mask(window: int | None) -> Tensor:
        seen = (distance >= 0) & (distance < (len(row) if window is None else window))
        return torch.zeros(1, 1, *seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)

    given: Tensor | dict[str, Tensor] = mask(None)
    windows = {window for window in decoder.config.windows or () if window is not None}
    if windows:
        [window] = windows
        assert window < len(row) or len(row) < 6, "the window must matter"
        given = {"full_attention": mask(None), "sliding_attention": mask(window)}
    output = reference(torch.tensor([row]), attention_mask=given)
    logits: Tensor = output["prediction_logits" if "prediction_logits" in output else "logits"]
    return logits[0]


def save(config: transformers.PreTrainedConfig, tokenizer: Path, folder: Path) -> None:
    """Writes a random checkpoint of a configuration."""
    tiny.pretrained(config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    """The same names, and under them the same bits."""
    assert ours.keys() == theirs.keys()
    assert not [name for name in ours if not torch.equal(ours[name], theirs[name])]


def family_named(name: str) -> Family:
    return family_of({"model_type": name}, "The test")
