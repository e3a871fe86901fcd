"""`warmstart train`: a recipe, from its model to its scores."""

import logging
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from warmstart.cli.flags import DeviceName, Json
from warmstart.cli.printing import print_json, print_scores, scores_json, write_json
from warmstart.errors import same_on_all_ranks

if TYPE_CHECKING:
    from warmstart.metrics.metric import Score
    from warmstart.recipe.schema import Recipe
    from warmstart.seq2seq import Seq2Seq
    from warmstart.tasks.task import Task
    from warmstart.training.run_folder import Resume
    from warmstart.training.train import TrainResult

__all__ = ["train"]

logger = logging.getLogger(__name__)


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.yaml", help="The recipe.")],
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change the recipe: training.max_steps=100. Repeatable. Default: as it is.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Resume from the newest checkpoint. Default: a new run."),
    ] = False,
    auto_resume: Annotated[
        bool,
        typer.Option(
            "--auto-resume",
            help="Resume from the newest checkpoint if there is one, else begin: for jobs that a "
            "scheduler restarts. Default: a new run.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Check everything, print sizes, memory, steps and the first batch, and stop. "
            "Writes nothing. Default: train.",
        ),
    ] = False,
    push_to_hub: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME",
            help="Upload the finished model to the Hugging Face hub. Default: keep it here.",
        ),
    ] = None,
    device: DeviceName = None,
    as_json: Json = False,
) -> None:
    """Fine-tune a model by a recipe.

    Writes checkpoints, a log, the complete recipe and the finished model to the recipe's
    training.output_dir.
    """
    from warmstart.recipe.build import build_model, build_task
    from warmstart.recipe.schema import load_recipe
    from warmstart.training.trackers import check_trackers

    changes = [*(changes or []), *([] if device is None else [f"training.device={device}"])]
    settings = load_recipe(recipe, changes)
    check_trackers(settings.training.report_to)
    if push_to_hub is not None:
        from warmstart.hub.push import check_push

        check_push(push_to_hub)
    task = build_task(settings)
    # Errors of the folder come before the model is loaded.
    from warmstart.training.run_folder import Resume, check_output_folder
    from warmstart.training.train import train as run

    resuming: Resume = "auto" if auto_resume else resume
    with same_on_all_ranks():
        check_output_folder(settings.training.output_dir, resume=resuming)
    if dry_run:
        _dry_run(settings, task, resume=resuming, as_json=as_json)
        return
    model = build_model(settings.model)
    result = run(model, task, settings.training, resume=resuming, recipe=settings.to_yaml())
    if os.environ.get("RANK", "0") != "0":  # one of several processes; the first one reports
        return
    scores = _evaluate(settings, model, task, result.folder)
    if as_json:
        print_json(
            {
                **asdict(result),
                "folder": str(result.folder),
                "scores": None if scores is None else scores_json(scores),
            }
        )
    else:
        _print(result, scores)
    if push_to_hub is not None:
        from warmstart.hub.push import push_folder

        model.write_card(result.folder, name=push_to_hub)
        logger.info("pushed to %s", push_folder(result.folder, push_to_hub))


def _dry_run(recipe: "Recipe", task: "Task", *, resume: "Resume", as_json: bool) -> None:
    from warmstart.cli.print_dry_run import dry_run_json, print_dry_run
    from warmstart.recipe.build import build_model
    from warmstart.training.dry_run import dry_run

    model = build_model(recipe.model, weights=False)
    plan = dry_run(model, task, recipe.training, resume=resume)
    if as_json:
        print_json(dry_run_json(plan))
    else:
        print_dry_run(plan)


def _evaluate(
    recipe: "Recipe", model: "Seq2Seq", task: "Task", folder: Path
) -> "dict[str, Score] | None":
    """Scores the validation split, if the recipe has it, and adds the scores to the card."""
    from warmstart.evaluation.evaluate import evaluate
    from warmstart.training.facts import score_facts

    if recipe.evaluation is None:
        return None
    split = task.split("validation")
    scores = evaluate(
        model,
        split,
        metrics=recipe.evaluation.metrics,
        reference_text=recipe.evaluation.reference_text,
    )
    write_json(
        recipe.training.output_dir / "scores.json",
        {
            "task": task.name,
            "split": split.name,
            "examples": len(split),
            "generation": asdict(split.generation),
            "scores": scores_json(scores),
        },
    )
    model.card = replace(model.card, scores=score_facts(split, scores))
    model.write_card(folder)
    return scores


def _print(result: "TrainResult", scores: "dict[str, Score] | None") -> None:
    minutes, seconds = divmod(round(result.seconds), 60)
    best = ""
    if result.best_value is not None:
        value = f"{result.best_metric} {result.best_value:.4g}"
        best = f", best validation {value} (step {result.best_step})"
    typer.echo(
        f"{result.steps} steps in {minutes} min {seconds} s, final training loss "
        f"{result.loss:.4f}{best}"
    )
    typer.echo(f"model in {result.folder}")
    if scores is not None:
        print_scores(scores)
