"""Every decoder-only family computes what transformers computes, as a decoder and as an encoder."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tests.parity.reference import examples, rectangle, reference_logits
from tests.support import tiny_decoders
from tests.support.tiny import SENTENCES, Checkpoints, config_of, perturb, pretrained, tokenizer_of
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.models.bloom import modeling_bloom

from warmstart.composition.composition_options import CrossAttentionStart
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.sequences import Sequences
from warmstart.seq2seq import Seq2Seq

FAMILIES = tuple(tiny_decoders.FAMILIES)
LAYERS = 4
WINDOW = 5  # of the tiny families
TOLERANCE = 1e-5
LENGTHS = (9, 4, 17, 12)  # tokens; windows are shorter
# Values of a family's config that the tiny checkpoints do not have.
LINEAR = {"rope_type": "linear", "rope_theta": 1_000.0, "factor": 4.0}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 1_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
BASE = {"rope_type": "default", "rope_theta": 10.0}
VARIANTS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "llama, linear scaling": ("llama", {"rope_parameters": LINEAR}),
    "llama, llama3 scaling": ("llama", {"rope_parameters": LLAMA3}),
    "llama, biases": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama, tied": ("llama", {"tie_word_embeddings": True}),
    "mistral, no window": ("mistral", {"sliding_window": None}),
    "qwen2, windows in the upper layers": (
        "qwen2",
        {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 2},
    ),
    "qwen2, untied": ("qwen2", {"tie_word_embeddings": False}),
    "qwen3, windows and biases": (
        "qwen3",
        {
            "use_sliding_window": True,
            "sliding_window": WINDOW,
            "max_window_layers": 1,
            "attention_bias": True,
        },
    ),
    "gemma, biases": ("gemma", {"attention_bias": True}),
    "gemma2, no caps": (
        "gemma2",
        {"attn_logit_softcapping": None, "final_logit_softcapping": None},
    ),
    "gemma3, scaled global layers": (
        "gemma3_text",
        {"rope_parameters": {"full_attention": LINEAR, "sliding_attention": BASE}},
    ),
    "gemma3, five local layers to one": (
        "gemma3_text",
        {"layer_types": None, "num_hidden_layers": 7, "final_logit_softcapping": 5.0},
    ),
    "gpt_neox, one after the other": ("gpt_neox", {"use_parallel_residual": False}),
    "gpt_neox, whole heads turn": (
        "gpt_neox",
        {"rope_parameters": {**BASE, "partial_rotary_factor": 1.0}, "attention_bias": False},
    ),
    "gpt_neox, half of a head turns, scaled": (
        "gpt_neox",
        {"rope_parameters": {**LINEAR, "partial_rotary_factor": 0.5}, "tie_word_embeddings": True},
    ),
    "opt, norms after": ("opt", {"do_layer_norm_before": False}),
    "opt, word vectors of a width of their own": (
        "opt",
        {"do_layer_norm_before": False, "word_embed_proj_dim": 16},
    ),
    "opt, no biases": ("opt", {"enable_bias": False}),
    "modernbert-decoder, biases": (
        "modernbert-decoder",
        {
            "attention_bias": True,
            "mlp_bias": True,
            "norm_bias": True,
            "classifier_bias": True,
            "decoder_bias": False,
        },
    ),
}
EVERY = (*FAMILIES, *VARIANTS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> "Folders":
    return Folders(tmp_path_factory.mktemp("decoders"))


class Folders:
    """Checkpoints of the tiny families and their variants, each made once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, name: str) -> Path:
        folder = self.root / name.replace(" ", "-")
        if not folder.exists():
            family, changes = VARIANTS.get(name, (name, {}))
            config = changed(config_of(family, layers=LAYERS), changes)
            pretrained(config).save_pretrained(folder)
            tokenizer_of(family).save_pretrained(folder)
        return folder


