"""What is published: the model card, and pushing a folder to the hub."""
