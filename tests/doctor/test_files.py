"""Defects of a folder's files: tokens, vocabularies, limits, tensors, sharing."""

import json
import shutil
from pathlib import Path

import pytest
import transformers
from safetensors.torch import load_file
from tests.doctor.conftest import Compose
from tests.doctor.folders import edit_json, edit_tensors, exchange, look, statuses
from tests.support.tiny import Checkpoints, tokenizer_of
from tests.support.tiny_seq2seq import SEQ2SEQ, save_seq2seq
from torch import Tensor

from warmstart.doctor.examine import CHECKS, examine
from warmstart.errors import CheckpointError
from warmstart.seq2seq import Seq2Seq

# Healthy models.


@pytest.mark.parametrize(
    ("encoder", "decoder", "options"),
    [
        ("bert", "gpt2", {}),
        ("roberta", "roberta", {"share": "all"}),
        ("bert", "roberta", {"share": "layers", "cross_attention": "gated"}),
        ("bert", "gpt2", {"target_vocabulary": "encoder"}),
        ("bert", "roberta", {"target_vocabulary": "encoder"}),
        ("bert-generation", "bert", {"cross_attention": "copy"}),
        ("bert", "bert", {"share": "cross"}),
        ("roberta", "gpt2", {"cross_attention": "merged"}),
        (None, "gpt2", {}),
    ],
)
def test_a_fresh_composition_has_no_problem(
    encoder: str | None, decoder: str, options: dict[str, str], compose: Compose
) -> None:
    folder = compose(encoder, decoder, **options)
    edit_json(folder / "generation_config.json", max_length=32)
    findings = examine(folder)
    assert [finding.check for finding in findings] == [check.name for check in CHECKS]
    found = statuses(findings)
    # All but two: it has learnt nothing yet.
    assert found.pop("source dependence") == "warning"
    own = encoder is not None and options not in ({"share": "cross"}, {"cross_attention": "merged"})
    assert found.pop("cross-attention") == ("warning" if own else "skipped")
    assert found.pop("texts") == "skipped"  # no pairs are given
    assert set(found.values()) == {"ok"}, [f.what for f in findings if f.status != "ok"]
    for finding in findings:
        assert finding.what
        assert finding.why
        assert bool(finding.remedy) == (finding.status in ("warning", "problem"))


def test_a_folder_that_transformers_wrote(checkpoints: Checkpoints, tmp_path: Path) -> None:
    """Without a generation_config.json, as old ones are."""
    bert = checkpoints("bert")
    theirs = transformers.EncoderDecoderModel.from_encoder_decoder_pretrained(bert, bert)
    theirs.save_pretrained(tmp_path)
    tokenizer = tokenizer_of("bert")
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "generation_config.json").unlink(missing_ok=True)
    special = {
        "decoder_start_token_id": tokenizer.cls_token_id,
        "eos_token_id": tokenizer.sep_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "max_length": 20,
    }
    edit_json(tmp_path / "config.json", **special)
    findings = examine(tmp_path)
    assert "problem" not in statuses(findings).values()
    assert look(tmp_path, "special tokens").figures == {"start": 2, "end": 3, "pad": 0}
    assert look(tmp_path, "positions").figures["max_length"] == 20
    assert look(tmp_path, "cross-attention").figures["layers_as_drawn"] == 2


def test_a_checkpoint_gets_the_checks_that_apply(checkpoints: Checkpoints) -> None:
    findings = {finding.check: finding for finding in examine(checkpoints("roberta"))}
    assert statuses(list(findings.values())) == {
        "loading": "skipped",
        "special tokens": "ok",
        "vocabulary": "ok",
        "texts": "skipped",
        "positions": "ok",
        "tensors": "ok",
        "sharing": "skipped",
        "source dependence": "skipped",
        "cross-attention": "skipped",
        "round trip": "skipped",
    }
    assert "warmstart compose ENCODER DECODER" in findings["loading"].what
    assert findings["vocabulary"].figures["checkpoint_rows"] == 42


def test_what_cannot_be_read_at_all(compose: Compose, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="There is no folder"):
        examine(tmp_path / "none")
    folder = compose("bert", "bert")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match="is truncated"):
        examine(folder)


