"""What talking to a language model is made of: settings, prompts, the wire, strict replies, the ledger."""
