import io.socket.client.Ack;
import io.socket.client.IO;
import io.socket.client.Socket;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.json.JSONArray;
import org.json.JSONObject;

/** Acts the play of stage.py: Client URL TRANSPORT. */
public class Client {
    private static final long WAIT = 30;
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    private record Event(String name, Object[] args) {}

    private final BlockingQueue<Event> events = new LinkedBlockingQueue<>();
    private final Socket socket;

    private Client(String url, String transport) {
        socket = IO.socket(URI.create(url), IO.Options.builder()
            .setTransports(transport.equals("upgrade") ? new String[] {"polling", "websocket"} : new String[] {transport})
            .setAuth(Collections.singletonMap("name", "java"))
            .setReconnectionDelay(50)
            .setReconnectionDelayMax(200)
            .setRandomizationFactor(0)
            .build());
        for (String name : new String[] {"connect", "disconnect", "text", "heard", "binary", "news"}) {
            socket.on(name, args -> events.add(new Event(name, args)));
        }
        socket.on("multiply", args -> ((Ack) args[2]).call((int) args[0] * (int) args[1]));
    }

    /** Takes the next thing that happened, which has to be this one. */
    private Object[] expect(String name) throws Exception {
        Event next = events.poll(WAIT, TimeUnit.SECONDS);
        if (next == null || !next.name.equals(name)) {
            throw new AssertionError(next + " came instead of " + name);
        }
        return next.args;
    }

    /** Emits an event and waits for its answer. */
    private Object ask(String name, Object... args) throws Exception {
        CompletableFuture<Object> answer = new CompletableFuture<>();
        socket.emit(name, args, values -> answer.complete(values[0]));
        return answer.get(WAIT, TimeUnit.SECONDS);
    }

    private static void show(String word, Object... values) {
        StringBuilder line = new StringBuilder(word);
        for (Object value : values) {
            line.append(' ');
            if (value instanceof byte[] bytes) {
                for (byte b : bytes) {
                    line.append(String.format("%02x", b));
                }
            } else {
                line.append(value);
            }
        }
        OUT.println(line);
    }

    private void act() throws Exception {
        byte[] data = {0, 1, (byte) 255};
        socket.connect();
        expect("connect");
        show("connected");
        socket.emit("text", "Grüße, 世界", 42, new JSONObject().put("nested", new JSONArray().put(1).put(JSONObject.NULL)));
        show("text", new JSONArray(expect("text")));
        show("sum", ask("sum", 6, 7));
        socket.emit("question");
        show("heard", expect("heard"));
        socket.emit("binary", data);
        show("binary", expect("binary"));
        show("blob", ask("blob", data));
        socket.emit("join", "lobby");
        show("news", expect("news"));
        socket.emit("cut");
        expect("disconnect");
        show("disconnected");
        expect("connect");
        show("connected");
        show("sum", ask("sum", 1, 2));
        socket.disconnect();
        expect("disconnect");
        show("done");
        System.in.readAllBytes();
    }

    public static void main(String[] args) throws Exception {
        int status = 1;
        try {
            new Client(args[0], args[1]).act();
            status = 0;
        } catch (Throwable problem) {
            problem.printStackTrace();
        }
        // The client's own threads would keep the program running.
        System.exit(status);
    }
}
