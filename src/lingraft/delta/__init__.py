"""Low-rank updates, the bank that holds them, and the routed layers that apply them."""

from lingraft.delta.bank import Adapter, Bank, Token
from lingraft.delta.routed import Route, Routing, Term
from lingraft.delta.update import Update, fresh, weighted_sum

__all__ = ["Adapter", "Bank", "Route", "Routing", "Term", "Token", "Update", "fresh", "weighted_sum"]
