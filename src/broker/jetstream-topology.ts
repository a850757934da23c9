import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  ReplayPolicy,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from "@nats-io/jetstream";
import { TellwireError } from "../errors.ts";
import { type BrokerLog, rejectedMaxAgeMs } from "./broker.ts";
import { allEvents, allRejected, subjectCovers } from "./subjects.ts";

export interface Topology {
  stream: string;
  rejectedStream: string;
  consumer: string;
  subjectPrefix: string;
  replicas: number;
  maxAgeMs: number;
  ackWaitMs: number;
  maxAckPending: number;
}

/**
 * Creates the streams and the durable consumer where they are missing, and checks those that are there: settings that an operator may choose
 * (replicas, storage, age, limits) stay as they are, with a warning in the log where they may lose events. Throws INCOMPATIBLE_STREAM, with the
 * setting and the fix, where one breaks the promise of delivery. Safe to run in several processes at once, and again at any time.
 */
export async function ensureTopology(manager: JetStreamManager, topology: Topology, log: BrokerLog): Promise<void> {
  const events = await ensureStream(manager, eventStream(topology));
  demand(`the stream ${topology.stream}`, eventStreamDemands(events, allEvents(topology.subjectPrefix)));
  warnOfLosses(events, log);
  const rejected = await ensureStream(manager, rejectedStream(topology));
  demand(`the stream ${topology.rejectedStream}`, streamDemands(rejected, allRejected(topology.subjectPrefix)));
  const consumer = await ensureConsumer(manager, topology, events.subjects);
  const where = `the consumer ${topology.consumer} of the stream ${topology.stream}`;
  demand(where, consumerDemands(consumer, allEvents(topology.subjectPrefix)));
}

const nanosPerMs = 1_000_000;

/**
 * JetStream drops a message whose Nats-Msg-Id it saw within this time, whoever published it: two organizations that number their events from
 * 1 would lose some. Our own deduplication is by organization and id, so this one is as short as nats-server allows.
 */
const duplicateWindowMs = 100;

/**
 * `limits` retention because acknowledging is several times slower with `workqueue` on nats-server 2.9. Its price: messages stay on disk until
 * `max_age`, acknowledged or not, and one that waited longer than that for its acknowledgement is lost. There is no limit on the size, and
 * where an operator sets one, `discard: new` lets publishing fail visibly where `old` would drop events that nobody has seen.
 */
function eventStream({
  stream,
  subjectPrefix,
  replicas,
  maxAgeMs,
}: Topology): Partial<StreamConfig> & { name: string } {
  return {
    name: stream,
    description: "Tellwire: events that wait for the dispatcher",
    subjects: [allEvents(subjectPrefix)],
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    discard: DiscardPolicy.New,
    max_age: maxAgeMs * nanosPerMs,
    duplicate_window: duplicateWindowMs * nanosPerMs,
    num_replicas: replicas,
  };
}

function rejectedStream({
  rejectedStream,
  subjectPrefix,
  replicas,
}: Topology): Partial<StreamConfig> & { name: string } {
  return {
    name: rejectedStream,
    description: "Tellwire: messages that nobody understood",
    subjects: [allRejected(subjectPrefix)],
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    discard: DiscardPolicy.Old,
    max_age: rejectedMaxAgeMs * nanosPerMs,
    duplicate_window: duplicateWindowMs * nanosPerMs,
    num_replicas: replicas,
  };
}

async function ensureStream(
  manager: JetStreamManager,
  wanted: Partial<StreamConfig> & { name: string },
): Promise<StreamConfig> {
  const find = () => unlessMissing(manager.streams.info(wanted.name), JetStreamApiCodes.StreamNotFound);
  const found = await find();
  if (found !== undefined) {
    return found.config;
  }
  try {
    return (await manager.streams.add(wanted)).config;
  } catch (error) {
    // Another process was faster, with other settings.
    const made = await find();
    if (made !== undefined) {
      return made.config;
    }
    if (error instanceof JetStreamApiError && error.code === subjectsOverlap) {
      throw incompatible(
        `the stream ${wanted.name} cannot be created: another stream has subjects of ${wanted.subjects?.join(", ")}. ` +
          "Take them from that stream, or configure Tellwire with its name",
        error,
      );
    }
    throw error;
  }
}

