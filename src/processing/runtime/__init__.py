"""How the process works: long work in slices or in a fork, memory given back."""
