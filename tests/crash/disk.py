"""What a disk may hold after a loss of power.

Reads the record that iolog.c made of a process's writes and syncs, replays it up to any instant, and
makes one of the states that the file system may come back with:

- what was synced is there;
- writes since the last sync of a file: any of them, page by page, in any order; a file may have its
  new length without its new bytes;
- changes of a folder (new names, renames, removals) since the last sync of that folder: any of them.
  A synced file whose name was never synced is lost.

That is harsher than ext4 and what POSIX allows.
"""

import mmap
import os
import shutil
import struct

HEADER = struct.Struct("=IB3xIIQQQ")
MAGIC = 0x676F4C49
PAGE = 4096
MODES = ("nothing", "all", "prefix", "subset")


class Blind(Exception):
    """The record has something in it that cannot be replayed."""


class Record:
    """The file that iolog.so wrote, as a list of operations."""

    def __init__(self, path):
        self.file = open(path, "rb")
        self.map = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_READ)
        self.at = []
        at, end = 0, len(self.map)
        while at + HEADER.size <= end:
            magic, _, path_n, data_n, _, _, _ = HEADER.unpack_from(self.map, at)
            if magic != MAGIC:
                raise Blind(f"{path}: no operation at byte {at}")
            after = at + HEADER.size + path_n + data_n
            if after > end:
                break
            self.at.append(at)
            at = after

    def __len__(self):
        return len(self.at)

    def kind(self, i):
        return chr(self.map[self.at[i] + 4])

    def __getitem__(self, i):
        at = self.at[i]
        _, kind, path_n, data_n, ino, offset, aux = HEADER.unpack_from(self.map, at)
        at += HEADER.size
        path = self.map[at:at + path_n].decode()
        data = (at + path_n, data_n)
        return chr(kind), ino, offset, aux, path, data

    def bytes(self, data):
        return self.map[data[0]:data[0] + data[1]]


class File:
    def __init__(self):
        self.durable = bytearray()
        self.pending = []       # (index, offset, bytes) or (index, length, None)

    def sync(self, before):
        for index, where, what in self.pending:
            if index < before:
                apply(self.durable, where, what)
        self.pending = [p for p in self.pending if p[0] >= before]

    def content(self, rng, mode):
        image = bytearray(self.durable)
        for where, what, kept in choose(pages(self.pending), rng, mode):
            if kept:
                apply(image, where, what)
            elif what is not None and mode == "subset" and rng.random() < 0.25:
                if len(image) < where + len(what):
                    apply(image, where + len(what), None)
        return image


class Folder:
    def __init__(self):
        self.durable = {}
        self.live = {}
        self.pending = []       # (index, old name or None, new name or None, object)

    def change(self, index, old, new, node):
        if old is not None:
            self.live.pop(old, None)
        if new is not None:
            self.live[new] = node
        self.pending.append((index, old, new, node))

    def sync(self, before):
        for index, old, new, node in self.pending:
            if index < before:
                rename(self.durable, old, new, node)
        self.pending = [p for p in self.pending if p[0] >= before]

    def content(self, rng, mode):
        names = dict(self.durable)
        changes = [((old, new), node) for _, old, new, node in self.pending]
        for (old, new), node, kept in choose(changes, rng, mode):
            if kept:
                rename(names, old, new, node)
        return names


def apply(image, where, what):
    """A write at `where`, or (what None) a new length."""
    if what is None:
        if where < len(image):
            del image[where:]
        else:
            image.extend(bytes(where - len(image)))
        return
    if len(image) < where:
        image.extend(bytes(where - len(image)))
    image[where:where + len(what)] = what


def rename(names, old, new, node):
    if old is not None:
        names.pop(old, None)
    if new is not None:
        names[new] = node


def pages(pending):
    """The writes in pieces that reach the disk one by one."""
    for _, where, what in pending:
        if what is None:
            yield where, None
            continue
        done = 0
        while done < len(what):
            n = min(PAGE - (where + done) % PAGE, len(what) - done)
            yield where + done, what[done:done + n]
            done += n


