"""The quickstart's text: documentation that every machine with the quickstart has.

`pydoc_data.topics` (the language reference as Python ships it), and the docstrings and comments of
the standard library and of installed packages. Sources are parsed, never imported.
The text's own words decide what is held out, so it does not depend on the machine.
"""

import ast
import hashlib
import importlib.util
import re
import sysconfig
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from warmstart.errors import DataError
from warmstart.quickstart.prose import sentence_runs

__all__ = [
    "HELD_OUT_PERCENT",
    "QUICKSTART_PACKAGES",
    "Corpus",
    "Passage",
    "build_corpus",
    "held_out_key",
    "is_held_out",
    "python_files",
    "read_passages",
    "split_passages",
]

# Packages with prose that are installed with warmstart.
QUICKSTART_PACKAGES = (
    *("absl", "accelerate", "anyio", "click", "datasets", "dateutil", "filelock", "fsspec"),
    *("google", "huggingface_hub", "jinja2", "joblib", "markdown_it", "mpmath", "multiprocess"),
    *("networkx", "nltk", "numpy", "packaging", "pandas", "portalocker", "psutil"),
    *("pydantic", "pygments", "regex", "rich", "sacrebleu", "safetensors", "setuptools", "sympy"),
    *("tokenizers", "torch", "torchgen", "tqdm", "transformers", "typer", "yaml"),
)
HELD_OUT_PERCENT = 10
_KEY_WORDS = 6  # words of a passage's first sentence that decide its side
_OVERLAP_WORDS = 5  # words of a run that two near-copies share
_COMMENT_BLOCK = re.compile(r"(?:^[ \t]*#[^\n]*\n)+", re.MULTILINE)
_SHORT_COMMENT = 40  # characters
_SKIPPED_FOLDERS = frozenset(
    {"site-packages", "test", "tests", "testing", "idle_test", "lib2to3", "_vendor", "__pycache__"}
)


@dataclass(frozen=True, slots=True)
class Passage:
    """The prose of one docstring, comment, or topic of the language reference."""

    module: str  # path below the library's root, with forward slashes
    runs: tuple[tuple[str, ...], ...]  # sentences that follow one another without a gap

    @property
    def sentences(self) -> tuple[str, ...]:
        """All sentences, in order."""
        return tuple(sentence for run in self.runs for sentence in run)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Two disjoint sets of sentences, docstring by docstring; no sentence occurs twice."""

    train: tuple[Passage, ...]
    held_out: tuple[Passage, ...]

    def train_sentences(self) -> list[str]:
        """Every training sentence, in order."""
        return [sentence for passage in self.train for sentence in passage.sentences]

    def held_out_sentences(self) -> list[str]:
        """Every held-out sentence, in order."""
        return [sentence for passage in self.held_out for sentence in passage.sentences]


def held_out_key(sentence: str) -> str:
    """The key of a passage's side: the first six words, in lower case, letters only.

    Documentation repeats itself with small changes ("Returns the name of the file." and "... of
    the folder."). Near-copies mostly begin alike, so they fall on one side together.
    """
    return " ".join(_folded(sentence)[:_KEY_WORDS])


def is_held_out(passage: Passage) -> bool:
    """Whether the passage is for evaluation only; its opening words alone decide.

    So a docstring that one Python version, machine or choice of packages holds out is held out in
    all of them: in the text that pre-trained the shipped encoder as in the pairs made here.
    """
    digest = hashlib.sha256(held_out_key(passage.sentences[0]).encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100 < HELD_OUT_PERCENT


def _folded(sentence: str) -> list[str]:
    return re.sub(r"[^a-z ]", "", sentence.lower()).split()


def python_files(packages: Sequence[str]) -> list[tuple[str, Path]]:
    """(module, path) of the standard library's and the packages' sources, sorted by module.

    Without packages that are not installed, and without test folders.
    """
    roots = [("python", Path(sysconfig.get_paths()["stdlib"]))]
    for package in packages:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            roots.append((package, Path(spec.submodule_search_locations[0])))
    found: dict[Path, str] = {}
    for name, root in roots:
        for path in root.rglob("*.py"):
            below = path.relative_to(root)
            if not _SKIPPED_FOLDERS.intersection(below.parts[:-1]):
                found.setdefault(path, f"{name}/{below.as_posix()}")
    return sorted((module, path) for path, module in found.items())


def read_passages(module: str, path: Path) -> list[Passage]:
    """The prose of one source file: docstrings and comments, or `pydoc_data`'s long strings."""
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    topics = "pydoc_data" in module
    texts = [*_comments(source)]
    if topics or '"""' in source or "'''" in source:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # old escapes in other people's sources
                tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError):
            return []  # a template, or a newer syntax than this Python reads
        texts = [*(_long_strings(tree) if topics else _docstrings(tree)), *texts]
    all_runs = (sentence_runs(text) for text in texts)
    return [Passage(module, runs) for runs in all_runs if runs]


