// Data channels without a network: the test is the other side.

/** As much of an RTCDataChannel as is used. */
export class FakeDataChannel {
  readyState = "connecting";
  bufferedAmount = 0;
  sent = [];
  /** Whether what is sent leaves at once. */
  fast = true;

  open() {
    this.readyState = "open";
    this.onopen(new Event("open"));
  }

  send(data) {
    if (this.readyState !== "open") throw new Error("InvalidStateError");
    this.sent.push(data.slice());
    if (!this.fast) this.bufferedAmount += data.length;
  }

  /** The other side has read. */
  drain() {
    this.bufferedAmount = 0;
    this.onbufferedamountlow?.();
  }

  close() {
    this.readyState = "closed";
  }

  /** All bytes that were sent, and forget them. */
  take() {
    return Uint8Array.from(this.sent.splice(0).flatMap((message) => [...message]));
  }
}
