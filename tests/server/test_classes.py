from __future__ import annotations

import abc
import asyncio
import functools
import gc
import logging
import re
import threading
import weakref
from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar, assert_type

import msgspec
import pytest

import nuncio
from nuncio import ConnectError, Depends, Namespace, OptionError, Server, Socket
from tests.support.aio import eventually, run_async, within
from tests.support.inbox import Inbox
from tests.support.memory import Client

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Text(msgspec.Struct):
    room: str
    body: str


class Chat(Namespace):
    """What the guide shows, and more."""

    concurrency = 3

    def __init__(self, name: str, greeting: str = "hello") -> None:
        super().__init__(name)
        self.greeting = greeting
        self.log: list[Any] = []

    @nuncio.middleware
    async def authorize(self, socket: Socket) -> None:
        await asyncio.sleep(0)
        if socket.handshake.auth.get("banned"):
            raise ConnectError("banned")
        socket.data["user"] = "ada"

    def on_connection(self, socket: Socket) -> None:
        socket.join("lobby")
        socket.emit("greeting", self.greeting)

    def on_disconnecting(self, socket: Socket, reason: str) -> None:
        self.log.append(("disconnecting", reason))

    async def on_disconnect(self, socket: Socket, reason: str, description: str) -> None:
        self.log.append(("disconnect", reason))

    async def on_message(self, socket: Socket, text: Text) -> dict[str, bool]:
        self.to(text.room).emit("message", text.body)
        return {"ok": True}

    def on_my_event(self, socket: Socket, value: int = 7) -> int:
        return self.double(value)

    def double(self, value: int) -> int:
        """A method like any other."""
        return 2 * value

    @nuncio.event
    def plain(self, socket: Socket) -> str:
        return "plain"

    @nuncio.event("name with spaces", concurrency=1)
    async def spaces(self, socket: Socket) -> str:
        return "spaces"

    @nuncio.event("a")
    @nuncio.event(name="b")
    def two_names(self, socket: Socket) -> str:
        return "two"

    @nuncio.event(concurrency=2)
    async def on_narrow(self, socket: Socket) -> str:
        return "narrow"

    @nuncio.event(thread=True)
    def on_blocking(self, socket: Socket) -> bool:
        return threading.current_thread() is not threading.main_thread()

    @staticmethod
    def on_static(socket: Socket, value: int) -> int:
        return value

    @classmethod
    def on_class(cls, socket: Socket) -> str:
        return cls.__name__


def user(socket: Socket, nsp: Namespace) -> str:
    return f"{socket.data['user']} of {nsp.name}"


