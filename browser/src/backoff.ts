/** How long to wait before the next attempt to reconnect: twice as long each time, up to a limit. */

export class Backoff {
  attempts = 0;

  /**
   * @param min the first delay.
   * @param max the longest.
   * @param jitter by which part of itself a delay may differ, so that clients do not come together.
   */
  constructor(
    public min: number,
    public max: number,
    public jitter: number,
  ) {}

  /** The next delay. */
  duration(): number {
    let delay = this.min * 2 ** this.attempts++;
    const random = Math.random();
    const deviation = Math.floor(random * this.jitter * delay);
    if (this.jitter > 0 && this.jitter <= 1) {
      delay += Math.floor(random * 10) % 2 ? deviation : -deviation;
    }
    return Math.trunc(Math.min(delay, this.max));
  }

  /** Begin anew. */
  reset(): void {
    this.attempts = 0;
  }
}
