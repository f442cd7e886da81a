"""The scheme of tcp://, an entry of SCHEMES."""

from config.addresses import Form, Scheme

SCHEMES = {
    "tcp": Scheme("tcp", "tcp://HOST:PORT", Form.PORT),
}
