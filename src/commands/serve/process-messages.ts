/** What a worker process tells the supervisor. */
export type WorkerMessage =
  /** It runs, and wants to know its number. */
  | { kind: "hello" }
  /** Its servers listen. */
  | ({ kind: "up" } & Addresses)
  /** It could not start; the text is for people. */
  | { kind: "failed"; text: string }
  /** It was asked for the figures of all processes. */
  | { kind: "sumWanted"; id: number }
  /** Its own figures, as the supervisor wanted them. */
  | { kind: "figures"; id: number; figures: Figures };

/** What the supervisor tells a worker process. */
export type SupervisorMessage =
  | ({ kind: "welcome" } & Place)
  | { kind: "stop" }
  | { kind: "figuresWanted"; id: number }
  /** The figures of all processes, as Prometheus text. */
  | { kind: "sum"; id: number; text: string };

/** What a worker process is among the others. */
export interface Place {
  /** From 1. A process that replaces another one has its number. */
  number: number;
  /** Whether it brings the tables up to date where the configuration wants that. One process does, alone before the others start. */
  migrates: boolean;
}

/** Where the servers listen; the same in all processes. */
export interface Addresses {
  http: string;
  grpc: string;
}

/** One process's metrics, as prom-client gives them (`getMetricsAsJSON`). */
export type Figures = readonly { type: string }[];
