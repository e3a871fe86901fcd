"""Names of files with wrappers around the model, and of heads for other tasks."""

from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tests.support.tiny import Checkpoints, config_of, pretrained_class, tokenizer_of

from warmstart.seq2seq import Seq2Seq

PREFIXES = (
    "_orig_mod.",
    "module.",
    "_orig_mod.module.",
    "base_model.model.",
    "0.auto_model.",
    "model.",
    "_fsdp_wrapped_module.",
)
FAMILIES = ("bert", "roberta", "gpt2", "llama", "opt", "modernbert", "falcon")


def renamed(folder: Path, source: Path, rename: dict[str, str]) -> Path:
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    transformers.AutoConfig.from_pretrained(source).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    tensors = load_file(source / "model.safetensors")
    save_file(
        {rename.get(name, name): tensor for name, tensor in tensors.items()},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    return folder


@pytest.mark.parametrize("prefix", [*PREFIXES, "in the middle"])
@pytest.mark.parametrize("family", FAMILIES)
def test_wrapped_models_are_the_models(
    family: str, prefix: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    source = checkpoints(family)
    names = load_file(source / "model.safetensors")
    if prefix == "in the middle":
        rename = {name: name.replace(".0.", ".0._checkpoint_wrapped_module.") for name in names}
        assert any(name != wrapped for name, wrapped in rename.items())
    else:
        rename = {name: prefix + name for name in names}
    folder = renamed(tmp_path / "wrapped", source, rename)
    expected = Seq2Seq.warm_start(encoder=checkpoints("electra"), decoder=source)
    wrapped = Seq2Seq.warm_start(encoder=checkpoints("electra"), decoder=folder)
    for name, tensor in expected.model.state_dict().items():
        assert torch.equal(tensor, wrapped.model.state_dict()[name]), name
    origins = [entry.origin for entry in expected.provenance]
    assert [entry.origin for entry in wrapped.provenance] == origins


@pytest.mark.parametrize(
    ("family", "model", "head"),
    [
        ("bert", "BertForSequenceClassification", "classifier."),
        ("bert", "BertForQuestionAnswering", "qa_outputs."),
        ("bert", "BertForMultipleChoice", "classifier."),
        ("roberta", "RobertaForTokenClassification", "classifier."),
        ("distilbert", "DistilBertForSequenceClassification", "pre_classifier."),
        ("modernbert", "ModernBertForSequenceClassification", "classifier."),
        ("gpt2", "GPT2ForSequenceClassification", "score."),
        ("llama", "LlamaForSequenceClassification", "score."),
        ("qwen2", "Qwen2ForTokenClassification", "score."),
    ],
)
def test_the_body_of_a_model_for_another_task_is_taken(
    family: str, model: str, head: str, tmp_path: Path
) -> None:
    """Its head is unused, and the language-modelling head is as without a checkpoint of it."""
    torch.manual_seed(0)
    config = config_of(family)
    config.pad_token_id = 0
    reference = getattr(transformers, model)(config)
    reference.save_pretrained(tmp_path)
    tokenizer_of(family).save_pretrained(tmp_path)
    made = Seq2Seq.warm_start(encoder=tmp_path, decoder=tmp_path)
    origins = {entry.name: entry.origin for entry in made.provenance}
    assert {origin for name, origin in origins.items() if name.startswith(head)} == {"unused"}
    words = reference.get_input_embeddings().weight
    assert torch.equal(made.model.decoder.embedding.word.weight, words)
    own = {name for name, origin in origins.items() if origin == "random"}
    assert all("cross" in name or "head" in name for name in own)
    assert not any(
        made.model.head.state_dict()[name].equal(tensor)
        for name, tensor in reference.state_dict().items()
        if name in made.model.head.state_dict() and "norm" not in name
    )


@pytest.mark.parametrize(
    ("family", "word", "head"),
    [
        ("gpt2", "transformer.wte.weight", "lm_head.weight"),
        ("qwen3", "model.embed_tokens.weight", "lm_head.weight"),
        (
            "bert",
            "bert.embeddings.word_embeddings.weight",
            "cls.predictions.decoder.weight",
        ),
    ],
)
def test_a_tied_weight_under_its_other_name(
    family: str, word: str, head: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    source = checkpoints(family)
    folder = renamed(tmp_path / "other", source, {word: head})
    expected, made = (
        Seq2Seq.warm_start(encoder=half, decoder=half).model.state_dict()
        for half in (source, folder)
    )
    assert all(torch.equal(tensor, made[name]) for name, tensor in expected.items())


def test_a_misspelled_tensor_of_the_body_is_still_an_error(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    name = "bert.embeddings.word_embeddings.weight"
    folder = renamed(tmp_path / "odd", checkpoints("bert"), {name: f"{name[:-6]}wieght"})
    with pytest.raises(Exception, match=r"1 missing .* 1 unexpected"):
        Seq2Seq.warm_start(encoder=folder, decoder=checkpoints("bert"))


def test_every_tiny_family_has_its_class() -> None:
    assert all(pretrained_class(family) for family in FAMILIES)
