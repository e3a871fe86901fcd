"""What a model does: whether it reads its source, has learnt to, and can be saved."""

import json
import statistics
from math import sqrt
from pathlib import Path

import pytest
import torch
from tests.doctor.conftest import COPIES, Compose, teach_copying
from tests.doctor.folders import edit_json, edit_tensors, look
from tests.parity.reference import reference_logits, save_for_reference
from tests.support.tiny import Checkpoints
from torch import Tensor

from warmstart.doctor import examine as examining
from warmstart.doctor.built_in_pairs import BUILT_IN
from warmstart.doctor.check_source_dependence import derangement, log_likelihoods
from warmstart.doctor.examine import CHECKS, examine
from warmstart.doctor.finding import Check, Verdict
from warmstart.doctor.subject import Subject
from warmstart.errors import OutputError
from warmstart.seq2seq import Seq2Seq


@pytest.fixture(scope="module")
def taught(checkpoints: Checkpoints, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that copies the texts it was taught. Do not change it."""
    model = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints("bert"))
    teach_copying(model, steps=60)
    folder = tmp_path_factory.mktemp("taught") / "model"
    model.save_pretrained(folder)
    return folder


# Source dependence.


def test_log_likelihoods_are_those_of_transformers(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    model = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints("gpt2"))
    reference = save_for_reference(model, tmp_path / "model")
    pairs = [(source[:60], target[:60]) for source, target in (*COPIES[:7], *BUILT_IN[:3])]
    sources = model.encode_sources([source for source, _ in pairs])
    targets = model.encode_targets([target for _, target in pairs])
    start = model.tokenizers.special.start
    for source, target, ours in zip(sources, targets, log_likelihoods(model, pairs), strict=True):
        logits = reference_logits(reference, model, [source], [[start, *target[:-1]]])
        theirs = -float(torch.nn.functional.cross_entropy(logits, torch.tensor(target)))
        assert ours == pytest.approx(theirs, abs=1e-4)


def test_the_likelihood_of_a_pair_does_not_depend_on_the_others(taught: Path) -> None:
    model = Seq2Seq.from_pretrained(taught, device="cpu")
    together = log_likelihoods(model, COPIES * 4)  # several passes
    alone = [log_likelihoods(model, [pair])[0] for pair in COPIES[:10]]
    assert together[:10] == pytest.approx(alone, abs=1e-4)


@pytest.mark.parametrize("count", [2, 3, 20, 101])
def test_in_a_derangement_nothing_is_in_its_place(count: int) -> None:
    order = derangement(count)
    assert sorted(order) == list(range(count))
    assert all(place != other for place, other in enumerate(order))


def test_a_model_that_reads_its_source(taught: Path) -> None:
    found = look(taught, "source dependence", [COPIES[3], *COPIES])  # one comes twice
    assert found.status == "ok"
    # By hand: each target with its own source, and with the one that the order gives it.
    pairs = [COPIES[3], *COPIES[:3], *COPIES[4:]]
    model = Seq2Seq.from_pretrained(taught, device="cpu")
    strangers = [(pairs[o][0], pairs[i][1]) for i, o in enumerate(derangement(len(pairs)))]
    right, wrong = log_likelihoods(model, pairs), log_likelihoods(model, strangers)
    differences = [a - b for a, b in zip(right, wrong, strict=True)]
    assert found.figures["pairs"] == len(pairs) == len(COPIES)
    assert found.figures["right"] == pytest.approx(statistics.fmean(right), abs=1e-5)
    assert found.figures["shuffled"] == pytest.approx(statistics.fmean(wrong), abs=1e-5)
    assert found.figures["difference"] == pytest.approx(statistics.fmean(differences), abs=1e-5)
    error = statistics.stdev(differences) / sqrt(len(pairs))
    assert found.figures["standard_error"] == pytest.approx(error, abs=1e-5)
    assert found.figures["difference"] > 1.0
    assert "given pairs" in found.what
    assert found.what.endswith("The output depends on the source.")


def test_a_model_that_was_never_trained(compose: Compose) -> None:
    found = look(compose("bert", "bert"), "source dependence", COPIES)
    assert found.status == "warning"
    assert abs(found.figures["difference"]) < 0.05
    assert "train the model" in found.remedy
    assert "built-in" not in found.what + found.remedy
    assert "--data" in look(compose("bert", "bert"), "source dependence").remedy


@pytest.mark.parametrize(
    ("steps", "least", "most", "status"), [(5, 0.001, 0.01, "warning"), (8, 0.01, 0.1, "ok")]
)
def test_a_model_that_reads_a_little_of_its_source(
    steps: int, least: float, most: float, status: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    bert = checkpoints("bert")
    model = Seq2Seq.warm_start(encoder=bert, decoder=bert)
    teach_copying(model, steps=steps)
    model.save_pretrained(tmp_path / "model")
    found = look(tmp_path / "model", "source dependence", COPIES)
    assert found.status == status
    assert least < found.figures["difference"] < most
    assert found.figures["difference"] > 2 * found.figures["standard_error"]
    assert ("but hardly" in found.what) == (status == "ok")


def test_a_model_whose_cross_attention_says_nothing(taught: Path, tmp_path: Path) -> None:
    model = Seq2Seq.from_pretrained(taught, device="cpu")
    with torch.no_grad():
        for name, parameter in model.model.named_parameters():
            if ".cross_attention.output." in name:
                parameter.zero_()
    model.save_pretrained(tmp_path / "model")
    found = look(tmp_path / "model", "source dependence", COPIES)
    assert found.status == "warning"
    assert found.figures["difference"] == 0.0
    assert found.figures["standard_error"] == 0.0
    assert "does not depend on the source at all" in found.what


def test_a_model_that_prefers_other_sources(taught: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources and targets of the data that do not belong together."""
    order = derangement(len(COPIES))
    found = look(taught, "source dependence", [(COPIES[o][0], COPIES[i][1]) for i, o in
                                               enumerate(order)])  # fmt: skip
    assert found.status == "warning"
    assert found.figures["difference"] < 0.5


def test_too_few_pairs(taught: Path) -> None:
    same = [(COPIES[0][0], target) for _, target in COPIES]
    for pairs in ([], COPIES[:2], [*same, COPIES[1]]):
        found = look(taught, "source dependence", pairs)
        assert found.status == "skipped"
        assert "at least 3" in found.what


def test_the_built_in_pairs_are_distinct() -> None:
    assert len({source for source, _ in BUILT_IN}) == len(BUILT_IN) == 20
    assert all(len(target) < len(source) for source, target in BUILT_IN)


# Cross-attention.


def test_cross_attention_that_was_trained(taught: Path) -> None:
    found = look(taught, "cross-attention")
    assert found.status == "ok"
    assert found.figures["layers_as_drawn"] == 0


@pytest.mark.parametrize("start", ["random", "copy", "gated"])
def test_cross_attention_that_training_left_out(
    start: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    name = {"random": "layers_as_drawn", "copy": "layers_as_copied", "gated": "closed_gates"}[start]
    bert = checkpoints("bert")
    for frozen, left in (
        ("cross_attention", 2),
        ("blocks.1.cross_attention", 1),
        ("nothing", 0),
    ):
        model = Seq2Seq.warm_start(encoder=bert, decoder=bert, cross_attention=start)  # type: ignore[arg-type]
        if start == "copy":
            # What it was copied from stays, or the two would part by that.
            for parameter in model.model.decoder.parameters():
                parameter.requires_grad_(False)
            for parameter_name, parameter in model.model.named_parameters():
                parameter.requires_grad_(".cross_attention." in parameter_name)
        teach_copying(model, steps=2, frozen=frozen)
        folder = tmp_path / frozen
        model.save_pretrained(folder)
        found = look(folder, "cross-attention")
        assert found.figures["layers"] == 2
        assert found.figures[name] == left
        assert found.status == ("warning" if left else "ok")
        assert ("(layers 1)" in found.what) == (left == 1)
        assert bool(found.remedy) == bool(left)


@pytest.mark.parametrize(
    "change",
    [
        lambda weight: weight.mul_(1.1),
        # As large, but not normal.
        lambda weight: weight.uniform_(-(3**0.5) * 0.02, 3**0.5 * 0.02),
    ],
)
def test_a_distribution_that_is_not_the_initial_one(
    change: object, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    """Of weights alone, as where there are no biases to tell."""
    bert = checkpoints("bert", hidden_size=96)
    model = Seq2Seq.warm_start(encoder=bert, decoder=bert)
    model.save_pretrained(tmp_path / "fresh")
    assert look(tmp_path / "fresh", "cross-attention").figures["layers_as_drawn"] == 2
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.model.named_parameters():
            if name == "decoder.blocks.0.cross_attention.output.weight":
                change(parameter)  # type: ignore[operator]
    model.save_pretrained(tmp_path / "changed")
    found = look(tmp_path / "changed", "cross-attention")
    assert (found.status, found.figures["layers_as_drawn"]) == ("warning", 1)
    assert "(layers 1)" in found.what


def test_a_bias_alone_shows_that_it_was_trained(checkpoints: Checkpoints, tmp_path: Path) -> None:
    bert = checkpoints("bert")
    model = Seq2Seq.warm_start(encoder=bert, decoder=bert)
    with torch.no_grad():
        for name, parameter in model.model.named_parameters():
            if name == "decoder.blocks.0.cross_attention.key_value.bias":
                parameter[3] = 1e-4
    model.save_pretrained(tmp_path / "model")
    found = look(tmp_path / "model", "cross-attention")
    assert (found.status, found.figures["layers_as_drawn"]) == ("warning", 1)
    assert "(layers 1)" in found.what


def test_the_scale_is_that_of_the_decoder(checkpoints: Checkpoints, tmp_path: Path) -> None:
    bert = checkpoints("bert", hidden_size=96)
    Seq2Seq.warm_start(encoder=bert, decoder=bert).save_pretrained(tmp_path)
    found = look(tmp_path, "cross-attention")
    assert found.figures["initializer_range"] == 0.02
    weights = Seq2Seq.from_pretrained(tmp_path).model.state_dict()
    stds = []
    for name, weight in weights.items():
        if "cross_attention" in name and name.endswith(".weight") and weight.dim() == 2:
            parts = weight.chunk(2) if "key_value" in name else (weight,)
            stds += [float(part.std()) / 0.02 for part in parts]
    assert len(stds) == 8
    assert found.figures["smallest_ratio"] == pytest.approx(min(stds))
    assert found.figures["largest_ratio"] == pytest.approx(max(stds))


# The round trip.


def test_a_tensor_that_saving_changes(taught: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saving = Seq2Seq.save_pretrained

    def lossy(model: Seq2Seq, folder: Path) -> None:
        saving(model, folder)

        def change(tensors: dict[str, Tensor]) -> None:
            tensors["encoder.embeddings.LayerNorm.weight"][3] += 1e-6

        edit_tensors(folder, change)

    monkeypatch.setattr(Seq2Seq, "save_pretrained", lossy)
    found = look(taught, "round trip")
    assert found.status == "problem"
    assert found.figures["changed_tensors"] == 1
    assert "encoder.embedding.norm.weight" in found.what


def test_words_that_saving_changes(taught: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saving = Seq2Seq.save_pretrained

    def lossy(model: Seq2Seq, folder: Path) -> None:
        saving(model, folder)
        edit_json(folder / "generation_config.json", max_length=7, pad_token_id=4)

    monkeypatch.setattr(Seq2Seq, "save_pretrained", lossy)
    found = look(taught, "round trip")
    assert found.status == "problem"
    assert (found.figures["changed_tensors"], found.figures["logits_equal"]) == (0, "yes")
    assert "The decoding settings change." in found.what
    assert "The special tokens change." in found.what
    assert "tokenizers" not in found.what


def test_a_config_that_saving_changes(taught: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saving = Seq2Seq.save_pretrained

    def lossy(model: Seq2Seq, folder: Path) -> None:
        saving(model, folder)
        config = json.loads((folder / "config.json").read_text())
        config["encoder"]["hidden_act"] = "relu"
        (folder / "config.json").write_text(json.dumps(config))

    monkeypatch.setattr(Seq2Seq, "save_pretrained", lossy)
    found = look(taught, "round trip")
    assert found.status == "problem"
    assert (found.figures["changed_tensors"], found.figures["logits_equal"]) == (0, "no")
    assert "The logits change." in found.what


def test_no_room_to_save(taught: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(model: Seq2Seq, folder: Path) -> None:
        raise OutputError("No space left on device.")

    monkeypatch.setattr(Seq2Seq, "save_pretrained", full)
    found = look(taught, "round trip")
    assert found.status == "skipped"
    assert "No space left on device." in found.what


# All together.


def test_a_taught_model_is_well(taught: Path) -> None:
    found = {finding.check: finding.status for finding in examine(taught, COPIES)}
    assert found.pop("positions") == "warning"  # outputs of 128 tokens, but 64 positions
    assert set(found.values()) == {"ok"}
    assert len(found) == 9


def test_a_check_that_breaks_does_not_stop_the_others(
    taught: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(subject: Subject) -> Verdict:
        raise RuntimeError(f"no\nluck with {subject.name}")

    broken = Check(name="broken", why="to see", run=breaks)
    monkeypatch.setattr(examining, "CHECKS", (broken, *CHECKS))
    first, *others = examine(taught, COPIES)
    assert (first.check, first.status, first.why) == ("broken", "problem", "to see")
    assert first.what == f"The check ended with RuntimeError: no luck with {taught}"
    assert first.remedy
    assert [finding.check for finding in others] == [check.name for check in CHECKS]
    assert "problem" not in {finding.status for finding in others}
