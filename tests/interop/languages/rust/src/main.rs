//! Acts the play of stage.py: client URL TRANSPORT.
//!
//! But not all of it: this client has no way to answer (`heard`), and sends binary data that wants an
//! answer as if it were one (`blob`).

use rust_socketio::client::Client;
use rust_socketio::{ClientBuilder, Event, Payload, TransportType};
use serde_json::{json, Value};
use std::sync::mpsc::{channel, Receiver};
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(30);

/// The next thing that happened, which has to be this one.
fn expect(events: &Receiver<(&'static str, Payload)>, name: &str) -> Payload {
    let (next, payload) = events
        .recv_timeout(WAIT)
        .unwrap_or_else(|_| panic!("{name} did not come"));
    assert_eq!(next, name, "came instead of {name}: {payload:?}");
    payload
}

/// Emits an event and waits for its answer.
fn ask(client: &Client, name: &str, args: impl Into<Payload>) -> Payload {
    let (sender, answers) = channel();
    client
        .emit_with_ack(name, args.into(), WAIT, move |payload, _| {
            sender.send(payload).unwrap()
        })
        .unwrap();
    answers
        .recv_timeout(WAIT)
        .unwrap_or_else(|_| panic!("{name} was not answered"))
}

fn values(payload: Payload) -> Vec<Value> {
    match payload {
        Payload::Text(values) => values,
        other => panic!("{other:?} instead of text"),
    }
}

/// The only value of an answer, which comes as one array.
fn answer(payload: Payload) -> Value {
    values(payload)[0][0].clone()
}

fn hex(payload: Payload) -> String {
    match payload {
        Payload::Binary(data) => data.iter().map(|byte| format!("{byte:02x}")).collect(),
        other => format!("{other:?} instead of bytes"),
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (sender, events) = channel();
    let mut builder = ClientBuilder::new(args[1].clone())
        .transport_type(match args[2].as_str() {
            "polling" => TransportType::Polling,
            "websocket" => TransportType::Websocket,
            _ => TransportType::WebsocketUpgrade,
        })
        .auth(json!({"name": "rust"}))
        .reconnect(true)
        .reconnect_delay(50, 200);
    for (event, name) in [
        (Event::Connect, "connect"),
        (Event::Close, "disconnect"),
        (Event::from("text"), "text"),
        (Event::from("binary"), "binary"),
        (Event::from("news"), "news"),
    ] {
        let sender = sender.clone();
        builder = builder.on(event, move |payload, _| {
            sender.send((name, payload)).unwrap()
        });
    }
    let client = builder.connect().unwrap();
    let data = vec![0u8, 1, 255];

    expect(&events, "connect");
    println!("connected");
    client
        .emit(
            "text",
            vec![
                json!("Grüße, 世界"),
                json!(42),
                json!({"nested": [1, null]}),
            ],
        )
        .unwrap();
    println!("text {}", Value::Array(values(expect(&events, "text"))));
    println!(
        "sum {}",
        answer(ask(&client, "sum", vec![json!(6), json!(7)]))
    );
    client.emit("binary", data).unwrap();
    println!("binary {}", hex(expect(&events, "binary")));
    client.emit("join", vec![json!("lobby")]).unwrap();
    println!(
        "news {}",
        values(expect(&events, "news"))[0].as_str().unwrap()
    );
    // With long-polling, the request that asks for it is cut off, too.
    let _ = client.emit("cut", Payload::Text(vec![]));
    expect(&events, "disconnect");
    println!("disconnected");
    expect(&events, "connect");
    println!("connected");
    println!(
        "sum {}",
        answer(ask(&client, "sum", vec![json!(1), json!(2)]))
    );
    client.disconnect().unwrap();
    expect(&events, "disconnect");
    println!("done");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}
