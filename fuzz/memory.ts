import { readFileSync } from "node:fs";

/** What a process holds, in bytes. */
export interface MemorySample {
  /** Of the heap that is in use, right after somebody asked for it: garbage that is still to be collected counts. */
  heapBytes: number;
  /** Resident in memory, as the kernel counts it. */
  rssBytes: number;
}

export interface MemoryVerdict {
  warm: MemorySample;
  end: MemorySample;
  /** Undefined where the memory stayed flat. */
  problem: string | undefined;
}

/** Reads what a server holds: the heap from its metrics, the resident memory from the kernel where that tells. */
export async function sampleMemory({ httpUrl, pid }: { httpUrl: string; pid: number }): Promise<MemorySample> {
  const text = await (await fetch(`${httpUrl}/metrics`)).text();
  return {
    heapBytes: figure(text, "nodejs_heap_size_used_bytes"),
    rssBytes: residentBytes(pid) ?? figure(text, "process_resident_memory_bytes"),
  };
}

/**
 * Compares the end with the time after the warm-up, which is the first quarter. Of several samples the least counts: it is the one with the
 * least garbage. The heap may grow by a quarter and 32 MiB, the resident memory by a half and 64 MiB; a leak of a kilobyte a request shows
 * within 50,000 requests.
 */
export function judgeMemory(samples: readonly MemorySample[]): MemoryVerdict {
  const quarter = Math.max(1, Math.floor(samples.length / 4));
  const warm = least(samples.slice(Math.min(quarter, samples.length - 1), quarter * 2));
  const end = least(samples.slice(-quarter));
  const heapLimit = warm.heapBytes * 1.25 + 32 * mib;
  const rssLimit = warm.rssBytes * 1.5 + 64 * mib;
  const problems = [
    ...(end.heapBytes > heapLimit ? [`the heap grew from ${inMib(warm.heapBytes)} to ${inMib(end.heapBytes)}`] : []),
    ...(end.rssBytes > rssLimit
      ? [`the resident memory grew from ${inMib(warm.rssBytes)} to ${inMib(end.rssBytes)}`]
      : []),
  ];
  return { warm, end, problem: problems.length === 0 ? undefined : problems.join("; ") };
}

export function inMib(bytes: number): string {
  return `${Math.round(bytes / mib)} MiB`;
}

const mib = 1024 * 1024;

function least(samples: readonly MemorySample[]): MemorySample {
  return {
    heapBytes: Math.min(...samples.map(({ heapBytes }) => heapBytes)),
    rssBytes: Math.min(...samples.map(({ rssBytes }) => rssBytes)),
  };
}

function figure(text: string, name: string): number {
  const line = text.split("\n").find((each) => each.startsWith(`${name} `));
  if (line === undefined) throw new Error(`the metrics lack ${name}`);
  return Number(line.slice(name.length));
}

function residentBytes(pid: number): number | undefined {
  try {
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return kib === undefined ? undefined : Number(kib) * 1024;
  } catch {
    return undefined;
  }
}