class Rooms(Namespace):
    """Methods with dependencies."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.seen: list[str] = []

    @nuncio.middleware
    def identify(self, socket: Socket) -> None:
        socket.data["user"] = "ada"

    def on_connection(self, socket: Socket, name: Annotated[str, Depends(user)]) -> None:
        self.seen.append(name)

    async def on_whoami(
        self, socket: Socket, text: str, name: Annotated[str, Depends(user)], io: Server
    ) -> list[Any]:
        return [name, text, io is self.server]


async def join(io: Server, name: str, auth: str = "") -> Client:
    """A client in a namespace whose middleware is async."""
    client = Client(io)
    client.send(f"0{name},{auth}")
    await eventually(lambda: client.received)
    return client


async def ask(client: Client, nsp: str, event: str, *args: Any) -> Any:
    """The value of the answer."""
    client.emit(event, *args, id=1, nsp=f"{nsp},")
    await eventually(lambda: client.answers(1, f"{nsp},") is not None, event)
    answer = client.answers(1, f"{nsp},")
    client.take()
    assert answer is not None
    return answer[0] if answer else None


# Handlers.


@run_async
async def test_methods_handle_events() -> None:
    io = Server()
    chat = io.register(Chat("/chat", "welcome"))
    assert io.of("/chat") is chat
    assert isinstance(chat, Namespace)
    client = await join(io, "/chat")
    await eventually(lambda: len(client.received) == 2)
    assert client.take()[1] == '2/chat,["greeting","welcome"]'
    assert len(chat.sockets) == 1
    assert await ask(client, "/chat", "my_event") == 14
    assert await ask(client, "/chat", "my_event", 4) == 8
    assert await ask(client, "/chat", "plain") == "plain"
    assert await ask(client, "/chat", "name with spaces") == "spaces"
    assert await ask(client, "/chat", "a") == "two"
    assert await ask(client, "/chat", "b") == "two"
    assert await ask(client, "/chat", "narrow") == "narrow"
    assert await ask(client, "/chat", "blocking") is True
    assert await ask(client, "/chat", "static", 5) == 5
    assert await ask(client, "/chat", "class") == "Chat"
    client.emit("message", {"room": "lobby", "body": "hi"}, id=9, nsp="/chat,")
    await eventually(lambda: client.answers(9, "/chat,"))
    assert client.take()[0] == '2/chat,["message","hi"]'
    refused = await ask(client, "/chat", "message", {"room": "lobby"})
    assert refused["error"]["argument"] == "text"
    client.lose()
    await eventually(lambda: len(chat.log) == 2)
    assert chat.log == [
        ("disconnecting", "transport close"),
        ("disconnect", "transport close"),
    ]
    await io.close()


class Account(msgspec.Struct):
    name: str = ""


class Typed(Namespace[Account, int]):
    """A class that knows the types of `socket.data` and `socket.user`."""

    def on_name(self, socket: Socket[Account, int]) -> str:
        assert_type(self.sockets[socket.id].data, Account)
        return socket.data.name


@run_async
async def test_a_class_of_a_typed_namespace() -> None:
    io = Server(data=Account)
    typed = io.register(Typed("/typed"))
    assert_type(io.of("/typed", Typed).sockets, dict[str, Socket[Account, int]])
    client = Client(io)
    client.connect("/typed").data.name = "ada"
    assert await ask(client, "/typed", "name") == "ada"
    assert isinstance(typed, Namespace)


def test_the_types_of_what_is_registered() -> None:
    """Checked by mypy, strictly."""
    io = Server()
    assert_type(io.register(Chat("/a")), Chat)
    assert_type(io.of("/b", Chat), Chat)
    assert_type(io.of("/c", lambda name: Chat(name, "hi")), Chat)
    assert_type(io.of("/d"), Namespace)
    parent = io.of(re.compile("^/e"), Chat)
    assert not isinstance(parent, Chat)


@run_async
async def test_methods_that_are_no_handlers_are_not_called_by_events() -> None:
    io = Server()
    chat = io.register(Chat("/chat"))
    expected = {"message", "my_event", "plain", "name with spaces", "a", "b", "narrow"}
    assert set(chat.handlers) == expected | {"blocking", "static", "class"}
    assert set(chat.lifecycle) == {"connection", "disconnecting", "disconnect"}
    assert chat.listeners("my_event") == [chat.on_my_event]


@run_async
async def test_options_of_methods_and_of_the_class() -> None:
    io = Server(concurrency=5)
    chat = io.register(Chat("/chat"))
    assert chat.concurrency == 3
    assert [one.concurrency for one in chat.handlers["name with spaces"]] == [1]
    assert [one.concurrency for one in chat.handlers["narrow"]] == [2]
    assert [one.thread for one in chat.handlers["blocking"]] == [True]
    chat.concurrency = 4
    assert chat.concurrency == 4

    class Serial(Chat):
        concurrency = 1

    class Heir(Serial):
        pass

    assert io.register(Serial("/serial")).concurrency == 1
    assert io.register(Heir("/heir")).concurrency == 1
    assert Chat("/other").greeting == "hello"

    class Unsaid(Namespace):
        pass

    assert io.register(Unsaid("/unsaid")).concurrency == 5


@run_async
async def test_the_concurrency_of_a_class_holds() -> None:
    io = Server()
    go_on = asyncio.Event()
    begun: list[int] = []

    class Serial(Namespace):
        concurrency = 1

        async def on_work(self, socket: Socket, n: int) -> None:
            begun.append(n)
            await go_on.wait()

    io.register(Serial("/serial"))
    client = await join(io, "/serial")
    client.emit("work", 1, nsp="/serial,")
    client.emit("work", 2, nsp="/serial,")
    await eventually(lambda: begun)
    assert begun == [1]
    go_on.set()
    await eventually(lambda: begun == [1, 2])


@run_async
async def test_a_middleware_of_a_class_refuses() -> None:
    io = Server()
    io.register(Chat("/chat"))
    client = await join(io, "/chat", '{"banned":true}')
    assert client.received == ['4/chat,{"message":"banned"}']


@run_async
async def test_one_object_serves_all_clients_so_their_state_is_their_sockets() -> None:
    """Channels' CVE-2020-35681: clients that shared an object saw each other's data."""
    io = Server()

    class Accounts(Namespace):
        @nuncio.middleware
        async def authenticate(self, socket: Socket) -> None:
            name = socket.handshake.auth["user"]
            for _ in range(3 if name == "ada" else 1):
                await asyncio.sleep(0)
            socket.data["user"] = name

        async def on_whoami(self, socket: Socket, turns: int) -> str:
            for _ in range(turns):
                await asyncio.sleep(0)
            return str(socket.data["user"])

    io.register(Accounts("/accounts"))
    ada, eve = Client(io), Client(io)
    ada.send('0/accounts,{"user":"ada"}')
    eve.send('0/accounts,{"user":"eve"}')
    await eventually(lambda: ada.received and eve.received)
    for n in range(10):
        ada.emit("whoami", n % 3, id=n, nsp="/accounts,")
        eve.emit("whoami", 2 - n % 3, id=n, nsp="/accounts,")
    await eventually(lambda: not io.running)
    for n in range(10):
        assert ada.answers(n, "/accounts,") == ["ada"]
        assert eve.answers(n, "/accounts,") == ["eve"]


@run_async
async def test_methods_get_dependencies() -> None:
    io = Server()
    chat = io.register(Rooms("/rooms"))
    client = await join(io, "/rooms")
    assert await ask(client, "/rooms", "whoami", "x") == ["ada of /rooms", "x", True]
    assert chat.seen == ["ada of /rooms"]


# Inheritance.


def logged(function: F) -> F:
    """A decorator of the application's own."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return ["logged", function(*args, **kwargs)]

    return wrapper  # type: ignore[return-value]


