"""A guest's firmware and kernel."""
