"""How a case can end other than with figures."""

from __future__ import annotations


class CaseFailed(Exception):
    """Wrong bytes, or a program that did not do what it was asked: no figure of this case may be kept."""


class NotHere(Exception):
    """Something the case needs cannot be had on this machine; the rest of the run goes on and says so."""
