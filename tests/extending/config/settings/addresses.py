"""The scheme of tcp://, an entry of SCHEMES."""

from config.settings.addresses import Scheme

SCHEMES = {
    "tcp": Scheme("tcp", "tcp://HOST:PORT", "port"),
}
