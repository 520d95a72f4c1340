/** Reads `text/event-stream`, as EventSource does, except that it never connects again. */

export class EventReader {
  private readonly _decoder = new TextDecoder();
  private _line = "";
  private _type = "";
  private _data: string[] = [];
  private _id = "";

  /** @param _dispatch called with each event, as listeners of an EventSource are. */
  constructor(private readonly _dispatch: (event: { type: string; data: string; lastEventId: string }) => void) {}

  /** Take some more bytes. */
  feed(bytes: Uint8Array): void {
    const text = this._line + this._decoder.decode(bytes, { stream: true });
    // A CR at the end may be half of a line's end.
    const lines = text.split(/\r\n|\n|\r(?!$)/);
    this._line = lines.pop()!;
    for (const line of lines) this._take(line);
  }

  private _take(line: string): void {
    if (!line) return this._finish();
    const [, field, value = ""] = /^([^:]*)(?:: ?([^]*))?$/.exec(line)!;
    if (field === "data") this._data.push(value);
    else if (field === "event") this._type = value;
    else if (field === "id") this._id = value;
  }

  private _finish(): void {
    const { _data: data, _type: type, _id: lastEventId } = this;
    this._data = [];
    this._type = "";
    if (data.length) this._dispatch({ type: type || "message", data: data.join("\n"), lastEventId });
  }
}
