from warmstart.quickstart.prose import is_prose, paragraphs, sentence_runs

NUMPY = """
Return the indices of the elements that are non-zero.

The values are always tested in row-major order. They can be grouped
by element with `transpose`.

Parameters
----------
a : array_like
    Input array whose indices are wanted.
axis : int, optional
    The axis along which to look, which is the last one by default.

Returns
-------
tuple_of_arrays : tuple
    Indices of elements that are not zero.

Examples
--------
>>> x = np.array([[3, 0, 0], [0, 4, 0]])
>>> np.nonzero(x)
This output is not a sentence of the text.

The function is also a method of the array.
"""

REST = """Open a connection to the :class:`~http.client.HTTPServer` of the **other** side.

:param host: The name of the host that is to be reached.
:type host: str

.. code-block:: python

    This is code that looks like a sentence.

.. note:: The connection is closed when the block ends.

.. warning::

    The other side may close it before that.

The call looks as follows::

    This is an example in a literal block.

It returns ``None`` if the host cannot be reached.
"""

GOOGLE = """Computes the loss of a batch of examples.

Args:
    labels (`torch.LongTensor` of shape `(batch_size,)`, *optional*):
        Labels for computing the loss of the batch.
    weight (float): How much the loss of each class counts.

```python
This is fenced code and is not a sentence.
```

- The first item of the list is a sentence.
- no sentence
"""


def flat(docstring: str) -> list[str]:
    return [sentence for run in sentence_runs(docstring) for sentence in run]


def test_numpy_style() -> None:
    assert flat(NUMPY) == [
        "Return the indices of the elements that are non-zero.",
        "The values are always tested in row-major order.",
        "They can be grouped by element with transpose.",
        "Input array whose indices are wanted.",
        "The axis along which to look, which is the last one by default.",
        "Indices of elements that are not zero.",
        "The function is also a method of the array.",
    ]


def test_sentences_of_one_paragraph_are_one_run() -> None:
    runs = sentence_runs(NUMPY)
    assert runs[1] == (
        "The values are always tested in row-major order.",
        "They can be grouped by element with transpose.",
    )
    assert all(len(run) == 1 for run in (runs[0], *runs[2:]))


def test_other_text_ends_a_run() -> None:
    text = "The first one is kept here. Set x = y + zed. The third one is kept here. So is it."
    assert sentence_runs(text) == (
        ("The first one is kept here.",),
        ("The third one is kept here.",),
    )


def test_restructured_text() -> None:
    assert flat(REST) == [
        "Open a connection to the HTTPServer of the other side.",
        "The name of the host that is to be reached.",
        "The connection is closed when the block ends.",
        "The other side may close it before that.",
        "It returns None if the host cannot be reached.",
    ]


def test_google_style_and_markdown() -> None:
    assert flat(GOOGLE) == [
        "Computes the loss of a batch of examples.",
        "Labels for computing the loss of the batch.",
        "How much the loss of each class counts.",
        "The first item of the list is a sentence.",
    ]


def test_paragraphs_join_their_lines() -> None:
    assert list(paragraphs("One line\nand the next.\n\nAnother.")) == [
        "One line and the next.",
        "Another.",
    ]


def test_abbreviations_end_no_sentence() -> None:
    text = "Use a suffix that is short, e.g. Python's own. The file (cf. Unix) stays open in it."
    assert flat(text) == [
        "Use a suffix that is short, e.g. Python's own.",
        "The file (cf. Unix) stays open in it.",
    ]


def test_is_prose() -> None:
    assert is_prose("The file is closed when the block ends.")
    assert is_prose("It returns None if max_length is 0.")
    assert not is_prose("Too short for this.")
    assert not is_prose("the file is not capitalised here.")
    assert not is_prose("The file has no full stop here")
    assert not is_prose("The result is x = y + z in this case.")
    assert not is_prose("Call foo.bar(x) to get the value of it.")
    assert not is_prose("A list of foo_bar, bar_foo, baz_foo, foo_baz and the like.")
    assert not is_prose("The bracket (is not closed in this sentence.")
    assert not is_prose("See https example at http://example.com for the rest of it.")
    assert not is_prose("Tensor shape batch size length.")
    assert not is_prose(" ".join(["The"] + ["word"] * 40) + ".")
