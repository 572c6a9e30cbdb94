"""Help in sections: the options of a command under the headings of the spec's sections."""

from typing import Any

import click

ORDER = ("options", "data", "network", "penalty", "balancing", "optimiser")  # others come last


class SectionOption(click.Option):
    """An option that knows which section of the spec it belongs to."""

    def __init__(self, *declarations: Any, section: str | None = None, **settings: Any) -> None:
        super().__init__(*declarations, **settings)
        self.section = section


class SectionedCommand(click.Command):
    """A command whose help lists its options section by section, those of none first, then in ORDER."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options into the help."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for option in self.get_params(ctx):
            if record := option.get_help_record(ctx):
                sections.setdefault(_section(option), []).append(record)
        places = {name: place for place, name in enumerate(ORDER)}
        for name, records in sorted(sections.items(), key=lambda section: places.get(section[0], len(places))):
            with formatter.section(name.capitalize()):
                formatter.write_dl(records)


def _section(parameter: click.Parameter) -> str:
    return getattr(parameter, "section", None) or "options"
