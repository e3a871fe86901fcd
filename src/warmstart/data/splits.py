"""Names of the splits of a data set."""

from typing import Final, Literal, TypeAlias, get_args

__all__ = ["EVALUATION_SPLITS", "SPLITS", "TEST", "TRAIN", "VALIDATION", "SplitName"]

SplitName: TypeAlias = Literal["train", "validation", "test"]
SPLITS: Final[tuple[SplitName, ...]] = get_args(SplitName)

TRAIN: Final = "train"
VALIDATION: Final = "validation"
TEST: Final = "test"
EVALUATION_SPLITS: Final[tuple[SplitName, ...]] = (VALIDATION, TEST)
