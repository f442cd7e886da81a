"""The scheme of tcp://, an entry of SCHEMES."""

from config.settings.addresses import StreamScheme

SCHEMES = {
    "tcp": StreamScheme("tcp", "tcp://HOST:PORT", "port"),
}
