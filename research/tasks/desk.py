"""What a task works with is the opened campaign: these are its names of before, until every task says so."""

from research.campaign.campaign import CONF
from research.campaign.campaign import Campaign as Desk

__all__ = ["CONF", "Desk"]
