"""The command line's front door: names of the verbs and where each lives; nothing heavy is imported."""

from __future__ import annotations

import importlib
import sys

import click

VERBS = {
    "demo": ("lingraft.verbs.measure:demo", "Add three languages to a small base and measure what it learned."),
    "add": ("lingraft.verbs.library:add", "Train adapters for languages and add them to a library."),
    "update": ("lingraft.verbs.library:update", "Train newer adapters of languages that are in a library."),
    "fit-joint": ("lingraft.verbs.library:fit_joint", "Train all languages of a library together (LSLo)."),
    "list": ("lingraft.verbs.library:list_", "List the languages of a library."),
    "show": ("lingraft.verbs.library:show", "Show what is known of a language's adapters."),
    "translate": ("lingraft.verbs.library:translate", "Translate lines from standard input."),
    "measure": ("lingraft.verbs.measure:measure", "Score every direction, beside base and pivot."),
    "search": ("lingraft.verbs.probe:search", "Search the weights of a direction on dev sentences."),
    "probe": ("lingraft.verbs.probe:probe", "Look into adapters: subspace, lens, merge."),
    "export": ("lingraft.verbs.library:export", "Write a direction or an adapter for PEFT, CTranslate2, …"),
    "serve": ("lingraft.verbs.serve:serve", "Translate for others: HTTP interfaces and a web page."),
    "serve-key": ("lingraft.verbs.serve:serve_key", "Make a key for a client of `lingraft serve`."),
    "rollback": ("lingraft.verbs.library:rollback", "Go back to the adapters that a language had before."),
    "remove": ("lingraft.verbs.library:remove", "Remove a language from a library."),
    "doctor": ("lingraft.verbs.library:doctor", "Check a library and this machine."),
}


class Verbs(click.Group):
    """Loads a verb's module only when the verb is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which a newcomer meets them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a verb's command."""
        if cmd_name not in VERBS:
            return None
        module, name = VERBS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lingraft")
def app() -> None:
    """Grow a translation system one language at a time."""


def main() -> None:
    """Run the command line; an error that a user can mend is one message and exit code 1."""
    from lingraft.atoms.errors import LingraftError

    try:
        code = app(standalone_mode=False)  # None, or what a verb has given to `ctx.exit`
    except LingraftError as error:
        click.echo(f"lingraft: {error}", err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("lingraft: stopped.", err=True)
        sys.exit(130)
    sys.exit(code)


if __name__ == "__main__":
    main()