async function ensureConsumer(
  manager: JetStreamManager,
  { stream, consumer, subjectPrefix, ackWaitMs, maxAckPending }: Topology,
  subjects: readonly string[],
): Promise<ConsumerConfig> {
  const found = await unlessMissing(manager.consumers.info(stream, consumer), JetStreamApiCodes.ConsumerNotFound);
  if (found !== undefined) {
    return found.config;
  }
  const wanted = allEvents(subjectPrefix);
  const hasOnlyOurs = subjects.length === 1 && subjects[0] === wanted;
  const created = await manager.consumers.add(stream, {
    durable_name: consumer,
    deliver_policy: DeliverPolicy.All,
    ack_policy: AckPolicy.Explicit,
    replay_policy: ReplayPolicy.Instant,
    ack_wait: ackWaitMs * nanosPerMs,
    max_deliver: -1,
    max_ack_pending: maxAckPending,
    ...(!hasOnlyOurs && { filter_subject: wanted }),
  });
  return created.config;
}

/** One setting that has to be right. */
interface Demand {
  setting: string;
  found: unknown;
  wanted: string;
  holds: boolean;
}

function streamDemands(config: StreamConfig, subject: string): Demand[] {
  const { subjects = [], retention, no_ack = false, sealed = false } = config;
  return [
    {
      setting: "subjects",
      found: subjects,
      wanted: `one that covers ${subject}`,
      holds: subjects.some((pattern) => subjectCovers(pattern, subject)),
    },
    { setting: "retention", found: retention, wanted: "limits", holds: retention === RetentionPolicy.Limits },
    { setting: "no_ack", found: no_ack, wanted: "false", holds: !no_ack },
    { setting: "sealed", found: sealed, wanted: "false", holds: !sealed },
  ];
}

function eventStreamDemands(config: StreamConfig, subject: string): Demand[] {
  const { max_msgs_per_subject: perSubject = -1 } = config;
  return [
    ...streamDemands(config, subject),
    { setting: "max_msgs_per_subject", found: perSubject, wanted: "-1", holds: perSubject <= 0 },
  ];
}

function consumerDemands(config: ConsumerConfig, subject: string): Demand[] {
  const { ack_policy, replay_policy, max_deliver = -1, headers_only = false, inactive_threshold = 0 } = config;
  const filters = config.filter_subjects ?? [config.filter_subject || ">"];
  return [
    { setting: "ack_policy", found: ack_policy, wanted: "explicit", holds: ack_policy === AckPolicy.Explicit },
    { setting: "max_deliver", found: max_deliver, wanted: "-1", holds: max_deliver === -1 },
    {
      setting: "deliver_subject",
      found: config.deliver_subject,
      wanted: "none: a pull consumer",
      holds: !config.deliver_subject,
    },
    {
      setting: "filter_subject",
      found: filters,
      wanted: `none, or one that covers ${subject}`,
      holds: filters.some((filter) => subjectCovers(filter, subject)),
    },
    {
      setting: "replay_policy",
      found: replay_policy,
      wanted: "instant",
      holds: replay_policy === ReplayPolicy.Instant,
    },
    { setting: "headers_only", found: headers_only, wanted: "false", holds: !headers_only },
    { setting: "inactive_threshold", found: inactive_threshold, wanted: "0", holds: inactive_threshold === 0 },
  ];
}

function demand(where: string, demands: readonly Demand[]): void {
  const broken = demands.find(({ holds }) => !holds);
  if (broken !== undefined) {
    const { setting, found, wanted } = broken;
    throw incompatible(
      `${where} has ${setting} ${JSON.stringify(found)}, and Tellwire needs ${wanted}. ` +
        "Edit it, or remove it so that Tellwire creates it, or configure Tellwire with another name",
    );
  }
}

function warnOfLosses(config: StreamConfig, log: BrokerLog): void {
  const { name, max_msgs = -1, max_bytes = -1, discard, storage, duplicate_window = 0 } = config;
  if (discard === DiscardPolicy.Old && (max_msgs > 0 || max_bytes > 0)) {
    log("warn", `the stream ${name} drops its oldest events when it is full: set discard to new`, {
      max_msgs,
      max_bytes,
    });
  }
  if (storage === StorageType.Memory) {
    log("warn", `the stream ${name} is kept in memory: its events are lost when nats-server stops`);
  }
  if (duplicate_window > duplicateWindowMs * nanosPerMs) {
    log(
      "warn",
      `the stream ${name} drops events of different organizations that have one Nats-Msg-Id: shorten duplicate_window`,
      {
        duplicateWindowMs: duplicate_window / nanosPerMs,
        shortestMs: duplicateWindowMs,
      },
    );
  }
}

async function unlessMissing<Info>(info: Promise<Info>, missing: number): Promise<Info | undefined> {
  return await info.catch((error: unknown) => {
    if (error instanceof JetStreamApiError && error.code === missing) {
      return undefined;
    }
    throw error;
  });
}

function incompatible(message: string, cause?: unknown): TellwireError {
  return new TellwireError("INCOMPATIBLE_STREAM", message, { cause });
}

/** JSStreamSubjectOverlapErr of nats-server. */
const subjectsOverlap = 10065;
