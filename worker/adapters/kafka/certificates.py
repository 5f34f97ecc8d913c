"""Why the certificate of a broker is refused: librdkafka says only that it is."""

import socket
import ssl
from typing import Final, NamedTuple

from worker.adapters.kafka.messages import Options

_WITHIN: Final = 3.0
_EXPIRED, _NOT_YET, _OTHER_HOST, _OTHER_ADDRESS = 10, 9, 62, 64
"""OpenSSL's numbers of reasons (X509_V_ERR_...)."""


class CertificateFault(NamedTuple):
    """What is wrong with a broker's certificate, and what to do."""

    says: str
    advice: str


def certificate_fault(host: str, port: int, options: Options) -> CertificateFault | None:
    """Connect to a broker as librdkafka does with these options, and return why its certificate is refused.

    Returns:
        None if it is not refused, or if the broker does not answer.
    """
    try:
        context = _context(options)
        with (
            socket.create_connection((host, port), timeout=_WITHIN) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return None
    except ssl.SSLCertVerificationError as error:
        return _explain(error, host)
    except (OSError, ValueError):
        return None


def _context(options: Options) -> ssl.SSLContext:
    authority, pem = options.get("ssl.ca.location"), options.get("ssl.ca.pem")
    context = ssl.create_default_context(cadata=str(pem) if pem else None)
    if authority and authority != "probe":
        try:
            context.load_verify_locations(cafile=str(authority))
        except IsADirectoryError:
            context.load_verify_locations(capath=str(authority))
    context.check_hostname = options.get("ssl.endpoint.identification.algorithm", "https") != "none"
    return context


def _explain(error: ssl.SSLCertVerificationError, host: str) -> CertificateFault:
    says = f"the certificate of the broker is refused: {error.verify_message.rstrip('.')}"
    advice = {
        _EXPIRED: "renew the certificate of the broker",
        _NOT_YET: "compare the clocks of this machine and of the broker",
        _OTHER_HOST: f"use a host name that is in the certificate, or issue one for {host!r}",
        _OTHER_ADDRESS: f"use a host name or an address that is in the certificate, or issue one for {host!r}",
    }.get(error.verify_code, "set ssl.ca.location to the certificate of the authority that signed it")
    return CertificateFault(says, advice)
