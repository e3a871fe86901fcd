"""The transformer core: tensors only."""
