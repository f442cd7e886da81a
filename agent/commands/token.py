"""`liput token`: the token by which another device or program is let in."""

import click

from agent.terminal.parameters import json_option, print_result
from agent.web.http.token import read_token, token_file
from config.errors import StateError

EXAMPLES = """\b
Examples:
  liput token                                 type it into the page on another device
  liput token --new                           replace the token, and log everybody out
\b
  printf 'Authorization: Bearer %s' "$(liput token)" | curl -H @- -X POST http://127.0.0.1:8466/api/v1/recording/start
\b
Do not pass the token as an argument (curl -H "..."): other users of this PC would see it.
"""


@click.command(epilog=EXAMPLES)
@click.option("--new", is_flag=True, help="Replace the token. The old one is invalid at once.")
@json_option
def token_command(*, new: bool, as_json: bool) -> None:
    """Show the token for the page and its API. The first call creates it.

    The token gives full access to the page. It is stored in a file of this user, with mode 0600.
    """
    if new:
        try:
            token_file().unlink(missing_ok=True)
        except OSError as error:
            raise StateError(f"the token cannot be removed: {error.strerror}") from None
    token = read_token()
    print_result({"token": token}, token, as_json=as_json)
