"""Compares every family with transformers, and writes the tables of docs/reference/families.md.

Each family is a tiny random checkpoint, made and saved by transformers. As an encoder its states
are compared, as a decoder its logits; where the family was pre-trained as the other half,
transformers gets our mask: nothing masked, or later tokens masked. A pre-trained encoder-decoder is
compared by its logits. Run from the root of the project:

    python scripts/compare_families.py
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.parity.reference import examples, logits_of, reference_logits
from tests.parity.test_decoder_families import states_that_see_everything
from tests.support.tiny import SENTENCES, pretrained_class, save_checkpoint
from tests.support.tiny_seq2seq import SEQ2SEQ, save_seq2seq

from warmstart.families.catalogue import FAMILIES
from warmstart.families.family import Family
from warmstart.model.config import StackConfig
from warmstart.model.sequences import Sequences
from warmstart.seq2seq import Seq2Seq

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "families.md"
END = "<!-- end of table -->\n"
LAYERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Figures of one family.

    Attributes:
        family: its name.
        reference: the class of transformers.
        pretrained_as: "encoder" or "decoder".
        encoder: largest difference of its states as an encoder.
        decoder: largest difference of its logits as a decoder.
        shared: largest difference between halves that share all and the same unshared.
        bfloat16: our largest error in bfloat16 over transformers' own, both against float32.
        in_transformers: the halves of a transformers EncoderDecoderModel that it can be.
    """

    family: str
    reference: str
    pretrained_as: str
    encoder: float
    decoder: float
    shared: float
    bfloat16: float
    in_transformers: str


def compare(family: Family, folder: Path) -> Row:
    """Compares one family, made in an empty folder."""
    save_checkpoint(folder, family.name, layers=LAYERS)
    reference = pretrained_class(family.name).from_pretrained(folder, attn_implementation="eager")
    reference.eval()
    sharing = Seq2Seq.warm_start(encoder=folder, decoder=folder, share="all")
    unshared = Seq2Seq.warm_start(encoder=folder, decoder=folder)
    alone = Seq2Seq.warm_start(encoder=None, decoder=folder).model.eval()
    encoder = sharing.model.eval().encoder
    assert encoder is not None
    sources = sharing.encode_sources(SENTENCES)
    targets = sharing.encode_targets(SENTENCES)
    batch = Sequences.of(sources), Sequences.of(targets)
    with torch.no_grad():
        states, logits = encoder(batch[0]), alone.head(alone.decoder(batch[1]))
        their_states = torch.cat(
            [theirs(family, reference, encoder.config, row)[0] for row in sources]
        )
        their_logits = torch.cat(
            [theirs(family, reference, alone.decoder.config, row)[1] for row in targets]
        )
        shared = sharing.model(*batch) - unshared.model.eval()(*batch)
        reference.to(torch.bfloat16)
        half = torch.cat(
            [theirs(family, reference, alone.decoder.config, row)[1] for row in targets]
        )
        alone.to(torch.bfloat16)
        ours = alone.head(alone.decoder(batch[1]))
    classes = {"encoder": family.encoder_class, "decoder": family.decoder_class}
    return Row(
        family=family.name,
        reference=type(reference).__name__,
        pretrained_as=family.pretrained_as,
        encoder=largest(states - their_states),
        decoder=largest(logits - their_logits),
        shared=largest(shared),
        bfloat16=largest(ours - their_logits) / largest(half - their_logits),
        in_transformers=", ".join(half for half, name in classes.items() if name) or "no",
    )


def theirs(
    family: Family, reference: transformers.PreTrainedModel, stack: StackConfig, row: list[int]
) -> tuple[Tensor, Tensor]:
    """Their last states and logits of one sequence under our stack's mask."""
    if family.pretrained_as == "decoder" and not stack.causal:
        return states_that_see_everything(reference, row), torch.empty(0)
    if family.pretrained_as == "decoder":
        tokens = torch.tensor([row])
        return reference.base_model(tokens).last_hidden_state[0], reference(tokens).logits[0]
    positions = torch.arange(len(row))
    distance = positions[:, None] - positions
    kinds: dict[str, int | None] = {"full_attention": None, "sliding_attention": None}
    for window in set(stack.windows or ()):
        kinds["full_attention" if window is None else "sliding_attention"] = window
    masks = {}
    for kind, window in kinds.items():
        seen = distance >= 0 if stack.causal else torch.ones_like(distance, dtype=torch.bool)
        if window is not None:
            seen = seen & (distance.abs() < window)
        lowest = torch.finfo(reference.dtype).min
        masks[kind] = torch.zeros(1, 1, *seen.shape, dtype=reference.dtype)
        masks[kind].masked_fill_(~seen, lowest)
    windows = set(stack.windows or ())
    one_mask = masks["full_attention" if None in windows or not windows else "sliding_attention"]
    by_kind = getattr(reference.config, "layer_types", None) is not None
    given = {"input_ids": torch.tensor([row]), "attention_mask": masks if by_kind else one_mask}
    found = reference(**given)
    states = reference.base_model(**given).last_hidden_state
    logits = found.prediction_logits if "prediction_logits" in found else found.logits
    return states[0], logits[0]


def largest(difference: Tensor) -> float:
    """The largest magnitude in a tensor."""
    return float(difference.abs().max())


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = [
        "| family | pre-trained as | reference | as encoder | as decoder | shared | bfloat16 "
        "| in transformers |",
        "| -- | -- | -- | -: | -: | -: | -: | -- |",
    ]
    lines += [
        f"| {row.family} | {row.pretrained_as} | `{row.reference}` | {row.encoder:.1e} "
        f"| {row.decoder:.1e} | {row.shared:.1g} | {row.bfloat16:.1f} | {row.in_transformers} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def compare_whole(name: str, folder: Path) -> str:
    """A row for one kind of pre-trained encoder-decoder, made in an empty folder."""
    save_seq2seq(folder, name)
    model = Seq2Seq.from_pretrained(folder, device="cpu")
    reference = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    sources, targets = examples(model)
    exact = reference_logits(reference, model, sources, targets)
    ours = logits_of(model.model, sources, targets)
    reference.to(torch.bfloat16)
    their_half = reference_logits(reference, model, sources, targets)
    our_half = logits_of(model.to("cpu", torch.bfloat16).model, sources, targets)
    error = largest(our_half - exact) / largest(their_half - exact)
    return (
        f"| {name} | `{type(reference).__name__}` | {largest(ours - exact):.1e} | {error:.1f} |\n"
    )


def write(name: str, lines: str) -> None:
    """Replaces a table of the page."""
    begin = f"<!-- table of {name}: scripts/compare_families.py -->\n"
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{begin}\n{lines}\n{END}{after}", encoding="utf-8")


def main() -> None:
    """Writes the tables into the page."""
    rows = []
    for family in FAMILIES:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(compare(family, Path(folder)))
        sys.stderr.write(f"{rows[-1]}\n")
    write("families", table(rows))
    whole = "| model | reference | logits | bfloat16 |\n| -- | -- | -: | -: |\n"
    for name in SEQ2SEQ:
        with tempfile.TemporaryDirectory() as folder:
            whole += compare_whole(name, Path(folder))
    write("whole encoder-decoders", whole)


if __name__ == "__main__":
    main()
