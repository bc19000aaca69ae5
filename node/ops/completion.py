"""Completion for the shell, made from the table of operations.

What it does not do
    It installs nothing: it prints the script, and says where shells look for one.
"""

from __future__ import annotations

from typing import Annotated, Literal

from node.operation import Args, Local, Result, local_operation, said


class CompletionArgs(Args, frozen=True):
    """Which shell."""

    shell: Annotated[Literal["bash", "zsh", "fish"], said("bash, zsh or fish.", positional=True)] = "bash"


class Completion(Result, frozen=True):
    """The script."""

    shell: Annotated[str, said("For which shell.")]
    place: Annotated[str, said("Where that shell looks for it.")]
    script: Annotated[str, said("The script.")]


_PLACES = {
    "bash": "~/.local/share/bash-completion/completions/maille",
    "zsh": "a directory of your $fpath, as _maille",
    "fish": "~/.config/fish/completions/maille.fish",
}


@local_operation(None, "completion", permission="read", render=lambda found: found.script)
def completion(local: Local, args: CompletionArgs) -> Completion:
    """Print the script with which a shell completes commands and options: maille completion bash > FILE."""
    from node.cli.app import build

    local.say(f"{args.shell} looks for it in {_PLACES[args.shell]}")
    script = build().generate_completion(prog_name="maille", shell=args.shell)
    return Completion(args.shell, _PLACES[args.shell], script)
