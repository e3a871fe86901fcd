"""The package as a whole: what it offers, and what it loads for it."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.tiny import Checkpoints

import warmstart

PACKAGE = Path(warmstart.__file__).parent
TORCH_FREE = (
    "data",
    "discourse",
    "metrics",
    "bulk",
    "evaluation/compare.py",
    "evaluation/score.py",
    "evaluation/system_files.py",
    "tasks",
    "cli",
    "generation/generation_config.py",
    "generation/literals.py",
    "model/loading_types.py",
    "decoding/request.py",
    "evaluation/evaluation_options.py",
    "errors.py",
)
RENAMED = {"GenerationOptions": "GenerationConfig"}  # names that stay for older code
LOADED_TORCH = "import sys; sys.exit('torch was loaded' if 'torch' in sys.modules else 0)"


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Runs Python code in a fresh interpreter, where nothing has loaded torch yet."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def module_names(place: str) -> list[str]:
    """The modules of a file or folder of the package: `data` -> `warmstart.data.example`, ..."""
    path = PACKAGE / place
    files = [path] if path.suffix else sorted(path.rglob("*.py"))
    names = [".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts) for file in files]
    return [name.removesuffix(".__init__") for name in names]


def test_the_check_for_torch_notices_torch() -> None:
    finished = run(f"import torch; {LOADED_TORCH}")
    assert (finished.returncode, finished.stderr) == (1, "torch was loaded\n")


def test_import_loads_no_torch() -> None:
    finished = run(f"import warmstart; {LOADED_TORCH}")
    assert finished.returncode == 0, finished.stderr


def test_help_loads_no_torch() -> None:
    finished = run(
        "import sys, atexit\n"
        "from warmstart.cli.main import main\n"
        "sys.argv = ['warmstart', '--help']\n"
        "atexit.register(lambda: print('torch loaded:', 'torch' in sys.modules))\n"
        "sys.exit(main())"
    )
    assert finished.returncode == 0, finished.stderr
    assert "compose" in finished.stdout
    assert finished.stdout.endswith("torch loaded: False\n")


def test_decoding_loads_no_compiler(tmp_path: Path, checkpoints: Checkpoints) -> None:
    model = warmstart.Seq2Seq.warm_start(
        encoder=checkpoints("bert", seed=1), decoder=checkpoints("gpt2", seed=2)
    )
    model.save_pretrained(tmp_path / "model")
    finished = run(
        "import sys; from warmstart import Seq2Seq\n"
        f"model = Seq2Seq.from_pretrained({str(tmp_path / 'model')!r}, dtype='int8')\n"
        "print(len(model.generate(['the cat'], max_length=5)))\n"
        "print([name for name in ('torch._dynamo', 'sympy') if name in sys.modules])"
    )
    assert finished.stdout == "1\n[]\n", finished.stderr


def test_these_modules_load_no_torch() -> None:
    """One after the other in one process: the first that loads it is named."""
    lines = ["from sys import modules"]
    for place in TORCH_FREE:
        names = module_names(place)
        assert names
        lines.append(f"import {', '.join(names)}\nassert 'torch' not in modules, {place!r}")
    finished = run("\n".join(lines))
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("name", warmstart.__all__)
def test_every_public_name_resolves(name: str) -> None:
    value = getattr(warmstart, name)
    assert name in dir(warmstart)
    assert name == "__version__" or value.__name__ == name or value.__name__ == RENAMED[name]


def test_a_misspelt_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Seq2seq'"):
        getattr(warmstart, "Seq2seq")  # noqa: B009 (a plain attribute would not type-check)


def test_subpackages_hold_a_docstring_and_no_imports() -> None:
    inits = [path for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE]
    assert inits
    for path in inits:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), path
        assert len(tree.body) == 1, f"{path} holds more than its docstring"


def test_every_module_lists_its_public_names() -> None:
    """Every listed name exists, and every public name that another module imports is listed."""
    names = module_names(".")
    imported: dict[str, set[str]] = {name: set() for name in names}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in imported:
                public = {alias.name for alias in node.names if not alias.name.startswith("_")}
                imported[node.module] |= {
                    each for each in public if f"{node.module}.{each}" not in names
                }
    for name in names:
        module = importlib.import_module(name)
        listed = set(getattr(module, "__all__", ()))
        assert not {each for each in listed if not hasattr(module, each)}, name
        assert imported[name] <= listed, name
        assert listed or hasattr(module, "__path__"), f"{name} has no __all__"


def test_no_module_imports_the_package_root() -> None:
    """The root imports the modules of its public names, so such an import would run back up."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [str(node.module)]
            assert "warmstart" not in names, f"{path} imports the package root"
