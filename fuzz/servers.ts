import { type PrivateNats, startNats } from "../test/support/nats.ts";
import { startPostgresServer } from "../test/support/postgres-server.ts";
import { echoChallenge, type Receiver, startReceiver } from "../test/support/receiver.ts";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../test/support/tellwire.ts";

/** Where the fuzzed server keeps its things: on Postgres and NATS, or all of it inside of itself. */
export type Store = "jetstream" | "embedded";

/** Everything that runs beside the harness: all of it started here, and ended by `close`. */
export interface Servers {
  tellwire: TellwireProcess;
  nats: PrivateNats | undefined;
  receiver: Receiver;
  close(): Promise<void>;
}

/** Limits on calls are lifted: they would hide the code behind them. */
const unlimited: Readonly<Record<string, string>> = {
  TELLWIRE_RATE_LIMIT_PER_KEY: "off",
  TELLWIRE_RATE_LIMIT_PER_ORGANIZATION: "off",
  TELLWIRE_RATE_LIMIT_RECEIVER_CALLS: "off",
  TELLWIRE_RATE_LIMIT_FAILED_LOGINS: "off",
  TELLWIRE_MAX_WEBHOOKS_PER_ORGANIZATION: "off",
  TELLWIRE_MAX_API_KEYS_PER_ORGANIZATION: "off",
};

const settings = {
  ...unlimited,
  // Receivers that are made up fail at once; nobody waits for them.
  TELLWIRE_RETRY_DELAYS: "1s",
  TELLWIRE_DELIVERY_TIMEOUT_MS: "1000",
  TELLWIRE_SHUTDOWN_GRACE_MS: "3000",
};

/** Starts what the store needs, the server, and a receiver for what it sends. */
export async function startServers(store: Store): Promise<Servers> {
  await using closing = new AsyncDisposableStack();
  const receiver = await startReceiver(echoChallenge);
  closing.defer(receiver.close);
  const environment: Record<string, string> = { ...settings };
  let nats: PrivateNats | undefined;
  if (store === "jetstream") {
    const postgres = await startPostgresServer();
    closing.defer(postgres.stop);
    nats = await startNats();
    closing.defer(nats.stop);
    environment.TELLWIRE_DATABASE_URL = postgres.url;
    environment.TELLWIRE_NATS_URL = nats.url;
  }
  const tellwire = await startTellwire(tellwireSettings(environment));
  closing.defer(async () => void (await tellwire.stop()));
  const all = closing.move();
  return { tellwire, nats, receiver, close: () => all.disposeAsync() };
}
