"""Talking to a language model: prompts, wire, replies, ledger; literature, propose, team and up import it."""
