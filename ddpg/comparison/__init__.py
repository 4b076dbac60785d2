"""Finished runs side by side: what differs in their settings, and what came of it."""
