/** Calls back what took too long: a timer for very many things that nearly always end before their time. */
export interface Deadlines {
  /** Calls back once at the time (on the clock of `performance.now`), or up to `tickMs` later, unless it is cleared. Returns what to clear it by. */
  set(atMs: number, onDeadline: () => void): number;
  /** To be called once for each that was set, also by who was called back. */
  clear(deadline: number): void;
}

/**
 * Makes deadlines that are looked at every few milliseconds, all of them, for as long as there are any. A timer of Node for each request costs
 * an object that V8 keeps with everything it refers to for longer than the request takes, when thousands come and go in a second. Here a deadline is a
 * place in two arrays.
 */
export function createDeadlines(): Deadlines {
  const times: number[] = [];
  const callbacks: ((() => void) | undefined)[] = [];
  const free: number[] = [];
  let count = 0;
  let ticking: NodeJS.Timeout | undefined;

  function tick(): void {
    if (count === 0) {
      clearInterval(ticking);
      ticking = undefined;
      return;
    }
    const now = performance.now();
    // By index: an iterator makes an array for each of them, a hundred times a second.
    for (let place = 0; place < times.length; place++) {
      if ((times[place] ?? Number.POSITIVE_INFINITY) <= now) callbacks[place]?.();
    }
  }

  return {
    set(atMs, onDeadline) {
      const place = free.pop() ?? times.length;
      times[place] = atMs;
      callbacks[place] = onDeadline;
      count += 1;
      ticking ??= setInterval(tick, tickMs);
      return place;
    },
    clear(place) {
      times[place] = Number.POSITIVE_INFINITY;
      callbacks[place] = undefined;
      free.push(place);
      count -= 1;
    },
  };
}

const tickMs = 10;
