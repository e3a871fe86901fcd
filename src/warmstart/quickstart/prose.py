"""English prose in docstrings, without markup, code and parameter lists.

Dropping too much is better than too little: a doctest or a signature that remained would be learned
as English. Every rule is a pattern over lines or words, so the same docstring always gives the same
sentences.
"""

import inspect
import re
from collections.abc import Iterator

from warmstart.discourse.plain_text import sentences

__all__ = ["is_prose", "paragraphs", "sentence_runs"]

MIN_WORDS = 5  # words of a sentence, the fewest that are kept
MAX_WORDS = 40  # words of a sentence, the most that are kept

# A line that opens a block which is not prose: the indented lines below it go with it.
_CODE_DIRECTIVE = re.compile(
    r"^\.\. *(code|code-block|sourcecode|math|plot|ipython|doctest|testcode|testoutput|image|figure"
    r"|table|list-table|csv-table|autosummary|toctree|seealso|rubric|productionlist|index|only"
    r"|highlight|_|\[)",
)
_DIRECTIVE = re.compile(r"^\.\. *[\w-]+:: *")  # note, warning, versionchanged: keep what follows
_FENCE = re.compile(r"^(```|~~~|\$\$|<Tip|</Tip|<!--|\\begin|\\\[)")
_UNDERLINE = re.compile(r"^([=\-~^\"'`#*+.:_])\1{2,} *$")
_BULLET = re.compile(r"^([-*+•]|\(?[0-9a-zA-Z]{1,2}[.)]|\[\d+\]) +")
_FIELD = re.compile(r"^:[\w\s*,.`\[\]|-]+: ?")  # :param x: ..., :rtype: int
# `name : type`, `name (type, optional):`, `name: ...`: the head of a parameter's description.
_NUMPY_PARAMETER = re.compile(r"^[*`\w., {}()\[\]'\"|<>=:-]{1,60} : ")
_GOOGLE_PARAMETER = re.compile(r"^[*`\w, .]{1,40}( ?\([^()]*(\([^()]*\)[^()]*)*\))? ?:( |$)")
_HEADING = re.compile(
    r"^(#+ .*|(Args|Arguments|Parameters|Returns?|Yields?|Raises|Attributes|Examples?|Notes?|Usage"
    r"|See [Aa]lso|References|Warnings?|Methods|Other Parameters|Shape|Inputs?|Outputs?|Keyword"
    r" [Aa]rg\w*|Example usage):?)$"
)

_MARKUP = (
    (re.compile(r":[\w:+-]+:`[^`<]*<([^`<>]*)>`"), r"\1"),  # :ref:`title <target>`
    (re.compile(r":[\w:+-]+:`[~!]?(?:[\w.]*\.)?([^`.]+)`"), r"\1"),  # :class:`~a.b.C` -> C
    (re.compile(r":[\w:+-]+:`([^`]*)`"), r"\1"),
    (re.compile(r"\[`?([^\]`]+)`?\]\([^()\s]*\)"), r"\1"),  # [text](link)
    (re.compile(r"\[`[~!]?(?:[\w.]*\.)?([\w()]+)`\]"), r"\1"),  # [`~a.b.C`] -> C
    (re.compile(r"`([^`<]+?) *<[^`<>]*>`_{0,2}"), r"\1"),  # `text <link>`_
    (re.compile(r" ?\[[\d, #]+\]_?"), ""),  # [1]_ citations
    (re.compile(r"``([^`]*)``"), r"\1"),
    (re.compile(r"`([^`]*)`_{0,2}"), r"\1"),
    (re.compile(r"\*\*([^*\s](?:[^*]*[^*\s])?)\*\*"), r"\1"),
    (re.compile(r"(?<![\w*])\*([^*\s](?:[^*]*[^*\s])?)\*(?![\w*])"), r"\1"),
    (re.compile(r"(?<!\w)_([^_\s][^_]*)_(?!\w)"), r"\1"),
    (re.compile(r"[‘’]"), "'"),
    (re.compile(r"[“”]|''"), '"'),
    (re.compile(r" *(?:--|—) *"), " - "),
    (re.compile(r"\s+"), " "),
)

_WORD = re.compile(r"^[\"'(]*[A-Za-z]+(?:['-][A-Za-z]+)*[\"')]*[,;:.!?]*[\"')]*$")
_NUMBER = re.compile(r"^\(?-?\d+(?:[.,]\d+)*%?\)?[,;:.]?$")
_FORBIDDEN = re.compile(r"[^ -~]|[{}<>=|\\$^~@#*`\[\]]|::|\.\.|//|>>>|\b[a-z]+_\w+\(|\w+\.\w+\(|,,")
_FUNCTION_WORDS = frozenset(
    "a all also an and any are as at be been before both but by can could do does each for from "
    "had has have how if in into is it its may more most must no not of on one only or other our "
    "should so some such than that the their them then there these they this those to until was "
    "we were what when where whether which while who whose will with would you your".split()
)


