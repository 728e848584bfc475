"""Low-rank updates, the bank that holds them, and the routed layers that apply them."""

from lingraft.delta.bank import Adapter, Bank, Token
from lingraft.delta.plan import Plan
from lingraft.delta.route import Route, Term
from lingraft.delta.routed import Routing
from lingraft.delta.update import Update, fresh, weighted_sum

__all__ = ["Adapter", "Bank", "Plan", "Route", "Routing", "Term", "Token", "Update", "fresh", "weighted_sum"]