class Typing:
    """A mixin: no namespace by itself."""

    def on_typing(self, socket: Socket) -> str:
        return "typing"

    @nuncio.event("stop typing")
    def stop(self, socket: Socket) -> str:
        return "stopped"

    @nuncio.middleware
    def check(self, socket: Socket) -> None:
        socket.data["checked"] = ["mixin"]


class Base(Namespace, abc.ABC):
    def on_a(self, socket: Socket) -> str:
        return "base a"

    def on_b(self, socket: Socket) -> str:
        return "base b"

    @nuncio.event("marked", concurrency=1)
    async def handler(self, socket: Socket) -> str:
        return "base"

    @abc.abstractmethod
    def on_abstract(self, socket: Socket) -> str:
        """To be written by heirs."""


class Heir(Typing, Base):
    def on_a(self, socket: Socket) -> str:
        return f"heir of {super().on_a(socket)}"

    on_b = None  # type: ignore[assignment]

    async def handler(self, socket: Socket) -> str:
        return f"heir of {await super().handler(socket)}"

    def on_abstract(self, socket: Socket) -> str:
        return "concrete"

    @nuncio.middleware
    def own(self, socket: Socket) -> None:
        socket.data["checked"].append("own")

    @logged
    @nuncio.event("wrapped")
    def inside(self, socket: Socket) -> str:
        return "inside"


@run_async
async def test_handlers_are_inherited_and_overridden() -> None:
    io = Server()
    heir = io.register(Heir("/heir"))
    client = await join(io, "/heir")
    assert await ask(client, "/heir", "a") == "heir of base a"
    assert await ask(client, "/heir", "marked") == "heir of base"
    assert await ask(client, "/heir", "abstract") == "concrete"
    assert await ask(client, "/heir", "typing") == "typing"
    assert await ask(client, "/heir", "stop typing") == "stopped"
    assert await ask(client, "/heir", "wrapped") == ["logged", "inside"]
    # Overridden, it handles the events it handled; None handles nothing.
    assert {event: len(found) for event, found in heir.handlers.items()} == {
        "a": 1,
        "marked": 1,
        "abstract": 1,
        "typing": 1,
        "stop typing": 1,
        "wrapped": 1,
    }
    assert heir.handlers["marked"][0].concurrency == 1
    [socket] = heir.sockets.values()
    assert socket.data["checked"] == ["mixin", "own"]


