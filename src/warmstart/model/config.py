"""The architecture of a transformer as frozen values, which name no family.

A family fills them from its ``config.json``; the modules of this package read nothing else. Use
`dataclasses.replace` for a changed copy.
"""

from dataclasses import dataclass
from typing import Literal

from warmstart.errors import CheckpointError

__all__ = [
    "Activation",
    "AttentionConfig",
    "CrossAttentionKind",
    "EmbeddingConfig",
    "EncoderDecoderConfig",
    "FeedForwardConfig",
    "HeadConfig",
    "LearnedPositions",
    "LinearBias",
    "NormConfig",
    "NormOrder",
    "RelativeBias",
    "Rotary",
    "RotaryScaling",
    "SinusoidalPositions",
    "StackConfig",
]

Activation = Literal["gelu", "gelu_tanh", "silu", "relu"]
NormOrder = Literal["pre", "post", "sandwich", "output"]
CrossAttentionKind = Literal["plain", "gated", "merged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NormConfig:
    """LayerNorm or RMSNorm."""

    kind: Literal["layer", "rms"] = "layer"
    eps: float = 1e-12  # added to the variance
    bias: bool = True  # LayerNorm only
    unit_offset: bool = False  # RMSNorm only: scale by 1 + weight (Gemma)


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedPositions:
    """A table of position vectors."""

    rows: int  # rows of the table, offset included
    offset: int = 0  # row of the first token: RoBERTa's is 2
    projected: bool = True  # False: of the stack's width, added after the projection (OPT)

    @property
    def limit(self) -> int:
        """The longest sequence in tokens."""
        return self.rows - self.offset


@dataclass(frozen=True, slots=True, kw_only=True)
class SinusoidalPositions:
    """Fixed position vectors: sines, then cosines (Vaswani et al. 2017, section 3.5)."""

    limit: int  # the longest sequence in tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class RotaryScaling:
    """How rotary frequencies are stretched for contexts longer than the pre-trained ones."""

    kind: Literal["linear", "llama3", "factors"]
    factor: float = 1.0  # >= 1; linear and llama3 only
    factors: tuple[float, ...] = ()  # of each frequency; factors only (YaRN, LongRoPE)
    amplitude: float = 1.0  # of the rotated vectors (YaRN, LongRoPE)
    low_frequency_factor: float = 1.0  # llama3 only
    high_frequency_factor: float = 4.0  # llama3 only
    original_limit: int = 8192  # tokens, llama3 only


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotary:
    """Rotary position embedding (Su et al. 2021)."""

    theta: float = 10_000.0  # base of the frequencies
    limit: int  # the longest sequence in tokens
    size: int | None = None  # leading values of a head that turn; None: all (GPT-NeoX: a quarter)
    interleaved: bool = False  # pairs of neighbours; False: of the first and second half
    layers: tuple[bool, ...] | None = None  # whether each rotates; None: all (SmolLM 3)
    scaling: RotaryScaling | None = None
    local_theta: float | None = None  # base in layers with a window, if another (Gemma 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativeBias:
    """A learned bias on self-attention's scores by distance, one table for all layers (T5)."""

    buckets: int = 32  # rows of the table; see `model/relative_bias.py`
    max_distance: int = 128  # tokens; one bucket for all beyond
    bidirectional: bool = True  # whether keys ahead have buckets of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearBias:
    """A fixed bias on self-attention's scores, by distance and head (ALiBi, Press et al. 2022)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingConfig:
    """Token ids to vectors."""

    vocabulary: int  # rows of the word embedding
    size: int  # width of the rows; if not the stack's, a projection follows (ELECTRA)
    # None: positions enter elsewhere (rotary)
    positions: LearnedPositions | SinusoidalPositions | None = None
    token_types: int = 0  # rows; all tokens are of type 0
    task_types: int = 0  # rows of a second such table (ERNIE)
    norm: NormConfig | None = None
    scale: float = 1.0  # on the word vectors (Gemma: sqrt of the width)
    projection_bias: bool = True  # of the projection (OPT: False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionConfig:
    """Multi-head attention, grouped where there are fewer key/value heads than query heads."""

    heads: int  # query heads
    key_value_heads: int  # divides `heads`
    head_size: int  # free: heads * head_size need not be the stack's width
    query_key_value_bias: bool = True
    output_bias: bool = True
    scale: float | None = None  # None: head_size ** -0.5
    soft_cap: float | None = None  # scores become soft_cap * tanh(scores / soft_cap)
    query_key_norm: NormConfig | None = None  # over each head's vector (Qwen 3, Gemma 3)
    joint_query_key_norm: bool = False  # over all heads' vectors together instead (OLMo 2)
    dropout: float = 0.0  # on the attention weights, in training

    def __post_init__(self) -> None:
        if self.heads % self.key_value_heads:
            raise CheckpointError(
                f"{self.heads} query heads cannot be grouped over {self.key_value_heads} "
                "key/value heads; the second must divide the first."
            )

    @property
    def score_scale(self) -> float:
        """Factor of the scores."""
        return self.head_size**-0.5 if self.scale is None else self.scale


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedForwardConfig:
    """Two linear layers around an activation, or three with a gate (SwiGLU, GeGLU)."""

    size: int  # inner width
    activation: Activation = "gelu"
    gated: bool = False
    bias: bool = True
    dropout: float = 0.0  # on the inner values, in training


@dataclass(frozen=True, slots=True, kw_only=True)
class StackConfig:
    """One transformer stack: an encoder, or a decoder with or without cross-attention."""

    hidden_size: int
    layers: int
    embedding: EmbeddingConfig
    attention: AttentionConfig
    feed_forward: FeedForwardConfig
    norm: NormConfig
    norm_order: NormOrder = "post"
    first_attention_norm: bool = True  # False: none before the first layer's (ModernBERT)
    parallel_feed_forward: bool = False  # its input is self-attention's input (GPT-NeoX)
    shared_norm: bool = False  # feed-forward uses self-attention's norm (GPT-J, with the former)
    residual_scale: float = 1.0  # of each sublayer's output (Granite)
    final_norm: bool = False  # after the last layer
    rotary: Rotary | None = None
    relative_bias: RelativeBias | LinearBias | None = None
    windows: tuple[int | None, ...] | None = None  # by layer: see `window`; None: all global
    causal: bool = False
    cross_attention: CrossAttentionKind | None = None  # see `model/attention.py`
    pooler: bool = False  # BERT's pooler, kept for the format and never computed
    source_size: int | None = None  # width of the encoder states; None: hidden_size
    dropout: float = 0.0  # on embeddings and on each sublayer's output, in training
    final_dropout: bool = False  # the same rate after the final norm (T5)
    initializer_range: float = 0.02  # std of new weights

    def __post_init__(self) -> None:
        if self.windows is not None and len(self.windows) != self.layers:
            raise CheckpointError(
                f"The config has {self.layers} layers, but layer_types for {len(self.windows)}; "
                "restore the checkpoint's original config.json."
            )
        if self.rotary is not None and len(self.rotary.layers or ()) not in (0, self.layers):
            raise CheckpointError(
                f"The config has {self.layers} layers, but says of {len(self.rotary.layers or ())} "
                "whether they have rotary positions; restore the checkpoint's original config.json."
            )

    def window(self, layer: int) -> int | None:
        """Attention span: a token attends to tokens less than this away; None: to all."""
        return None if self.windows is None else self.windows[layer]

    @property
    def position_limit(self) -> int | None:
        """The longest sequence in tokens that the positions allow; None: any."""
        if self.embedding.positions is not None:
            return self.embedding.positions.limit
        return None if self.rotary is None else self.rotary.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadConfig:
    """Decoder states to logits over the target vocabulary."""

    tied: bool = True  # the weight is the decoder's word embedding
    scale: float = 1.0  # on the decoder states (T5: width ** -0.5)
    bias: bool = False
    bias_trained: bool = True  # False: frozen (BART)
    transform: Activation | None = None  # BERT's dense, activation and norm before the weight
    transform_norm: NormConfig | None = None
    transform_bias: bool = True  # of the transform's dense layer
    projection: bool = False  # instead, a linear layer to the word vectors' width (OPT)
    soft_cap: float | None = None  # logits become soft_cap * tanh(logits / soft_cap) (Gemma 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderDecoderConfig:
    """Two stacks and a head.

    ``encoder`` is None for the paper's `gpt` variant: a decoder alone, with the source as prefix.
    """

    encoder: StackConfig | None
    decoder: StackConfig
    head: HeadConfig
    shared_words: bool = False  # one word embedding for both stacks (BART)

    @property
    def bridge(self) -> bool:
        """Whether a linear layer maps encoder states to the decoder's width."""
        reads = self.decoder.source_size or self.decoder.hidden_size
        return self.encoder is not None and self.encoder.hidden_size != reads
