"""A TCP link between the agent and its source that can be slow, cut, refused or dead without saying so."""
import asyncio
import threading

from tests.lib.pg import free_port

CHUNK = 64 * 1024


class Link:
    """One connection of the agent and ours to the server."""

    def __init__(self, near, far):
        self.writers = (near, far)
        self.open = asyncio.Event()     # cleared: nothing passes any more, nobody is told
        self.open.set()

    def abort(self):
        for w in self.writers:
            w.transport.abort()


class Proxy:
    """Runs in a thread of its own; all methods may be called from the test."""

    def __init__(self, target_port):
        self.target = target_port
        self.port = free_port()
        self.delay = 0.0            # seconds that each piece takes, each way
        self.refusing = False
        self.accepted = 0
        self.links = set()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        self.listener = self.call(asyncio.start_server(self.accept, "127.0.0.1", self.port))
        return self

    def __exit__(self, *exc):
        self.call(self.end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def end(self):
        self.listener.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def url(self, dbname):
        return f"postgresql://postgres@127.0.0.1:{self.port}/{dbname}?sslmode=disable"

    async def accept(self, reader, writer):
        self.accepted += 1
        if self.refusing:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, far_writer)
        self.links.add(link)
        try:
            await asyncio.gather(self.pump(link, reader, far_writer), self.pump(link, far_reader, writer))
        finally:
            self.links.discard(link)
            link.abort()

    async def pump(self, link, reader, writer):
        try:
            while True:
                data = await reader.read(CHUNK)
                await link.open.wait()
                if not data:
                    writer.write_eof()
                    return
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
        except (OSError, RuntimeError):
            link.abort()

    # --- what a test does to it

    def cut(self):
        """Every connection is reset; gives how many there were."""
        async def abort():
            links = list(self.links)
            for link in links:
                link.open.set()
                link.abort()
            return len(links)
        return self.call(abort())

    def halt(self):
        """The connections of now stay open and carry nothing ever again; new ones work."""
        async def close():
            links = list(self.links)
            for link in links:
                link.open.clear()
            return len(links)
        return self.call(close())
