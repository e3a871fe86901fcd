from itertools import pairwise

import pytest

from warmstart.text.sentences import sentence_ends


def split(text: str) -> list[str]:
    ends = [0, *sentence_ends(text), len(text)]
    return [text[a:b] for a, b in pairwise(ends)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mr. Lee came at 5 p.m. today. He left.", ["Mr. Lee came at 5 p.m. today.", " He left."]),
        ("It is e.g. a cat. 2 dogs came!", ["It is e.g. a cat.", " 2 dogs came!"]),
        ("Er kam. Übrigens ging er. Šibenik.", ["Er kam.", " Übrigens ging er.", " Šibenik."]),
        ("Он пришёл. Она ушла, т. е. нет.", ["Он пришёл.", " Она ушла, т. е. нет."]),
        ("他来了。她走了！“真的？”是。", ["他来了。", "她走了！", "“真的？”", "是。"]),
        ("هل جاء؟ نعم. ذهب", ["هل جاء؟", " نعم.", " ذهب"]),
        ("वह आया। वह गया।", ["वह आया।", " वह गया।"]),
        ("no end of it", ["no end of it"]),
        ("", [""]),
    ],
)  # fmt: skip
def test_ends_of_sentences(text: str, expected: list[str]) -> None:
    assert split(text) == expected
