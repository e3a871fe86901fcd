"""The README.md of a saved model."""

from warmstart.composition.composition import Composition
from warmstart.composition.provenance import Provenance

__all__ = ["model_card"]


def model_card(composition: Composition, provenance: Provenance | None) -> str:
    """Says what the model is made of and how to load it, as Markdown."""
    encoder, decoder = composition.family_names
    halves = decoder if encoder is None or composition.whole else f"{encoder} to {decoder}"
    lines = [
        "---",
        "library_name: warmstart",
        "pipeline_tag: text2text-generation",
        "---",
        "",
        f"# A sequence-to-sequence model: {halves}",
        "",
        _origin(composition),
        "",
        "```python",
        "from warmstart import Seq2Seq",
        "",
        'model = Seq2Seq.from_pretrained("this/folder")',
        'model.generate(["A text."])',
        "```",
        "",
        _elsewhere(composition),
    ]
    if provenance is not None:
        lines += ["", "Where its parameters began:", "", "```", str(provenance), "```"]
    return "\n".join(lines) + "\n"


def _origin(composition: Composition) -> str:
    if composition.whole:
        return "An encoder-decoder that was pre-trained whole, saved by warmstart."
    return (
        f"Composed by warmstart (share: {composition.share}, language-modelling head: "
        f"{composition.lm_head}, cross-attention: {composition.cross_attention})."
    )


def _elsewhere(composition: Composition) -> str:
    if composition.whole:
        return "transformers loads it as it is, with `AutoModelForSeq2SeqLM.from_pretrained`."
    if not composition.in_transformers():
        return "transformers has no class that computes this composition."
    if composition.encoder is None:
        return "transformers loads it with `AutoModelForCausalLM`; give it the source as prefix."
    if composition.share != "none":
        return (
            "Shared tensors are stored once. transformers 5 does not share weights; for it, run "
            "`warmstart export MODEL --format transformers -o DIR`, which writes them twice."
        )
    return "transformers loads it as it is, with `EncoderDecoderModel.from_pretrained`."
