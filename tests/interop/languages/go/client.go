// Acts the play of stage.py: client URL TRANSPORT.
package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/zishang520/socket.io/clients/engine/v3/transports"
	client "github.com/zishang520/socket.io/clients/socket/v3"
	server "github.com/zishang520/socket.io/servers/socket/v3"
	"github.com/zishang520/socket.io/v3/pkg/types"
)

const wait = 30 * time.Second

type event struct {
	name string
	args []any
}

var events = make(chan event, 100)

func fail(values ...any) {
	fmt.Fprintln(os.Stderr, values...)
	os.Exit(1)
}

// expect takes the next thing that happened, which has to be this one.
func expect(name string) []any {
	select {
	case next := <-events:
		if next.name != name {
			fail(next, "came instead of", name)
		}
		return next.args
	case <-time.After(wait):
		fail(name, "did not come")
	}
	return nil
}

// ask emits an event and waits for its answer.
func ask(socket *client.Socket, name string, args ...any) any {
	answer := make(chan []any, 1)
	socket.Emit(name, append(args, server.Ack(func(values []any, err error) {
		if err != nil {
			fail(err)
		}
		answer <- values
	}))...)
	select {
	case values := <-answer:
		return values[0]
	case <-time.After(wait):
		fail(name, "was not answered")
	}
	return nil
}

// inHex writes a binary value.
func inHex(value any) string {
	reader, ok := value.(io.Reader)
	if !ok {
		return fmt.Sprintf("%T instead of bytes", value)
	}
	data, err := io.ReadAll(reader)
	if err != nil {
		fail(err)
	}
	return hex.EncodeToString(data)
}

func inJSON(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		fail(err)
	}
	return string(data)
}

func main() {
	url, transport := os.Args[1], os.Args[2]
	options := client.DefaultOptions()
	options.SetAuth(map[string]any{"name": "go"})
	options.SetReconnectionDelay(50)
	options.SetReconnectionDelayMax(200)
	options.SetRandomizationFactor(0)
	options.SetTimeout(time.Second)
	switch transport {
	case "polling":
		options.SetTransports(types.NewSet(transports.Polling))
	case "websocket":
		options.SetTransports(types.NewSet(transports.WebSocket))
	default:
		options.SetTransports(types.NewSet(transports.Polling, transports.WebSocket))
	}
	// A socket that connects while its manager does may join twice, which ends the connection.
	options.SetAutoConnect(false)
	manager := client.NewManager(url, options)
	// It may also miss that its own connection has opened, and then tries again after the time-out.
	opened := make(chan error, 1)
	for attempt := 1; ; attempt++ {
		manager.Open(func(err error) { opened <- err })
		err := <-opened
		if err == nil {
			break
		}
		if attempt == 5 {
			fail(err)
		}
	}
	socket := manager.Socket("/", options)
	for _, name := range strings.Fields("connect disconnect text heard binary news") {
		socket.On(types.EventName(name), func(args ...any) { events <- event{name, args} })
	}
	socket.On("multiply", func(args ...any) {
		answer := args[2].(server.Ack)
		answer([]any{args[0].(float64) * args[1].(float64)}, nil)
	})
	data := []byte{0, 1, 255}
	socket.Connect()

	expect("connect")
	fmt.Println("connected")
	socket.Emit("text", "Grüße, 世界", 42, map[string]any{"nested": []any{1, nil}})
	fmt.Println("text", inJSON(expect("text")))
	fmt.Println("sum", ask(socket, "sum", 6, 7))
	socket.Emit("question")
	fmt.Println("heard", expect("heard")[0])
	socket.Emit("binary", data)
	fmt.Println("binary", inHex(expect("binary")[0]))
	fmt.Println("blob", inHex(ask(socket, "blob", data)))
	socket.Emit("join", "lobby")
	fmt.Println("news", expect("news")[0])
	socket.Emit("cut")
	expect("disconnect")
	fmt.Println("disconnected")
	expect("connect")
	fmt.Println("connected")
	fmt.Println("sum", ask(socket, "sum", 1, 2))
	socket.Disconnect()
	expect("disconnect")
	fmt.Println("done")
	io.Copy(io.Discard, os.Stdin)
}
