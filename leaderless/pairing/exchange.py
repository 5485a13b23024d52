"""The exchange itself, without a network: SPAKE2, confirmation both ways, sealed payloads.

::

    joiner → host   certificate, SPAKE2 message
    host → joiner   SPAKE2 message
    joiner → host   confirmation            a wrong code counts as a try here
    host → joiner   confirmation
    joiner → host   sealed introduction     the host admits: it stores the new member durably
    host → joiner   sealed welcome
    joiner → host   sealed thanks           both sides know that both have it

A host that refuses the code answers with an empty message instead, whatever the reason.
The joiner confirms first, so that nobody can test a guess without its being counted. Identities are
the SHA-256 of both public keys (Abdalla & Pointcheval 2005; RFC 9382); the host's key is the one its
TLS certificate proved, so whoever ends TLS in the middle fails the exchange.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from leaderless.errors import InvalidDataError
from leaderless.identity import fingerprint
from leaderless.pairing.attempts import CodeRefusedError

if TYPE_CHECKING:
    from leaderless.pairing.code import Code

_CONTEXT: Final = b"leaderless/pairing/1\0"


REFUSED: Final = b""


class PairingBrokenError(InvalidDataError):
    """The other side does not keep to the exchange."""

    code = "pairing_broken"


class Exchange:
    """One side of the exchange. Its calls compute for some milliseconds: use a worker thread."""

    def __init__(self, code: Code, joiner_key: bytes, host_key: bytes, *, host: bool) -> None:
        # Its tables are computed as it is loaded: where a code is used, and that is seldom.
        from spake2 import SPAKE2_A, SPAKE2_B  # noqa: PLC0415

        self._host = host
        side = SPAKE2_B if host else SPAKE2_A
        ids = (fingerprint(joiner_key), fingerprint(host_key))
        self._spake = side(_CONTEXT + code.secret(), idA=ids[0], idB=ids[1])
        self._transcript = hashlib.sha256(_CONTEXT + ids[0] + ids[1])
        self.message: bytes = self._spake.start()
        self._keys: dict[bytes, bytes] = {}

    def finish(self, theirs: bytes) -> None:
        """Take in the other side's message; raises PairingBrokenError for one that is none."""
        from spake2 import SPAKEError  # noqa: PLC0415 - as above
        from spake2.ed25519_basic import NotOnCurve  # noqa: PLC0415 - the same

        try:
            shared = self._spake.finish(theirs)
        except (SPAKEError, NotOnCurve, ValueError, AssertionError) as error:
            raise PairingBrokenError("the other side sent no SPAKE2 message") from error
        ours = self.message
        for part in (theirs, ours) if self._host else (ours, theirs):
            self._transcript.update(len(part).to_bytes(4, "big") + part)
        bound = self._transcript.digest()
        for label in (b"joiner confirms", b"host confirms", b"joiner seals", b"host seals"):
            derive = HKDF(hashes.SHA256(), 32, salt=bound, info=_CONTEXT + label)
            self._keys[label] = derive.derive(shared)

    def confirmation(self, *, of_host: bool) -> bytes:
        """Return what proves that a side knows the code."""
        label = b"host confirms" if of_host else b"joiner confirms"
        return hmac.digest(self._keys[label], self._transcript.digest(), "sha256")

    def check(self, confirmation: bytes) -> None:
        """Raise CodeRefusedError unless the other side has proved the code."""
        if not hmac.compare_digest(confirmation, self.confirmation(of_host=not self._host)):
            raise CodeRefusedError("the code does not fit", hint="compare it letter by letter")

    def seal(self, number: int, payload: bytes) -> bytes:
        """Return a payload that only the other side can read; `number` rises with each."""
        label = b"host seals" if self._host else b"joiner seals"
        nonce = number.to_bytes(12, "big")
        return ChaCha20Poly1305(self._keys[label]).encrypt(nonce, payload, None)

    def unseal(self, number: int, sealed: bytes) -> bytes:
        """Return the other side's payload; raises PairingBrokenError if it is not its."""
        label = b"joiner seals" if self._host else b"host seals"
        nonce = number.to_bytes(12, "big")
        try:
            return ChaCha20Poly1305(self._keys[label]).decrypt(nonce, sealed, None)
        except InvalidTag as error:
            raise PairingBrokenError("a payload was changed on its way") from error
