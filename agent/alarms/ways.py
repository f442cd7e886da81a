"""Which ways the settings name to tell people of alarms."""

from agent.alarms.desktop import Desktop
from agent.alarms.sender import Way
from config.settings.key_tables import alarm_keys
from config.settings.schema import Settings

WAYS = ("desktop", "mail", "webhook")


def ways_of(settings: Settings) -> list[Way]:
    """Return the ways that are set up, each ready to be used. Raises SecretError."""
    keys = alarm_keys(settings)
    alarms, room, language = settings.alarms, settings.general.room, settings.general.language
    ways: list[Way] = [Desktop(room, language)] if alarms.desktop else []
    # The libraries of each way take time that a daemon without it has no use for.
    if alarms.mail_server:
        from agent.alarms.mail import Mail

        ways.append(Mail(alarms, keys, room, language))
    if alarms.webhook or keys.webhook_url is not None:
        from agent.alarms.webhook import Webhook

        ways.append(Webhook(alarms, keys, room, language))
    return ways
