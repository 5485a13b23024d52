"""Mutual TLS 1.3 among members that trust each other's keys and nobody else.

Python's ssl has no verify callback. Members' self-signed certificates are the trust anchors
(X509_PARTIAL_CHAIN), host names mean nothing, and after every handshake the key that was proved is
compared with the pins once more. Session tickets are off: a resumed session would skip the check.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from leaderless.identity import BadCertificateError, certificate_key, fingerprint
from leaderless.transport.base import UntrustedPeerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from leaderless.identity import Identity


class Trust:
    """TLS contexts that follow the membership: `pins` maps fingerprints to certificates (DER).

    Among them are those of former members: who is one has to be known to be told so. What else is
    said on a connection is for those to decide who use it.
    """

    def __init__(
        self,
        identity: Identity,
        pins: Callable[[], Mapping[bytes, bytes]],
    ) -> None:
        self.identity = identity
        self._pins = pins
        self._built: tuple[frozenset[bytes], ssl.SSLContext, ssl.SSLContext] | None = None

    def server(self) -> ssl.SSLContext:
        """Return the context for those who call us."""
        return self._contexts()[1]

    def client(self) -> ssl.SSLContext:
        """Return the context for calling others."""
        return self._contexts()[2]

    def proved_key(self, certificate: bytes | None) -> bytes:
        """Return the peer's key after a handshake; raises UntrustedPeerError for a stranger's."""
        if certificate is None:
            raise UntrustedPeerError("the other side showed no certificate")
        try:
            key = certificate_key(certificate)
        except BadCertificateError as error:
            raise UntrustedPeerError(error.message) from error
        if fingerprint(key) in self._pins() or key == self.identity.public_key:
            return key
        raise UntrustedPeerError("the other side is no member of this library")

    def _contexts(self) -> tuple[frozenset[bytes], ssl.SSLContext, ssl.SSLContext]:
        pins = self._pins()
        names = frozenset(pins)
        if self._built is None or self._built[0] != names:
            anchors = "".join(ssl.DER_cert_to_PEM_cert(der) for der in pins.values())
            server = _context(ssl.PROTOCOL_TLS_SERVER, self.identity, anchors)
            client = _context(ssl.PROTOCOL_TLS_CLIENT, self.identity, anchors)
            self._built = names, server, client
        return self._built


def _context(protocol: int, identity: Identity, anchors: str) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_cert_chain(identity.certificate_path, identity.key_path)
    if anchors:
        context.load_verify_locations(cadata=anchors)
    if protocol == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0
    return context
