"""Pairing: a short code, typed once, makes a stranger a member.

What an attacker gets: on the network, ciphertext and the fact that somebody pairs; by connecting,
one guess in 168 million a try, three tries a code, five minutes a code; by standing in the middle
with certificates of its own, a failed exchange on both sides, as both key hashes are part of it. The
host says nothing of itself, not even its name, to somebody who has not proved the code.
"""
