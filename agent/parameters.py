"""What command-line options hold beyond what click knows: lengths of time."""

import click

from config.quantities import NotAllowed, parse_duration


def seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Return the seconds that an option such as 90s or 1h30m stands for; a click callback."""
    if value is None:
        return None
    try:
        return parse_duration(value)
    except NotAllowed as error:
        raise click.BadParameter(f"{value!r} {error}", ctx, param) from None
