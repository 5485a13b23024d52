"""What `status` says of devices whose version keeps them from having, or sending, all.

That versions differ is nothing to speak of by itself: it is told where something is in the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderless.status.report import Alert

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from leaderless.protocol.peer import Peer


def other_versions(peers: Iterable[Peer], names: Mapping[bytes, str]) -> Iterator[Alert]:
    """Yield what is to be upgraded, and why."""
    for peer in peers:
        if peer.hello is None:
            continue
        name = names.get(peer.device) or peer.device.hex()[:8]
        version = peer.hello.software
        if peer.beyond:
            yield Alert(
                "OLDER_PEER",
                f"{name} lacks commits that were forgotten here, and its version, {version}, cannot"
                " read what is left of them",
                f"upgrade leaderless on {name}; nothing of it is lost until then",
            )
        if peer.unknown:
            yield Alert(
                "NEWER_PEER",
                f"{name} says what this version does not know: it runs {version}",
                "upgrade leaderless on this device",
            )