def paragraphs(docstring: str) -> Iterator[str]:
    """The running text of a docstring, one string a paragraph or list item, markup still inside."""
    block: list[str] = []
    for text in _prose_lines(docstring):
        if text:
            block.append(text)
        elif block:
            yield " ".join(block)
            block = []


def _prose_lines(docstring: str) -> Iterator[str]:
    """Lines that may be prose, bare of bullets and names; an empty one ends a paragraph."""
    in_fence = False
    in_doctest = False  # a prompt, and its output up to a blank line
    skipped_above: int | None = None  # indentation of the line that opened a literal block
    for line in [*inspect.cleandoc(docstring).splitlines(), ""]:
        text = line.strip()
        indent = len(line) - len(line.lstrip())
        if _FENCE.match(text):
            in_fence ^= text.startswith(("```", "~~~"))
            yield ""
        elif in_fence or (skipped_above is not None and (not text or indent > skipped_above)):
            continue
        elif in_doctest or text.startswith(">>>"):
            in_doctest, skipped_above = bool(text), None
            yield ""
        elif text.startswith(("... ", "In [", "Out[")) or _CODE_DIRECTIVE.match(text):
            skipped_above = indent
            yield ""
        else:
            skipped_above = None
            yield from _prose_line(text)
            if _head_of_line(text).endswith("::"):
                skipped_above = indent


def _prose_line(text: str) -> Iterator[str]:
    if not text or _UNDERLINE.match(text) or _HEADING.match(text):
        yield ""
        return
    head = _head_of_line(text)
    if head != text:
        yield ""
    if head and not _is_table_row(head):
        yield head.removesuffix(":")
    if head.endswith("::"):
        yield ""


def _head_of_line(text: str) -> str:
    """The line without a bullet, a directive's name, or the name and type of a parameter."""
    for pattern in (_DIRECTIVE, _BULLET, _FIELD):
        if pattern.match(text):
            return pattern.sub("", text, count=1)
    if _NUMPY_PARAMETER.match(text):
        return ""  # what follows a numpy-style name is a type, not prose
    match = _GOOGLE_PARAMETER.match(text)
    # "Note: this is prose" has a plain word before the colon and loses nothing by losing it.
    return text[match.end() :] if match else text


def _is_table_row(text: str) -> bool:
    return bool(re.search(r"\S {3,}\S.* {3,}\S|\s\|\s.*\s\|\s|^\+-|-{4,}|={4,}", text))


def is_prose(sentence: str) -> bool:
    """Whether this is a plain English sentence of 5 to 40 words: no code, no list, no fragment."""
    words = sentence.split()
    if not MIN_WORDS <= len(words) <= MAX_WORDS or not sentence.endswith("."):
        return False
    if not sentence[0].isupper() or _FORBIDDEN.search(sentence) or "http" in sentence:
        return False
    if sentence.count("(") != sentence.count(")") or sentence.count('"') % 2:
        return False
    plain = sum(bool(_WORD.match(word) or _NUMBER.match(word)) for word in words)
    if len(words) - plain > max(1, len(words) // 8):
        return False
    lowered = {word.lower().strip("\"'(),;:.") for word in words}
    return len(lowered & _FUNCTION_WORDS) >= 2 and not _has_shouting(words)


def _has_shouting(words: list[str]) -> bool:
    return sum(len(word) > 3 and word.isupper() for word in words) > 2


def sentence_runs(docstring: str) -> tuple[tuple[str, ...], ...]:
    """The prose sentences of a docstring, free of markup.

    Returns:
        Runs of consecutive sentences of one paragraph. Other text ends a run.
    """
    runs: list[tuple[str, ...]] = []
    for paragraph in paragraphs(docstring):
        if paragraph.count(" ") < MIN_WORDS - 1 or "." not in paragraph:
            continue
        text = paragraph
        for pattern, replacement in _MARKUP:
            text = pattern.sub(replacement, text)
        current: list[str] = []
        for sentence in sentences(text.strip()):
            if is_prose(sentence):
                current.append(sentence)
            elif current:
                runs.append(tuple(current))
                current = []
        if current:
            runs.append(tuple(current))
    return tuple(runs)
