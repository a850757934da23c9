/**
 * What one webhook's receiver has seen of each event, by the event's number. Places are those of a count over all receipts of the run, from
 * 1; 0: never. Arrays of numbers, since a run has many of them.
 */
export interface Receipts {
  /** Requests, up to 65,535. */
  count: Uint16Array;
  /** Requests that came after the first one that was answered well. */
  repeated: Uint16Array;
  firstAt: Uint32Array;
  lastAt: Uint32Array;
  /** When it was answered well for the first time. */
  takenAt: Uint32Array;
}

/** Room for the receipts of that many events. */
export function createReceipts(events: number): Receipts {
  return {
    count: new Uint16Array(events),
    repeated: new Uint16Array(events),
    firstAt: new Uint32Array(events),
    lastAt: new Uint32Array(events),
    takenAt: new Uint32Array(events),
  };
}