def test_a_class_that_is_abstract_or_generic() -> None:
    # Compiled, Python's own check when the object is made is passed over.
    with pytest.raises((TypeError, OptionError), match=r"abstract.* on_abstract"):
        Server().register(Base("/base"))  # type: ignore[abstract]

    class Store(Namespace, Generic[T]):
        pass

    assert Server().register(Store[int]("/store")).name == "/store"


@run_async
async def test_what_a_class_sends_differently_is_sent_differently() -> None:
    io = Server()

    class Loud(Namespace):
        def emit(self, event: str, *args: object) -> nuncio.Sent:
            return super().emit(event.upper(), *args)

    io.register(Loud("/"))
    client = Client.join(io)
    io.emit("news")
    assert client.received == ['2["NEWS"]']


# Registration.


def test_of_makes_an_object_of_a_class_once() -> None:
    io = Server()
    chat = io.of("chat", Chat)
    assert (type(chat), chat.name, chat.server) == (Chat, "/chat", io)
    assert io.of("/chat", Chat) is chat
    assert io.of("chat") is chat
    grace = io.of("/grace", lambda name: Chat(name, "hello Grace"))
    assert grace.greeting == "hello Grace"
    assert io.of("/partial", functools.partial(Chat, greeting="hi")).greeting == "hi"
    for factory in (Rooms, lambda name: Chat(name)):
        with pytest.raises(OptionError, match="the namespace /chat is there already"):
            io.of("/chat", factory)


def test_an_object_is_registered_under_its_name() -> None:
    io = Server()
    made: list[Namespace] = []
    io.on("new_namespace", made.append)
    chat = io.register(Chat("chat"))
    assert chat.name == "/chat"
    assert made == [chat]
    with pytest.raises(OptionError, match="the namespace /chat is registered already"):
        io.register(chat)
    with pytest.raises(OptionError, match="the namespace /chat is there already"):
        io.register(Chat("/chat"))
    with pytest.raises(OptionError, match="cannot hold a comma"):
        io.register(Chat("/a,b"))


class Main(Namespace):
    def on_now(self, socket: Socket) -> str:
        return "now"


@run_async
async def test_the_default_namespace_may_be_a_class() -> None:
    io = Server()
    # Another namespace does not ask for it.
    io.register(Chat("/chat"))
    main = io.register(Main("/"))
    assert io.sockets is io.of("/") is main
    io.on("after", lambda socket: "after")
    client = Client.join(io)
    for id, event in enumerate(("now", "after")):
        client.emit(event, id=id)
        assert client.answers(id) == [event]
    assert isinstance(Server().of("/", Main), Main)


@run_async
async def test_the_default_namespace_cannot_be_replaced() -> None:
    registered = Server()
    registered.on("message", lambda socket: None)
    visited = Server()
    Client.join(visited)
    for io in (registered, visited):
        with pytest.raises(OptionError, match="/ is there already: register its class before any"):
            io.register(Main("/"))


@run_async
async def test_handlers_may_be_registered_when_an_object_is_made() -> None:
    io = Server()

    class Made(Namespace):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.on("early", lambda socket: "early")
            self.use(self.enter)

        def enter(self, socket: Socket) -> None:
            socket.data["entered"] = True

        def on_entered(self, socket: Socket) -> bool:
            return bool(socket.data["entered"])

    io.register(Made("/made"))
    client = await join(io, "/made")
    assert await ask(client, "/made", "early") == "early"
    assert await ask(client, "/made", "entered") is True


def test_an_object_without_a_server_says_so() -> None:
    with pytest.raises(OptionError, match="the namespace /chat belongs to no server: give it to"):
        Chat("/chat").server.limits  # noqa: B018


# Made when a client asks.