def choose(items, rng, mode):
    """Each item with whether it reached the disk."""
    items = list(items)
    chance = rng.choice((0.1, 0.5, 0.9))
    first = {"nothing": 0, "all": len(items)}.get(mode, rng.randint(0, len(items)))
    for i, (where, what) in enumerate(items):
        yield where, what, rng.random() < chance if mode == "subset" else i < first


class Disk:
    """The state after the first `index` operations of a record."""

    def __init__(self, record):
        self.record = record
        self.index = 0
        self.roots = {}         # path -> Folder
        self.nodes = {}         # inode number -> File or Folder
        self.syncs = {}         # number -> (node, index of its begin)
        self.acknowledged = 0   # the last LSN that the source may have been told

    def folder_of(self, path):
        """(Folder, last name)"""
        for root, node in self.roots.items():
            if path.startswith(root + "/"):
                *folders, name = path[len(root) + 1:].split("/")
                for f in folders:
                    node = node.live[f]
                return node, name
        raise Blind(f"{path} is not under a watched directory")

    def lookup(self, path):
        if path in self.roots:
            return self.roots[path]
        folder, name = self.folder_of(path)
        return folder.live.get(name)

    def advance(self, index):
        while self.index < index:
            self.step(self.index, *self.record[self.index])
            self.index += 1

    def step(self, i, kind, ino, offset, aux, path, data):
        if kind == "W":
            self.nodes[ino].pending.append((i, offset, self.record.bytes(data)))
        elif kind == "T":
            self.nodes[ino].pending.append((i, offset, None))
        elif kind == "B":
            self.syncs[aux] = (self.nodes[ino], i)
        elif kind == "E":
            node, begun = self.syncs.pop(aux)
            node.sync(begun)
        elif kind == "A":
            self.acknowledged = max(self.acknowledged, offset)
        elif kind in "CD":
            node = File() if kind == "C" else Folder()
            self.nodes[ino] = node
            folder, name = self.folder_of(path)
            folder.change(i, None, name, node)
        elif kind == "O":
            if self.lookup(path) is not self.nodes.get(ino):
                raise Blind(f"{path} is not the file that the record knows")
        elif kind == "M":
            self.move(i, *path.split("\0"))
        elif kind in "UX":
            folder, name = self.folder_of(path)
            folder.change(i, name, None, None)
        elif kind == "R":
            if path not in self.roots:
                self.roots[path] = self.nodes[ino] = Folder()
            self.syncs.clear()  # a new process: what the old one was syncing never ended
        else:
            raise Blind(f"operation {i}: {path or kind}")

    def move(self, i, old, new):
        source, old_name = self.folder_of(old)
        target, new_name = self.folder_of(new)
        node = source.live[old_name]
        if source is target:
            source.change(i, old_name, new_name, node)
        else:
            source.change(i, old_name, None, None)
            target.change(i, None, new_name, node)

    def materialise(self, rng, mode=None, spared=None):
        """Writes one possible state to the watched directories themselves; mode None mixes.  `spared` is
        a directory on another machine, whose disk did not lose power."""
        for path, node in self.roots.items():
            shutil.rmtree(path, ignore_errors=True)
            self.make(path, node, rng, "all" if path == spared else mode)

    def make(self, path, node, rng, mode):
        own = mode or rng.choice(MODES)
        content = node.content(rng, own)
        if isinstance(node, File):
            with open(path, "wb") as f:
                f.write(content)
            return
        os.mkdir(path)
        for name, child in content.items():
            self.make(os.path.join(path, name), child, rng, mode)


def cuts(record, rng, count):
    """Instants worth cutting at: half of them anywhere, half just before or after something that counts."""
    marked = [i for i in range(len(record)) if record.kind(i) in "EBMUA"]
    chosen = {rng.randint(1, len(record)) for _ in range(count // 2)}
    for _ in range(10 * count):
        if len(chosen) >= min(count, len(record)) or not marked:
            break
        chosen.add(min(len(record), rng.choice(marked) + rng.choice((0, 1))))
    return sorted(chosen)
