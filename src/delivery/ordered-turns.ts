import type { Broker } from "../broker/broker.ts";
import { advanceTurns } from "../store/sql/turns.ts";
import type { Sql } from "../store/sql.ts";

/** The turns of the ordered deliveries of a lane that this process holds. */
export interface OrderedTurns {
  /** Looks at the turns beside the work, if it is time to. `onDue` is called where some were given. */
  look(): void;
  /** Looks now. Resolves when the look is over, with what it found. */
  lookNow(): Promise<TurnsFound>;
}

/** `due`: some were given. `waiting`: none, but deliveries wait for what the broker holds before them. */
export type TurnsFound = "due" | "waiting" | "none";

export interface OrderedTurnsOptions {
  sql: Sql;
  broker: Pick<Broker, "recordedThrough">;
  now: () => number;
  lane: { webhookId: string; owner: string; fence: number };
  onDue: () => void;
  onFailure: (error: unknown) => void;
}

/** How long after a look the next one comes, in a lane that is at work. */
const turnsIntervalMs = 50;

export function createOrderedTurns({ sql, broker, now, lane, onDue, onFailure }: OrderedTurnsOptions): OrderedTurns {
  let looking: Promise<TurnsFound> | undefined;
  let lookedAt = Number.NEGATIVE_INFINITY;

  const lookNow = (): Promise<TurnsFound> => {
    looking ??= advance().finally(() => {
      looking = undefined;
      lookedAt = now();
    });
    return looking;
  };

  const advance = async (): Promise<TurnsFound> => {
    const { isNew, isWaiting } = await advanceTurns(sql, { ...lane, ...(await broker.recordedThrough()) });
    if (isNew) {
      onDue();
      return "due";
    }
    return isWaiting ? "waiting" : "none";
  };

  return {
    look() {
      if (looking === undefined && now() - lookedAt >= turnsIntervalMs) {
        lookNow().catch(onFailure);
      }
    },
    lookNow,
  };
}
