/** The database crashed since an event was written, which may be lost with it: the event has to be taken from the broker once more. */
export class EventInDoubt extends Error {
  override readonly name = "EventInDoubt";

  constructor() {
    super("the database crashed after the event was written: it comes again");
  }
}
