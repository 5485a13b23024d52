"""The one way for text that others wrote to reach a terminal."""

from __future__ import annotations

import shlex

# Format characters that reorder or hide what surrounds them (bidirectional controls and their kin).
_INVISIBLE = frozenset(
    chr(point)
    for low, high in (
        (0x00AD, 0x00AD),
        (0x061C, 0x061C),
        (0x180E, 0x180E),
        (0x200B, 0x200F),
        (0x2028, 0x202E),
        (0x2060, 0x206F),
        (0xFEFF, 0xFEFF),
        (0xFFF9, 0xFFFB),
        (0xE0000, 0xE007F),
    )
    for point in range(low, high + 1)
)


def printable(text: str | bytes) -> str:
    r"""Return `text` on one line, with no character that could steer a terminal.

    Bytes that are not UTF-8 are shown as ``\xNN``; control, bidirectional and zero-width
    characters as ``\n``, ``\x1b`` or ``\u202e``; a backslash as two, so the form is unambiguous.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    point = ord(character)
    if character == "\\":
        return "\\\\"
    if 0xDC80 <= point <= 0xDCFF:
        return f"\\x{point - 0xDC00:02x}"
    control = point < 0x20 or 0x7F <= point < 0xA0
    if control or character in _INVISIBLE or 0xD800 <= point <= 0xDFFF:
        return character.encode("unicode_escape").decode("ascii")
    return character


def shell_word(text: str) -> str:
    r"""Return `text` as a word of a shell command that is safe to print and can be pasted back.

    Quoted where needed; what could steer a terminal, or is not UTF-8, stands as ``\xNN`` in ``$'…'``
    (bash, zsh, ksh).
    """
    if all(_shown(character) == character or character == "\\" for character in text):
        return shlex.quote(text)
    return "$'" + "".join(map(_in_shell, text)) + "'"


def _in_shell(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if _shown(character) == character:
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
