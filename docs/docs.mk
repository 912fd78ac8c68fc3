# What is generated from the options tables and kept in the repository.

docs: $(PROGRAM)	## docs/options.md, the man page and the sample configuration
	$(PROGRAM) options --format markdown > docs/options.md
	$(PROGRAM) options --format man > docs/tailrace.1
	$(PROGRAM) options --format conf > deploy/tailrace.conf

# Fails when one of them is not what the program prints.
docs-current: $(PROGRAM)
	@$(PROGRAM) options --format markdown | diff -u docs/options.md -
	@$(PROGRAM) options --format man | diff -u docs/tailrace.1 -
	@$(PROGRAM) options --format conf | diff -u deploy/tailrace.conf -

.PHONY: docs docs-current
