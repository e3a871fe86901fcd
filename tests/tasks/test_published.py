"""Every published figure against the tables that they were copied from."""

import re
from pathlib import Path

import pytest

from warmstart.tasks.all_tasks import TASKS, get_task_definition

PAPER = Path(__file__).resolve().parents[3] / "shared" / "reference" / "paper.md"
Row = tuple[str, list[str]]


@pytest.fixture(scope="module")
def tables() -> dict[str, list[Row]]:
    """The rows of each table: a name, and the cells behind it."""
    if not PAPER.is_file():
        pytest.skip(f"{PAPER} is not on this machine")
    found: dict[str, list[Row]] = {}
    rows: list[Row] = []
    for line in PAPER.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            rows = []
            continue
        name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not rows and not set(name) <= {"-"}:
            found[" ".join(cells)] = rows
        rows.append((name, cells))
    return {header: rows[2:] for header, rows in found.items()}


def rows_of(tables: dict[str, list[Row]], words: str) -> list[Row]:
    (rows,) = (rows for header, rows in tables.items() if words in header)
    return rows


def numbers(cell: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+\.\d+", cell)]


def test_discofuse_and_wikisplit(tables: dict[str, list[Row]]) -> None:
    rows = rows_of(tables, "DF100 Exact")
    assert len(rows) == 12
    fusion = get_task_definition("discofuse").published
    splitting = get_task_definition("wikisplit").published
    for name, cells in rows:
        values = [float(cell) for cell in cells]
        assert list(fusion[name].values()) == values[:4]
        assert list(fusion[name]) == ["exact_match", "sari", "sari 10%", "sari 1%"]
        assert list(splitting[name].values()) == values[4:]
        assert list(splitting[name]) == ["exact_match", "sari", "bleu"]
    assert set(splitting) == {name for name, _ in rows}
    ablations = {name: figures for name, figures in fusion.items() if name not in splitting}
    assert all(list(figures) == ["sari"] for figures in ablations.values())
    text = " ".join(PAPER.read_text(encoding="utf-8").split())
    told = text[text.index("Ablations on DiscoFuse") : text.index("## 3.")]
    values = [figures["sari"] for figures in ablations.values()]
    assert values == [87.1, 87.0, 87.5, 77.0, 88.2, 89.1]
    assert set(values) <= set(numbers(told))


def test_wmt14(tables: dict[str, list[Row]]) -> None:
    rows = rows_of(tables, "2014 2016")
    both = {pair: get_task_definition(f"wmt14/{pair}").published for pair in ("en-de", "de-en")}
    names = list(both["en-de"])
    assert len(rows) == len(names) == 12
    for (printed, cells), name in zip(rows, names, strict=True):
        assert printed.split(",")[0] == name.split(",")[0]
        assert printed.split(",")[-1] == name.split(",")[-1]
        (en_de_2014, de_en_2014), (en_de_2016, de_en_2016) = map(numbers, cells)
        assert list(both["en-de"][name].values()) == [en_de_2014, en_de_2016]
        assert list(both["de-en"][name].values()) == [de_en_2014, de_en_2016]
    assert get_task_definition("wmt14").published == both["en-de"]
    assert get_task_definition("wmt14/fr-en").published == {}


def test_summarization(tables: dict[str, list[Row]]) -> None:
    rows = rows_of(tables, "Gigaword CNN/DailyMail XSum")
    assert len(rows) == 13
    for column, task in enumerate(("gigaword", "cnn_dailymail", "xsum")):
        published = get_task_definition(task).published
        paper = {name: numbers(cells[column]) for name, cells in rows if cells[column] != "-"}
        assert {name: list(published[name].values()) for name in paper} == paper
        assert all(list(published[name]) == ["rouge1", "rouge2", "rougeL"] for name in paper)
        assert {name for name in published if name not in paper} == {
            name for name in published if name.endswith(", article")
        }


def test_the_article(tables: dict[str, list[Row]]) -> None:
    text = PAPER.read_text(encoding="utf-8")
    part = text[text.index("## 4.") : text.index("## 5.")]
    claimed = re.search(r"ROUGE-2 (\d+\.\d+) claimed.*RoBERTaShare.*ROUGE-2 (\d+\.\d+)", part, re.S)
    assert claimed is not None
    articles = {
        "cnn_dailymail": {"bert2bert, article": {"rouge2": float(claimed[1])}},
        "xsum": {"robertaShare, article": {"rouge2": float(claimed[2])}},
    }
    for task, figures in articles.items():
        published = get_task_definition(task).published
        assert {name: published[name] for name in figures} == figures


def test_lengths(tables: dict[str, list[Row]]) -> None:
    rows = rows_of(tables, "source / target length")
    names = {"CNN/DailyMail": "cnn_dailymail", "WMT14 en-de": "wmt14/en-de"}
    for printed, cells in rows:
        task = get_task_definition(names.get(printed, printed.lower()))
        lengths = [int(length) for length in cells[2].split("/")]
        assert [task.max_source_length, task.max_target_length] == lengths
    assert len(rows) == 6


def test_the_settings_of_the_article() -> None:
    task = get_task_definition("cnn_dailymail")
    options = task.generation
    assert (task.max_source_length, task.max_target_length) == (512, 128)
    assert (options.num_beams, options.min_length, options.max_length) == (4, 56, 142)
    assert (options.no_repeat_ngram_size, options.length_penalty) == (3, 2.0)
    assert options.early_stopping is True


def test_every_task_with_figures_says_where_its_data_is() -> None:
    for task in TASKS:
        assert bool(task.published) == (task.origin.hub is not None)
