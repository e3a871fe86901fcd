"""Which outputs are allowed: choices, regular expressions, and the automata they become."""
