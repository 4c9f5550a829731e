"""What the target type `firewall` does: from flows that matched to what becomes of their packets."""
