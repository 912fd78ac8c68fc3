"""Results of long runs: a table on the terminal and a JSON file under tests/results that says where and when."""
import datetime
import json
import os
import platform
from pathlib import Path

from .pg import ROOT

FOLDER = ROOT / "tests/results"


def machine():
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    total = Path("/proc/meminfo").read_text().split()[1]
    return {"cpu": model, "cores": os.cpu_count(), "memory_gb": round(int(total) / 2**20, 1),
            "kernel": platform.release()}


def save(name, data):
    FOLDER.mkdir(exist_ok=True)
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps({"date": now, "machine": machine(), **data}, indent=1, default=str) + "\n")
    print(f"result kept in {path.relative_to(ROOT)}")


def load(name):
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def table(rows, columns):
    """Prints dicts as aligned columns."""
    text = [[str(c) for c in columns]]
    for row in rows:
        text.append(["" if row.get(c) is None else str(row.get(c)) for c in columns])
    widths = [max(len(line[i]) for line in text) for i in range(len(columns))]
    for line in text:
        print("  ".join(cell.ljust(w) for cell, w in zip(line, widths)).rstrip())