def test_a_model_that_does_not_load_is_examined(compose: Compose) -> None:
    folder = compose("bert", "bert")
    edit_tensors(folder, lambda tensors: tensors.pop("encoder.embeddings.LayerNorm.bias"))
    found = {finding.check: finding for finding in examine(folder)}
    assert found["loading"].status == "problem"
    assert "1 missing (encoder.embeddings.LayerNorm.bias" in found["loading"].what
    assert found["special tokens"].status == found["tensors"].status == "ok"
    assert found["round trip"].status == found["cross-attention"].status == "skipped"


# Special tokens.


def test_a_start_token_on_which_the_files_do_not_agree(compose: Compose) -> None:
    folder = compose("bert", "bert")
    edit_json(folder / "config.json", decoder_start_token_id=7)
    found = look(folder, "special tokens")
    assert found.status == "problem"
    assert "start token is ambiguous" in found.what
    assert "generation_config.json has 2 and config.json has 7" in found.what
    assert "decoder_start_token_id in both" in found.remedy
    assert "[CLS] (2)" in found.remedy


@pytest.mark.parametrize(
    ("role", "key"),
    [("start", "decoder_start_token_id"), ("end", "eos_token_id"), ("pad", "pad_token_id")],
)
@pytest.mark.parametrize(
    ("token", "status", "words"),
    [
        (7, "problem", "cat (7), which is not a special token"),
        (4000, "problem", "is 4000, but the embedding has 42 rows"),
        (-1, "problem", "is -1, but the embedding has 42 rows"),
        (4, "warning", "is [MASK] (4), where its family uses"),
    ],
)
def test_a_wrong_token(
    role: str, key: str, token: int, status: str, words: str, compose: Compose
) -> None:
    assert tokenizer_of("bert").convert_ids_to_tokens(7) == "cat"
    folder = compose("bert", "bert")
    for file in ("config.json", "generation_config.json"):
        edit_json(folder / file, **{key: token})
    found = look(folder, "special tokens")
    assert found.status == status
    assert f"The target's {role} token {words}" in found.what.replace("token is cat", "token cat")
    assert found.figures[role] == token
    loads = look(folder, "loading").status
    assert loads == ("ok" if 0 <= token < 42 else "problem")


def test_a_half_whose_config_and_tokenizer_differ(compose: Compose) -> None:
    folder = compose("bert", "roberta")
    config = json.loads((folder / "config.json").read_text())
    config["decoder"]["eos_token_id"] = 9
    config["encoder"]["pad_token_id"] = 1
    (folder / "config.json").write_text(json.dumps(config))
    found = look(folder, "special tokens")
    assert found.status == "warning"
    assert "The target's config has eos_token_id 9, its tokenizer </s> (2)." in found.what
    assert "The source's config has pad_token_id 1, its tokenizer [PAD] (0)." in found.what


def test_several_end_tokens(compose: Compose) -> None:
    """The first is the one written, in a half's config any may be the tokenizer's."""
    folder = compose("bert", "roberta")
    config = json.loads((folder / "config.json").read_text())
    config["decoder"]["eos_token_id"] = [9, 2]
    (folder / "config.json").write_text(json.dumps(config))
    edit_json(folder / "generation_config.json", eos_token_id=[2, 9])
    found = look(folder, "special tokens")
    assert (found.status, found.figures["end"]) == ("ok", 2)


def test_a_missing_tokenizer(compose: Compose) -> None:
    folder = compose("bert", "roberta")
    (folder / "tokenizer.json").unlink()
    found = look(folder, "special tokens")
    assert found.status == "problem"
    assert "The source tokenizer of" in found.what
    assert "is missing" in found.what


# Vocabulary.


def test_exchanged_tokenizers_of_one_size(compose: Compose) -> None:
    folder = compose("bert", "roberta")
    exchange(folder)
    found = look(folder, "vocabulary")
    assert (found.figures["source_tokens"], found.figures["target_tokens"]) == (42, 42)
    assert found.status == "problem"
    assert "tokenizer are exchanged" in found.what
    assert "decoder_tokenizer/" in found.remedy


def test_exchanged_tokenizers_of_two_sizes(compose: Compose) -> None:
    folder = compose("bert", "gpt2")
    exchange(folder)
    found = {finding.check: finding for finding in examine(folder)}
    assert found["loading"].status == found["vocabulary"].status == "problem"
    assert "tokenizer are exchanged" in found["vocabulary"].what
    assert "source tokenizer has 300 tokens up to the id 299" in found["vocabulary"].what