def _docstrings(tree: ast.Module) -> Iterable[str]:
    # `ast.walk` would visit every expression; docstrings hang on statements alone
    waiting: deque[ast.AST] = deque([tree])
    while waiting:
        node = waiting.popleft()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False)
            if docstring:
                yield docstring
        for field in ("body", "orelse", "finalbody", "handlers"):
            below = getattr(node, field, ())
            if isinstance(below, list):
                waiting.extend(below)


def _comments(source: str) -> Iterable[str]:
    """Blocks of comment lines long enough to hold a sentence, without their hashes."""
    for block in _COMMENT_BLOCK.findall(source):
        if len(block) > _SHORT_COMMENT:
            yield "\n".join(line.strip().lstrip("#") for line in block.splitlines())


def _long_strings(tree: ast.Module) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) > 80:
            yield node.value


def build_corpus(packages: Sequence[str] = QUICKSTART_PACKAGES, processes: int = 2) -> Corpus:
    """Reads, cleans, deduplicates and splits the machine's own documentation.

    Args:
        packages: installed packages to read in addition to the standard library.
        processes: worker processes, at least 1; the result does not depend on it.

    Raises:
        DataError: if hardly any documentation is installed (a stripped Python).
    """
    files = python_files(packages)
    if processes > 1:
        with ProcessPoolExecutor(processes) as pool:
            modules, paths = zip(*files, strict=True)
            found = list(pool.map(read_passages, modules, paths, chunksize=32))
    else:
        found = [read_passages(module, path) for module, path in files]
    corpus = split_passages([passage for passages in found for passage in passages])
    count = len(corpus.train_sentences())
    if count < 1000:
        raise DataError(
            f"This Python has {count} sentences of documentation, too few to learn from; it was "
            "installed without docstrings. Run the quickstart with a complete Python 3.11 or newer."
        )
    return corpus


def split_passages(passages: Sequence[Passage]) -> Corpus:
    """Both sides, each sentence kept once, the first time it comes.

    A training sentence is dropped if the held-out side has the same sentence or a near-copy, which
    has more than half of its runs of five words in common.
    """
    seen: set[str] = set()
    held_out = [
        kept
        for passage in passages
        if is_held_out(passage) and (kept := _without(passage, lambda words: _repeats(words, seen)))
    ]
    overlaps = {
        run
        for passage in held_out
        for sentence in passage.sentences
        for run in _word_runs(_folded(sentence))
    }
    train = [
        kept
        for passage in passages
        if not is_held_out(passage)
        and (
            kept := _without(
                passage, lambda words: _repeats(words, seen) or _is_near_copy(words, overlaps)
            )
        )
    ]
    return Corpus(train=tuple(train), held_out=tuple(held_out))


def _without(passage: Passage, drop: Callable[[list[str]], bool]) -> Passage | None:
    """The passage without some sentences; where one goes, its run breaks in two."""
    runs: list[tuple[str, ...]] = []
    for run in passage.runs:
        current: list[str] = []
        for sentence in run:
            if drop(_folded(sentence)):
                runs.append(tuple(current))
                current = []
            else:
                current.append(sentence)
        runs.append(tuple(current))
    kept = tuple(run for run in runs if run)
    return Passage(passage.module, kept) if kept else None


def _repeats(words: list[str], seen: set[str]) -> bool:
    folded = " ".join(words)
    if folded in seen:
        return True
    seen.add(folded)
    return False


def _word_runs(words: list[str]) -> list[str]:
    count = max(1, len(words) - _OVERLAP_WORDS + 1)
    return [" ".join(words[start : start + _OVERLAP_WORDS]) for start in range(count)]


def _is_near_copy(words: list[str], overlaps: set[str]) -> bool:
    runs = _word_runs(words)
    return 2 * sum(run in overlaps for run in runs) > len(runs)
