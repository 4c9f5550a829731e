"""Flow expressions: text to a typed tree, and from there to Python code or to an explanation.

Nothing is imported here: who needs but the form of a tree, as `nfa run` and `nfa status` do, is spared the grammar.
"""
