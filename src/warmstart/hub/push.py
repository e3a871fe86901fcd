"""Uploads model folders to the Hugging Face hub."""

import shlex
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from warmstart.errors import OutputError, UsageError

__all__ = ["check_push", "push_folder"]


def check_push(repo: str) -> None:
    """Validates a push before training starts: repository id, connection and token.

    Args:
        repo: a hub id.

    Raises:
        OutputError: if the hub is switched off, cannot be reached, or does not know the token.
        UsageError: if it is not a hub id, or there is no token.
    """
    try:
        validate_repo_id(repo)
    except HFValidationError:
        raise UsageError(
            f"'{repo}' cannot be the name of a model on the hub; give NAME or OWNER/NAME of "
            "letters, digits, '-', '_' and '.'."
        ) from None
    if constants.is_offline_mode():
        raise OutputError(
            "The hub is switched off by HF_HUB_OFFLINE, so nothing can be pushed to it; unset it, "
            "or leave out the push."
        )
    if huggingface_hub.get_token() is None:
        raise UsageError(
            "There is no token to push to the hub with; run 'hf auth login', or set HF_TOKEN."
        )
    try:
        huggingface_hub.whoami()
    except (OSError, HfHubHTTPError) as error:
        raise OutputError(f"The hub cannot be asked who you are ({_first_line(error)}).") from None


def push_folder(folder: Path, repo: str, *, private: bool | None = None) -> str:
    """Uploads a model folder, creating the repository if it does not exist.

    Args:
        folder: a finished model.
        repo: a hub id.
        private: whether a new repository is private; None: the owner's default.

    Returns:
        Its address on the hub.

    Raises:
        OutputError: if it fails, with the command to repeat it.
    """
    api = huggingface_hub.HfApi()
    try:
        made = api.create_repo(repo, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=made.repo_id, folder_path=folder, commit_message="Model trained with warmstart"
        )
    except (OSError, HfHubHTTPError, HFValidationError, ValueError) as error:
        raise OutputError(
            f"The model is in {folder}, but pushing it to {repo} failed ({_first_line(error)}). "
            f"Push it later with: {push_command(folder, repo)}"
        ) from None
    return f"https://huggingface.co/{made.repo_id}"


def push_command(folder: Path, repo: str) -> str:
    """The command that pushes a model folder."""
    return f"hf upload {shlex.quote(repo)} {shlex.quote(str(folder))} ."


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