def test_one_tokenizer_in_both_places(compose: Compose) -> None:
    folder = compose("bert", "roberta")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / file, folder / "decoder_tokenizer" / file)
    found = look(folder, "vocabulary")
    assert found.status == "problem"
    assert "The target tokenizer does not fit the decoder; it is the encoder's." in found.what


@pytest.mark.parametrize("place", [".", "decoder_tokenizer"])
def test_a_tokenizer_with_more_tokens_than_rows(place: str, compose: Compose) -> None:
    folder = compose("bert", "roberta")
    family, side = ("bert", "source") if place == "." else ("roberta", "target")
    tokenizer_of(family, extra_words=3).save_pretrained(folder / place)
    found = look(folder, "vocabulary")
    assert found.status == "problem"
    assert f"{side} tokenizer has 45 tokens up to the id 44" in found.what
    assert "only 42 rows" in found.what
    assert look(folder, "loading").status == "problem"


def test_an_id_beyond_the_rows_of_a_tokenizer_with_gaps(compose: Compose) -> None:
    folder = compose("bert", "bert")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["cat"] = 42
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    found = look(folder, "vocabulary")
    assert (found.figures["source_tokens"], found.figures["source_largest_id"]) == (42, 42)
    assert found.status == "problem"


def test_a_tokenizer_much_smaller_than_the_embedding(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    folder = shutil.copytree(checkpoints("bert", extra_words=10), tmp_path / "checkpoint")
    for extra, status in ((10, "ok"), (7, "ok"), (0, "warning")):
        tokenizer_of("bert", extra_words=extra).save_pretrained(folder)
        found = look(folder, "vocabulary")
        assert found.status == status
        assert found.figures == {
            "checkpoint_tokens": 42 + extra,
            "checkpoint_largest_id": 41 + extra,
            "checkpoint_rows": 52,
        }


# Positions.


def test_outputs_longer_than_the_positions(compose: Compose) -> None:
    folder = compose("bert", "gpt2")
    for length, status in ((65, "warning"), (64, "ok")):
        edit_json(folder / "generation_config.json", max_length=length)
        found = look(folder, "positions")
        assert found.status == status
        assert found.figures == {
            "source_positions": 64,
            "target_positions": 64,
            "max_length": length,
        }
    prefix = compose(None, "gpt2")  # where the source takes half of them
    for length, status in ((33, "warning"), (32, "ok")):
        edit_json(prefix / "generation_config.json", max_length=length)
        assert look(prefix, "positions").status == status


def test_a_tokenizer_that_allows_more_than_the_positions(compose: Compose) -> None:
    folder = compose("bert", "gpt2")
    edit_json(folder / "generation_config.json", max_length=20)
    for length, status in ((65, "warning"), (64, "ok")):
        edit_json(folder / "tokenizer_config.json", model_max_length=length)
        found = look(folder, "positions")
        assert found.status == status
        assert found.figures["source_tokenizer_limit"] == length
    assert "target_tokenizer_limit" not in found.figures


# Tensors.


def test_values_that_are_not_finite(compose: Compose) -> None:
    folder = compose("bert", "gpt2")

    def damage(tensors: dict[str, Tensor]) -> None:
        tensors["encoder.encoder.layer.0.output.dense.weight"][3, 5] = float("nan")
        tensors["decoder.transformer.ln_f.bias"][:2] = float("-inf")

    count = sum(tensor.numel() for tensor in load_file(folder / "model.safetensors").values())
    edit_tensors(folder, damage)
    found = {finding.check: finding for finding in examine(folder)}
    assert found["tensors"].status == "problem"
    assert found["tensors"].figures["not_finite_values"] == 3
    assert found["tensors"].figures["not_finite_tensors"] == 2
    assert found["tensors"].figures["values"] == count
    assert "encoder.encoder.layer.0.output.dense.weight" in found["tensors"].what
    assert "decoder.transformer.ln_f.bias" in found["tensors"].what
    # It says so in the likelihoods too, and what is not a number is saved as it is.
    assert found["source dependence"].status == "problem"
    assert found["round trip"].status == "ok"


def test_weights_of_zeros(compose: Compose) -> None:
    folder = compose("bert", "bert")
    names = (
        "decoder.bert.encoder.layer.1.output.dense.weight",
        "decoder.bert.encoder.layer.1.output.LayerNorm.weight",
    )

    def damage(tensors: dict[str, Tensor]) -> None:
        for name in names:
            tensors[name].zero_()
        # These two may be: RoBERTa's types are, and a bias begins so.
        tensors["encoder.embeddings.token_type_embeddings.weight"].zero_()
        tensors["encoder.encoder.layer.0.output.dense.bias"].zero_()

    edit_tensors(folder, damage)
    found = look(folder, "tensors")
    assert (found.status, found.figures["all_zero_tensors"]) == ("warning", 2)
    assert all(name in found.what for name in names)


def test_the_types_of_numbers(compose: Compose) -> None:
    folder = compose("bert", "bert")

    def halve(tensors: dict[str, Tensor]) -> None:
        for name in list(tensors)[1:]:
            tensors[name] = tensors[name].bfloat16()

    edit_tensors(folder, halve)
    found = look(folder, "tensors")
    assert (found.status, found.figures["dtypes"]) == ("ok", "bfloat16, float32")
    assert look(folder, "round trip").status == "ok"


# Sharing.


@pytest.mark.parametrize(("share", "tensors"), [("all", 29), ("embeddings", 5), ("none", 0)])
def test_sharing_as_it_says(share: str, tensors: int, compose: Compose) -> None:
    """BERT's embedding has 5 tensors, its two layers 12 each."""
    folder = compose("bert", "bert", share=share)
    found = look(folder, "sharing")
    assert found.status == "ok"
    assert found.figures["share"] == share
    assert found.figures["shared_tensors"] == tensors
    model = Seq2Seq.from_pretrained(folder).model
    both = list(model.named_parameters(remove_duplicate=False))
    once = {id(parameter): parameter.numel() for _, parameter in both}
    twice = sum(p.numel() for name, p in both if name != "head.weight") - sum(once.values())
    assert found.figures["shared_values"] == twice


def test_halves_that_share_in_the_config_and_differ(compose: Compose, tmp_path: Path) -> None:
    shared = Seq2Seq.from_pretrained(compose("bert", "bert", share="all"))
    folder = tmp_path / "twice"
    shared.save_pretrained(folder, duplicate_shared=True)
    edit_json(folder / "config.json", tie_encoder_decoder=True, warmstart=None)
    assert look(folder, "sharing").status == "ok"

    def part(tensors: dict[str, Tensor]) -> None:
        tensors["encoder.encoder.layer.0.output.dense.bias"][1] += 0.5
        tensors["decoder.bert.encoder.layer.1.output.dense.weight"][0, 0] += 2.0

    edit_tensors(folder, part)
    found = look(folder, "sharing")
    assert found.status == "warning", found.what
    assert found.figures["share"] == "all"
    assert found.figures["differing_tensors"] == 2
    assert found.figures["largest_difference"] == pytest.approx(2.0, abs=1e-6)
    assert "warmstart export" in found.remedy


def test_rotary_positions_have_no_end(checkpoints: Checkpoints, tmp_path: Path) -> None:
    """Where positions are no table, a tokenizer may allow more than was trained."""
    folder = shutil.copytree(checkpoints("llama"), tmp_path / "checkpoint")
    edit_json(folder / "tokenizer_config.json", model_max_length=100_000)
    found = look(folder, "positions")
    assert found.status == "ok"
    assert found.figures["checkpoint_tokenizer_limit"] == 100_000
    assert found.figures["checkpoint_positions"] < 1000


@pytest.mark.parametrize("name", SEQ2SEQ)
def test_a_model_that_was_pretrained_whole(name: str, tmp_path: Path) -> None:
    """Of families that start from another token than the tokenizer's first, too."""
    save_seq2seq(tmp_path, name)
    found = {finding.check: finding for finding in examine(tmp_path)}
    assert "problem" not in statuses(list(found.values())).values()
    for check in ("loading", "special tokens", "tensors", "cross-attention", "round trip"):
        assert found[check].status == "ok", found[check].what
    # BART starts from its end, T5 and Marian from the pad.
    start = {"bart": 2, "mari": 1, "t5": 1, "t5-1": 1, "mt5": 1, "t5ge": 0}[name[:4]]
    assert found["special tokens"].figures["start"] == start
