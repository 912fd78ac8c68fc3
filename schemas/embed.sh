#!/bin/sh
# Prints the contracts that the program carries as C strings.
set -eu
cd "$(dirname "$0")"
embed() {
	printf 'extern const char *const %s;\nconst char *const %s =\n' "$2" "$2"
	sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/"/' -e 's/$/\\n"/' "$1"
	printf ';\n\n'
}
embed spool_record.avsc avro_spool_schema
embed state.sql state_schema
embed ../agent/page.html page_html
