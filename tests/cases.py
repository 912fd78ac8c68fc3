#!/usr/bin/env python3
"""make cases: every numbered edge case as covered (by which tests), refused (with the message) or open.

Ends with 1 if a case is neither named in a test nor explained in cases.txt.
"""
import re
import sys
from collections import defaultdict
from pathlib import Path

TESTS = Path(__file__).resolve().parent


def named():
    """case -> the test files that name it"""
    found = defaultdict(set)
    for path in sorted(TESTS.rglob("*")):
        if path.suffix in (".c", ".py") and path.name != "cases.py":
            for number in re.findall(r"\bEDGE (\d+)\b", path.read_text(errors="replace")):
                found[int(number)].add(str(path.relative_to(TESTS)))
    return found


def main():
    found, counts, missing = named(), defaultdict(int), []
    for line in (TESTS / "cases.txt").read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        numbers, title, *rest = (part.strip() for part in line.split("|"))
        first, _, last = numbers.partition("-")
        n = int(last or first) - int(first) + 1
        files = found.get(int(first)) if not last else None
        if files:
            state, how = "covered", ", ".join(sorted(files))
        elif rest:
            state, _, how = rest[0].partition(":")
        else:
            state, how = "MISSING", "no test names it"
            missing.append(numbers)
        counts[state] += n
        print(f"{numbers:>7}  {state:8} {title}\n{'':17} {how.strip()}")
    print(", ".join(f"{v} {k}" for k, v in counts.items()))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
