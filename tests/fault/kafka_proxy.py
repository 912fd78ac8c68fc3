"""A link between the agent and a Kafka broker that understands the protocol's framing: it can delay and
cut, and hold a chosen request or its answer until it is released.

Requests are length, api key, api version, correlation id ...; answers are length, correlation id ...,
in the order of the requests of a connection.
"""
import asyncio
import struct
import threading

from tests.lib.pg import free_port

PRODUCE, ADD_PARTITIONS, END_TXN = 0, 24, 26


class Hold:
    """The next `count` frames of one kind stay here; a held request keeps its connection to the broker
    open, whatever its client does meanwhile."""

    def __init__(self, api, answer, count):
        self.api, self.answer, self.left = api, answer, count
        self.frames = []        # (writer, bytes)
        self.caught = threading.Event()

    def wait(self, timeout=30):
        assert self.caught.wait(timeout), f"no frame of api {self.api} came"


class KafkaProxy:
    """Runs in a thread of its own; all methods may be called from the test."""

    def __init__(self, target_port):
        self.target, self.port = target_port, free_port()
        self.delay = 0.0
        self.holds, self.links, self.tasks = [], set(), set()
        self.dead = False       # half-open: connections stand, and are made, but nothing comes through
        self.counts = {}        # api -> requests that came
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

    # --- what a test does

    def hold(self, api, answer=False, count=1):
        h = Hold(api, answer, count)
        self.loop.call_soon_threadsafe(self.holds.append, h)
        return h

    def release(self, h):
        """Held requests reach the broker now."""
        async def send():
            for writer, data in h.frames:
                writer.write(data)
                await writer.drain()
        self.call(send())

    def drop(self, h):
        """Nothing more is held of this kind; what was held is gone."""
        async def forget():
            if h in self.holds:
                self.holds.remove(h)
            h.frames.clear()
        self.call(forget())

    def cut(self):
        """Every connection of the clients ends at once."""
        async def cut_all():
            for w in list(self.links):
                w.transport.abort()
        self.call(cut_all())

    # --- frames

    def catch(self, api, answer, writer, data):
        for h in self.holds:
            if h.api == api and h.answer == answer and h.left > 0:
                h.left -= 1
                h.frames.append((writer, data))
                h.caught.set()
                return True
        return False

    async def accept(self, reader, writer):
        self.tasks.add(asyncio.current_task())      # the loop itself would forget it
        asyncio.current_task().add_done_callback(self.tasks.discard)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self.links.add(writer)
        apis = {}
        back = asyncio.create_task(self.answers(far_reader, writer, apis))
        try:
            held = await self.requests(reader, far_writer, apis)
        except (OSError, asyncio.IncompleteReadError):
            held = any(w is far_writer for h in self.holds for w, _ in h.frames)
        self.links.discard(writer)
        writer.transport.abort()
        if not held:        # otherwise the broker still gets what is held, on this connection
            far_writer.transport.abort()
        await asyncio.gather(back, return_exceptions=True)

    async def requests(self, reader, far_writer, apis):
        while True:
            size = await reader.readexactly(4)
            body = await reader.readexactly(struct.unpack(">i", size)[0])
            api, _, correlation = struct.unpack(">hhi", body[:8])
            apis[correlation] = api
            self.counts[api] = self.counts.get(api, 0) + 1
            if self.delay:
                await asyncio.sleep(self.delay)
            if self.dead:
                continue
            if self.catch(api, False, far_writer, size + body):
                continue
            far_writer.write(size + body)
            await far_writer.drain()

    async def answers(self, far_reader, writer, apis):
        try:
            while True:
                size = await far_reader.readexactly(4)
                body = await far_reader.readexactly(struct.unpack(">i", size)[0])
                api = apis.pop(struct.unpack(">i", body[:4])[0], None)
                if not self.dead and not self.catch(api, True, writer, size + body):
                    writer.write(size + body)
                    await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            writer.transport.abort()