@pytest.mark.parametrize("name", EVERY)
def test_logits_of_sequences_one_by_one(name: str, folders: Folders) -> None:
    model, reference = decoder_of(folders(name)), reference_of(folders(name))
    rows = rows_of(model)
    with torch.no_grad():
        theirs = torch.cat([reference(torch.tensor([row])).logits[0] for row in rows])
    assert theirs.std() > 0.1, "the reference must say something"
    torch.testing.assert_close(logits_of(model, rows), theirs, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_of_a_padded_batch(name: str, folders: Folders) -> None:
    model, reference = decoder_of(folders(name)), reference_of(folders(name))
    rows = rows_of(model)
    theirs = padded_logits(reference, rows)
    torch.testing.assert_close(logits_of(model, rows), theirs, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", EVERY)
def test_steps_after_prefixes_of_different_lengths(name: str, folders: Folders) -> None:
    """Prefixes, then one token at a time, then several: the logits that transformers gives."""
    model, reference = decoder_of(folders(name)), reference_of(folders(name))
    rows = rows_of(model, lengths=(17,) * 4)
    prefixes = (5, 2, 9, 3)
    with torch.no_grad():
        theirs = reference(torch.tensor(rows)).logits
        cache = model.decoder.start_cache(len(rows), 17)
        first = torch.tensor([row[: max(prefixes)] for row in rows])
        model.decoder.step(first, cache, prefixes)
        at = list(prefixes)
        for count in (1, 1, 3, 1):
            new = torch.tensor([row[i : i + count] for row, i in zip(rows, at, strict=True)])
            expected = [logits[i : i + count] for logits, i in zip(theirs, at, strict=True)]
            ours = model.step(new, cache)
            torch.testing.assert_close(ours, torch.stack(expected), rtol=0, atol=TOLERANCE)
            at = [i + count for i in at]


@pytest.mark.parametrize("name", FAMILIES)
def test_bfloat16_error_is_at_most_three_times_that_of_transformers(
    name: str, folders: Folders
) -> None:
    model, reference = decoder_of(folders(name)), reference_of(folders(name))
    rows = rows_of(model)
    exact = padded_logits(reference, rows)
    theirs = padded_logits(reference.to(torch.bfloat16), rows)
    ours = logits_of(model.to(torch.bfloat16), rows)
    assert ours.dtype == theirs.dtype == torch.bfloat16
    our_error, their_error = (ours - exact).abs(), (theirs - exact).abs()
    assert 0 < our_error.mean() <= 3 * their_error.mean()
    assert our_error.max() <= 3 * their_error.max()


@pytest.mark.parametrize("name", EVERY)
def test_a_checkpoint_goes_through_a_decoder_bit_for_bit(
    name: str, folders: Folders, tmp_path: Path
) -> None:
    folder = folders(name)
    model = Seq2Seq.warm_start(encoder=None, decoder=folder)
    assert model.provenance is not None
    assert {entry.origin for entry in model.provenance} <= {"leveraged", "shared"}
    model.save_pretrained(tmp_path / "model")
    assert_same(
        load_file(tmp_path / "model" / "model.safetensors"),
        load_file(folder / "model.safetensors"),
    )
    _, report = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "model", output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    back = Seq2Seq.from_pretrained(tmp_path / "model")
    assert back.model.config == model.model.config
    assert back.tokenizers.special == model.tokenizers.special
    assert_same(back.model.state_dict(), model.model.state_dict())


@pytest.mark.parametrize(
    "name",
    [
        *FAMILIES,
        "opt, norms after",
        "qwen2, windows in the upper layers",
        "gpt_neox, one after the other",
    ],
)
def test_an_encoder_is_the_decoder_with_its_causal_mask_lifted(
    name: str, folders: Folders, checkpoints: Checkpoints
) -> None:
    model = Seq2Seq.warm_start(encoder=folders(name), decoder=checkpoints("bert")).model.eval()
    assert model.encoder is not None
    rows = rows_of(model)
    reference = reference_of(folders(name))
    with torch.no_grad():
        ours = model.encoder(Sequences.of(rows))
        theirs = torch.cat([states_that_see_everything(reference, row) for row in rows])
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours, theirs, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_gated_decoder_starts_as_its_checkpoint(
    name: str, folders: Folders, checkpoints: Checkpoints
) -> None:
    model = Seq2Seq.warm_start(
        encoder=checkpoints("bert"), decoder=folders(name), cross_attention="gated"
    ).model.eval()
    reference = reference_of(folders(name))
    rows = rows_of(decoder_of(folders(name)))
    with torch.no_grad():
        ours = model(Sequences.of([[5, 6, 7]] * len(rows)), Sequences.of(rows))
        theirs = torch.cat([reference(torch.tensor([row])).logits[0] for row in rows])
    torch.testing.assert_close(ours, theirs, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("start", get_args(CrossAttentionStart))
@pytest.mark.parametrize("name", FAMILIES)
def test_a_composition_learns_writes_and_comes_back(
    name: str,
    start: CrossAttentionStart,
    checkpoints: Checkpoints,
    tmp_path: Path,
) -> None:
    model = Seq2Seq.warm_start(
        encoder=checkpoints("bert", hidden_size=48),
        decoder=checkpoints(name),
        cross_attention=start,
    )
    sources, targets = examples(model)
    loss = model.model(Sequences.of(sources), Sequences.of(targets), Sequences.of(targets).tokens)
    loss.backward()
    gradients = {key: value.grad for key, value in model.model.named_parameters()}
    assert not [key for key, value in gradients.items() if value is None]
    before = logits_of_pairs(model, sources, targets)
    torch.optim.AdamW(model.model.parameters(), lr=1e-2).step()
    learnt = logits_of_pairs(model, sources, targets)
    assert not torch.equal(before, learnt)
    written = model.generate(SENTENCES[:2], num_beams=2, max_length=5)
    model.save_pretrained(tmp_path / "model")
    back = Seq2Seq.from_pretrained(tmp_path / "model")
    torch.testing.assert_close(logits_of_pairs(back, sources, targets), learnt, rtol=0, atol=0)
    assert back.generate(SENTENCES[:2], num_beams=2, max_length=5) == written


def test_gemma_2_with_cross_attention_is_t5gemma(tmp_path: Path, checkpoints: Checkpoints) -> None:
    """transformers' own composition of Gemma 2 with itself, cross-attention and all."""
    reference = t5gemma()
    for half in ("encoder", "decoder"):
        save_half(reference, half, tmp_path / half)
    model = Seq2Seq.warm_start(encoder=tmp_path / "encoder", decoder=tmp_path / "decoder")
    assert model.provenance is not None
    assert {entry.origin for entry in model.provenance} <= {"leveraged", "shared"}
    sources, targets = examples(model)
    ours = logits_of_pairs(model, sources, targets)
    theirs = reference_logits(reference, model, sources, targets)
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours, theirs, rtol=0, atol=TOLERANCE)


def test_embedding_gemma_was_trained_to_see_both_ways(
    folders: Folders, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    """Here transformers has an encoder of its own, so no mask of ours is in the comparison."""
    changes = {"use_bidirectional_attention": True, "sliding_window": 6}
    config = changed(config_of("gemma3_text", layers=LAYERS), changes)
    torch.manual_seed(0)
    reference = pretrained(config).eval()
    reference.base_model.save_pretrained(tmp_path / "encoder")
    tokenizer_of("gemma3_text").save_pretrained(tmp_path / "encoder")
    reference = transformers.AutoModel.from_pretrained(tmp_path / "encoder").eval()
    model = Seq2Seq.warm_start(encoder=tmp_path / "encoder", decoder=checkpoints("bert"))
    assert model.model.encoder is not None
    rows = rows_of(model.model)
    with torch.no_grad():
        ours = model.model.eval().encoder(Sequences.of(rows))
        theirs = [reference(torch.tensor([row])).last_hidden_state[0] for row in rows]
    torch.testing.assert_close(ours, torch.cat(theirs), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("names", ["as saved", "of the first releases", "of the next"])
def test_the_text_part_of_an_image_model(names: str, tmp_path: Path) -> None:
    text = config_of("gemma3_text", layers=LAYERS)
    vision = transformers.SiglipVisionConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
    )
    config = transformers.Gemma3Config(
        text_config=text.to_dict(), vision_config=vision.to_dict(), mm_tokens_per_image=1
    )
    torch.manual_seed(0)
    reference = transformers.Gemma3ForConditionalGeneration(config).eval()
    perturb(reference)
    reference.save_pretrained(tmp_path)
    tokenizer_of("gemma3_text").save_pretrained(tmp_path)
    if names != "as saved":
        spelling = {
            "of the first releases": ("language_model.model.", "vision_tower."),
            "of the next": ("model.language_model.", "model.vision_tower."),
        }[names]
        tensors = {
            name.replace("model.language_model.", spelling[0])
            .replace("model.vision_tower.", spelling[1])
            .replace("model.multi", "multi"): tensor.clone()
            for name, tensor in reference.state_dict().items()
            if name != "lm_head.weight"
        }
        save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    model = Seq2Seq.warm_start(encoder=None, decoder=tmp_path)
    assert model.provenance is not None
    origins = {entry.name: entry.origin for entry in model.provenance}
    assert {origin for name, origin in origins.items() if "vision" not in name} <= {
        "leveraged",
        "shared",
        "unused",
    }
    rows = [[token % 200 + 5 for token in row] for row in rows_of(model.model)]
    with torch.no_grad():
        theirs = torch.cat([reference(torch.tensor([row])).logits[0] for row in rows])
    ours = logits_of(model.model.eval(), rows)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=TOLERANCE)
    model.save_pretrained(tmp_path / "saved")
    back = Seq2Seq.from_pretrained(tmp_path / "saved")
    assert_same(back.model.state_dict(), model.model.state_dict())


def t5gemma() -> PreTrainedModel:
    half = config_of("gemma2", layers=LAYERS).to_dict()
    names = (
        "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads "
        "num_key_value_heads head_dim max_position_embeddings query_pre_attn_scalar sliding_window "
        "attn_logit_softcapping final_logit_softcapping layer_types pad_token_id bos_token_id "
        "eos_token_id"
    ).split()
    values = {name: half[name] for name in names}
    config = transformers.T5GemmaConfig(
        encoder=dict(values),
        decoder=dict(values),
        vocab_size=half["vocab_size"],
        attn_implementation="eager",
    )
    torch.manual_seed(0)
    reference = transformers.T5GemmaForConditionalGeneration(config)
    perturb(reference)
    return reference.eval()


def save_half(reference: PreTrainedModel, half: str, folder: Path) -> None:
    """One half of a T5Gemma as a Gemma 2 checkpoint."""
    config = config_of("gemma2", layers=LAYERS)
    if half == "encoder":
        config.sliding_window += 1  # T5Gemma's encoder counts the window's width in
    config.save_pretrained(folder)
    tokenizer_of("gemma2").save_pretrained(folder)
    prefix = f"model.{half}."
    tensors = {
        "model."
        + name.removeprefix(prefix)
        .replace("pre_self_attn_", "input_")
        .replace("post_self_attn_", "post_attention_"): tensor.clone()
        for name, tensor in reference.state_dict().items()
        if name.startswith(prefix)
    }
    save_file(tensors, folder / "model.safetensors")


def logits_of_pairs(model: Seq2Seq, sources: list[list[int]], targets: list[list[int]]) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model.model.eval()(Sequences.of(sources), Sequences.of(targets))
    return logits


def changed(config: PreTrainedConfig, changes: Mapping[str, Any]) -> PreTrainedConfig:
    return type(config).from_dict({**config.to_dict(), **changes})


def decoder_of(folder: Path) -> EncoderDecoder:
    return Seq2Seq.warm_start(encoder=None, decoder=folder).model.eval()


def reference_of(folder: Path) -> PreTrainedModel:
    reference: PreTrainedModel = transformers.AutoModelForCausalLM.from_pretrained(
        folder,
        attn_implementation="eager",  # the only one with a soft cap on a CPU
    )
    return reference.eval()


def rows_of(model: EncoderDecoder, lengths: tuple[int, ...] = LENGTHS) -> list[list[int]]:
    torch.manual_seed(1)
    stack = model.decoder if model.encoder is None else model.encoder
    most = stack.config.embedding.vocabulary
    return [torch.randint(most, (length,)).tolist() for length in lengths]


def logits_of(model: EncoderDecoder, rows: list[list[int]]) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model.head(model.decoder(Sequences.of(rows)))
    return logits


def padded_logits(reference: PreTrainedModel, rows: list[list[int]]) -> Tensor:
    ids, mask = rectangle(rows, 0)
    with torch.no_grad():
        logits: Tensor = reference(input_ids=ids, attention_mask=mask).logits
    return logits[mask.bool()]


def states_that_see_everything(reference: PreTrainedModel, row: list[int]) -> Tensor:
    """States of transformers' decoder under masks of ours: everything, or as far as a window."""
    config = reference.config
    places = torch.arange(len(row))
    distance = (places[:, None] - places).abs()

    def mask(window: int | None) -> Tensor:
        hidden = distance >= (len(row) if window is None else window)
        return torch.zeros(hidden.shape).masked_fill(hidden, torch.finfo().min)[None, None]

    window = getattr(config, "sliding_window", None)
    masks: Any = mask(window)
    if getattr(config, "layer_types", None) is not None:  # such a model takes a mask for each kind
        masks = {"full_attention": mask(None), "sliding_attention": mask(window)}
    if config.model_type == "bloom":
        return bloom_states_that_see_everything(reference, row)
    if config.model_type == "gpt_neo":  # its own masks are buffers
        reference = copy.deepcopy(reference)
        for block, kind in zip(reference.transformer.h, config.attention_layers, strict=True):
            reach = config.window_size if kind == "local" else config.max_position_embeddings
            places = torch.arange(config.max_position_embeddings)
            block.attn.attention.bias = (places[:, None] - places).abs()[None, None] < reach
        masks = mask(None)
    states: Tensor = reference.base_model(
        input_ids=torch.tensor([row]), attention_mask=masks, position_ids=places[None, : len(row)]
    ).last_hidden_state
    return states[0]


def bloom_states_that_see_everything(reference: PreTrainedModel, row: list[int]) -> Tensor:
    """With a penalty for keys ahead, too, in place of the growing bias that they would have."""
    places = torch.arange(len(row))
    ones = torch.ones(1, len(row), dtype=torch.long)
    rising_H1L = modeling_bloom.build_alibi_tensor(ones, reference.config.n_head, torch.float32)
    slopes_H11 = rising_H1L[:, :, 1:2]
    distances = (places[:, None] - places).abs()
    bias_HLL = -slopes_H11 * distances - rising_H1L  # the latter is added by the model
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modeling_bloom, "create_causal_mask", lambda **_: bias_HLL[None])
        states: Tensor = reference.base_model(torch.tensor([row])).last_hidden_state
    return states[0]


def assert_same(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    """The same names, and the same values bit for bit."""
    assert ours.keys() == theirs.keys()
    differing = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    assert not differing