class Room(Namespace):
    concurrency = 2

    def on_name(self, socket: Socket) -> str:
        return self.name


@run_async
async def test_dynamic_namespaces_are_objects_of_a_class() -> None:
    io = Server()
    rooms = io.of(re.compile(r"^/room-\d+$"), Room)
    rooms.on("name", lambda socket: None)
    halls = io.of(lambda name: name.startswith("/hall-"), lambda name: Room(name))

    @rooms.use
    def enter(socket: Socket) -> None:
        socket.data["by"] = "the parent's middleware"

    client = Client(io)
    for name, parent in (("/room-1", rooms), ("/room-2", rooms), ("/hall-1", halls)):
        socket = client.connect(name)
        assert isinstance(socket.nsp, Room)
        assert socket.nsp.concurrency == 2
        assert parent.children[name] is socket.nsp
        assert socket.data.get("by") == ("the parent's middleware" if parent is rooms else None)
        assert await ask(client, name, "name") == name
    rooms.emit("news")
    assert client.received == ['2/room-1,["news"]', '2/room-2,["news"]']
    assert isinstance(io.of("/room-3"), Room)


@run_async
async def test_a_dynamic_namespace_that_cannot_be_made_is_not_there() -> None:
    io = Server()
    errors = Inbox()
    io.on_error(errors.put)

    async def wanted(name: str) -> bool:
        await asyncio.sleep(0)
        return name == "/later"

    def fails(name: str) -> Room:
        raise KeyError(name)

    io.of(re.compile("^/wrong$"), fails)
    io.of(wanted, fails)
    client = Client(io)
    for name in ("/wrong", "/later"):
        client.send(f"0{name},")
        await eventually(lambda: client.received)
        assert client.take() == [f'4{name},{{"message":"Invalid namespace"}}']
        assert str((await errors.next())[0]) == repr(name)
    with pytest.raises(OptionError, match="factory must be a class or a function, not 'Room'"):
        io.of(re.compile("x"), "Room")  # type: ignore[call-overload]


def test_what_cannot_be_registered() -> None:
    io = Server()
    with pytest.raises(OptionError, match=r'register an object: io.register\(Chat\("/name"\)\)'):
        io.register(Chat)  # type: ignore[type-var]
    with pytest.raises(OptionError, match=r"derived from nuncio.Namespace, not 'chat'"):
        io.register("chat")  # type: ignore[type-var]
    with pytest.raises(OptionError, match=r"derived from nuncio.Namespace, not None"):
        io.of("/chat", lambda name: None)  # type: ignore[type-var]

    class Forgets(Namespace):
        def __init__(self) -> None:
            pass

    with pytest.raises(OptionError, match=r"Forgets.__init__ must call super\(\).__init__"):
        io.register(Forgets())
    assert io._namespaces == {}


@run_async
async def test_an_object_that_is_no_longer_used_is_freed() -> None:
    io = Server()

    class Short(Chat):
        """The first object of its class teaches what the others are registered by."""

    found = weakref.ref(io.register(Short("/short")))
    del io._namespaces["/short"]
    gc.collect()
    assert found() is None


@run_async
async def test_later_objects_of_a_class_are_like_the_first() -> None:
    io = Server()
    client = Client(io)
    for name in ("/one", "/two"):
        rooms, chat = io.register(Rooms(name)), io.register(Chat(f"{name}/chat", name))
        client.connect(name)
        assert await ask(client, name, "whoami", "x") == [f"ada of {name}", "x", True]
        assert rooms.seen == [f"ada of {name}"]
        assert rooms.listeners("whoami") == [rooms.on_whoami]
        rooms.off("whoami", rooms.on_whoami)
        assert rooms.listeners("whoami") == []
        client.send(f"0{name}/chat,")
        await eventually(lambda: len(client.received) == 2)
        assert str(client.take()[1]) == f'2{name}/chat,["greeting","{name}"]'
        assert await ask(client, f"{name}/chat", "blocking") is True
        assert await ask(client, f"{name}/chat", "class") == "Chat"
        assert await ask(client, f"{name}/chat", "static", 3) == 3
        refused = await ask(client, f"{name}/chat", "message", 3)
        assert refused["error"]["argument"] == "text"
        assert [one.concurrency for one in chat.handlers["narrow"]] == [2]


