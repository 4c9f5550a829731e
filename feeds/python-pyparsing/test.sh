#!/bin/sh

[ "$1" = python3-pyparsing ] || exit 0

python3 - "$2" <<'EOF'
import sys

import pyparsing

print("pyparsing", pyparsing.__version__)
assert pyparsing.__version__ == sys.argv[1]

# What nfa needs of it: operators with precedence, quoted strings, and errors with their place.
word = pyparsing.Word(pyparsing.alphas) | pyparsing.QuotedString("'")
grammar = pyparsing.infix_notation(word, [("!", 1, pyparsing.OpAssoc.RIGHT), ("&&", 2, pyparsing.OpAssoc.LEFT)])
assert grammar.parse_string("a && !(b && 'c d')", parse_all=True).as_list() == [["a", "&&", ["!", ["b", "&&", "c d"]]]]
try:
    grammar.parse_string("a && ;", parse_all=True)
except pyparsing.ParseException as error:
    assert error.lineno == 1
else:
    raise AssertionError("an error was not found")
EOF
