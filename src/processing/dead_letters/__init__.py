"""Dead letters: what was refused, why, and how it is fixed and sent again."""