# Mistakes.


def test_a_method_that_cannot_be_a_handler_is_named() -> None:
    class Wrong(Namespace):
        def on_message(self, socket: Socket, *, keyword: int) -> None: ...

    class Forgotten(Namespace):
        def on_message(socket, text: str) -> None: ...

    class Peer(Namespace):
        def on_connect(self, sid: Any, environ: Any) -> None: ...

    class Client(Namespace):
        def on_connect_error(self, socket: Socket) -> None: ...

    class Waits(Namespace):
        @nuncio.event(thread=True)
        async def on_message(self, socket: Socket) -> None: ...

    for kind, text in (
        (Wrong, r"Wrong.on_message: the handler of 'message' has the keyword-only parameter"),
        (Forgotten, r"Forgotten.on_message: the first parameter of a method is self"),
        (Peer, r"Peer.on_connect: the handler of 'connect' is called with the socket and nothing"),
        (Client, r"Client.on_connect_error: event: connect_error happens at clients"),
        (Waits, r"Waits.on_message: the handler of 'message' is async: thread=True"),
    ):
        with pytest.raises(OptionError, match=text):
            Server().register(kind("/wrong"))


def test_names_that_could_mean_something_else_are_refused() -> None:
    class Errors(Namespace):
        def on_error(self, error: Exception) -> None: ...

    class Everything(Namespace):
        def on_any(self, socket: Socket, event: str) -> None: ...

    class Meant(Namespace):
        @nuncio.event("error")
        def on_error(self, socket: Socket) -> None: ...

    with pytest.raises(OptionError, match=r'on_error: .* io.on_error; .*@nuncio.event\("error"\)'):
        Server().register(Errors("/errors"))
    with pytest.raises(OptionError, match=r"on_any: a namespace has no catch-all handlers"):
        Server().register(Everything("/everything"))
    assert list(Server().register(Meant("/meant")).handlers) == ["error"]


def test_a_class_cannot_hide_what_nuncio_needs() -> None:
    with pytest.raises(OptionError, match=r"Welcoming.welcome would hide nuncio.Namespace.welcome"):

        class Welcoming(Namespace):
            def welcome(self, user: str) -> None: ...  # type: ignore[override]

    with pytest.raises(OptionError, match=r"Sending.send would hide .*@nuncio.event\(\"send\"\)"):

        class Sending(Namespace):
            @nuncio.event
            def send(self, socket: Socket) -> None: ...  # type: ignore[override]

    with pytest.raises(OptionError, match=r"Named.name would hide nuncio.Namespace.name"):

        class Named(Namespace):
            name = "/chat"

    class Mixin:
        def remove(self) -> None: ...

    with pytest.raises(OptionError, match=r"Mixin.remove would hide nuncio.Namespace.remove"):

        class Mixed(Mixin, Namespace):  # type: ignore[misc]
            pass

    with pytest.raises(OptionError, match=r"Many.concurrency must be a whole number"):

        class Many(Namespace):
            concurrency = 0


def test_decorators_are_for_methods() -> None:
    def function(socket: Socket) -> None: ...

    with pytest.raises(
        OptionError, match=r"nuncio.event is for methods .*function is none: use io"
    ):
        nuncio.event(function)
    with pytest.raises(OptionError, match=r"nuncio.middleware is for methods .* use io.use"):
        nuncio.middleware(function)
    with pytest.raises(
        OptionError, match="a handler has no option 'threat'; did you mean 'thread'"
    ):
        nuncio.event(threat=True)


@run_async
async def test_what_a_method_raises_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    io = Server()
    errors = Inbox()
    io.on_error(errors.put)

    class Broken(Namespace):
        def on_message(self, socket: Socket) -> None:
            raise KeyError("broken")

    io.register(Broken("/broken"))
    client = await join(io, "/broken")
    with caplog.at_level(logging.CRITICAL):
        client.emit("message", nsp="/broken,")
    error, socket, event = await within(errors.next())
    assert (type(error), socket.nsp.name, event) == (KeyError, "/broken", "message")
