import pg from "pg";

/** What a statement fails with that was not answered in time. The connection is closed: nobody knows what it is doing. */
export class SilentDatabaseError extends Error {
  override readonly name = "SilentDatabaseError";
  readonly code = "ETIMEDOUT";
}

/**
 * A client of `pg` whose statements wait for an answer for so many milliseconds at most.
 *
 * It stands in place of the option `query_timeout`, for what that one costs: with it, and wherever `pg` makes the promise itself, the callback of a
 * query refers to the query, and V8 then keeps a good part of them, with all of their parameters, beyond the collection of young objects.
 * The collections take tens of milliseconds then instead of one, and the process some hundred megabytes more. Here neither refers to the other.
 */
export function boundedClient(timeoutMs: number): typeof pg.Client {
  class BoundedClient extends pg.Client {}
  const unbounded = pg.Client.prototype.query as Query;
  const bounded: Query = function query(this: pg.Client, config, values, callback) {
    const [parameters, listener] = isListener(values) ? [undefined, values] : [values, callback];
    // Cursors and the like have callbacks of their own.
    if (isSubmittable(config)) return unbounded.call(this, config, parameters, listener);
    const answers = listener === undefined ? Promise.withResolvers<unknown>() : undefined;
    const settle = listener ?? settling(answers);
    const timer = setTimeout(onSilence, timeoutMs, this, timeoutMs);
    unbounded.call(this, config, parameters, (error: Error | null, result: unknown) => {
      clearTimeout(timer);
      settle(error, result);
    });
    return answers?.promise;
  };
  BoundedClient.prototype.query = bounded as typeof pg.Client.prototype.query;
  return BoundedClient;
}

type Settle = (error: Error | null, result: unknown) => void;
type Query = (this: pg.Client, config: unknown, values?: unknown, callback?: Settle) => unknown;

function isListener(value: unknown): value is Settle {
  return typeof value === "function";
}

function isSubmittable(config: unknown): boolean {
  return typeof config === "object" && config !== null && "submit" in config;
}

function settling(answers: PromiseWithResolvers<unknown> | undefined): Settle {
  return (error, result) => {
    if (error) answers?.reject(error);
    else answers?.resolve(result);
  };
}

/** What is under way on the connection fails with the reason for which it is closed. */
function onSilence(client: pg.Client, timeoutMs: number): void {
  const { connection } = client as unknown as { connection: { stream: { destroy(error: Error): void } } };
  connection.stream.destroy(new SilentDatabaseError(`the database did not answer within ${timeoutMs} ms`));
}
