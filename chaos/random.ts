/** Numbers that follow from a seed alone: the same seed and the same questions give the same answers. */
export interface Random {
  /** From 0 to 1, 1 excluded. */
  next(): number;
  /** A number from `least` to `most`, both possible at the ends. */
  between(least: number, most: number): number;
  /** One of the choices, each as likely as its weight. */
  weighted<Choice>(choices: readonly (readonly [choice: Choice, weight: number])[]): Choice;
}

/** A generator of its own for each part: what one part asks does not change the numbers of another. */
export function createRandom(seed: number, part: string): Random {
  let state = [...part].reduce((sum, letter) => mix(sum, letter.codePointAt(0) ?? 0), seed >>> 0);
  const next = (): number => {
    state = (state + golden) >>> 0;
    return scramble(state) / 2 ** 32;
  };
  return {
    next,
    between: (least, most) => least + next() * (most - least),
    weighted(choices) {
      let left = next() * choices.reduce((sum, [, weight]) => sum + weight, 0);
      const chosen = choices.find(([, weight]) => {
        left -= weight;
        return left < 0;
      });
      const [choice] = chosen ?? choices.at(-1) ?? [];
      if (choice === undefined) {
        throw new Error("there is nothing to choose from");
      }
      return choice;
    },
  };
}

/** A number from 0 to 1 that belongs to these numbers: a decision about one thing, whatever was asked before. */
export function chanceOf(seed: number, ...about: readonly number[]): number {
  return scramble(about.reduce(mix, seed >>> 0)) / 2 ** 32;
}

/** 2^32 divided by the golden ratio: multiples of it are spread evenly. */
const golden = 0x9e3779b9;

function mix(sum: number, value: number): number {
  return scramble((sum ^ Math.imul(value + 1, golden)) >>> 0);
}

/** Each bit of the result depends on each bit of the number (the finalizer of MurmurHash3). */
function scramble(value: number): number {
  let bits = value;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
