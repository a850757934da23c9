import { setFlagsFromString } from "node:v8";

/**
 * Lets the heap grow by half at a time before it is collected, instead of up to four times. What a delivery leaves behind lives for
 * milliseconds: a large heap brings no speed, and its collections take longer. To be called before the work begins.
 */
export function limitHeapGrowth(): void {
  setFlagsFromString("--heap-growing-percent=50");
}
